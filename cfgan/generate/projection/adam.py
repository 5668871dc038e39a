"""Adam (Kingma and Ba, ICLR 2015) for a few tensors.

torch's own optimisers load its compiler when they are made, three seconds of a process that searches for three.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_BETA1, _BETA2, _EPSILON = 0.9, 0.95, 1e-8


class Adam:
    """Moves tensors against their gradients, each number by about the rate.

    Args:
        parameters: leaves that require gradients, changed in place.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = list(parameters)
        self._means = [torch.zeros_like(each) for each in self._parameters]
        self._squares = [torch.zeros_like(each) for each in self._parameters]
        self._steps = 0

    @torch.no_grad()
    def step(self, loss: Tensor, rate: float) -> None:
        """Take the gradients of a scalar loss and one step."""
        self._steps += 1
        scale, half = 1 - _BETA1**self._steps, (1 - _BETA2**self._steps) ** 0.5
        gradients = torch.autograd.grad(loss, self._parameters)
        for each, gradient, mean, square in zip(self._parameters, gradients, self._means, self._squares, strict=True):
            mean.lerp_(gradient, 1 - _BETA1)
            square.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            each.addcdiv_(mean, (square.sqrt() / half).add_(_EPSILON), value=-rate / scale)
