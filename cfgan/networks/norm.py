"""Batch normalisation whose statistics are those of all processes together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


class _MeanOverRanks(torch.autograd.Function):
    """The mean of a tensor over all ranks; its gradient is the mean of theirs.

    Each rank's gradients are averaged afterwards, so this is what makes them those of one process with all images.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return mean_over_ranks(x.clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return mean_over_ranks(gradients[0].clone())


def world_size() -> int:
    """How many processes train together; 1 without torch.distributed."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def mean_over_ranks(x: Tensor) -> Tensor:
    """Replace a contiguous tensor by its mean over all ranks, in place, and return it."""
    distributed.all_reduce(x)
    return x.div_(distributed.get_world_size())


class SharedBatchNorm(nn.BatchNorm2d):
    """nn.BatchNorm2d; with several processes the statistics are taken over the images of all of them.

    (torch's own synchronised one runs on GPUs only.) The same parameters and buffers as nn.BatchNorm2d.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(x)
        moments = torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))])  # 2 C
        mean, square = _MeanOverRanks.apply(moments)  # type: ignore[no-untyped-call]
        variance = (square - mean.square()).clamp(min=0)  # C, biased
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            count = x.numel() // x.shape[1] * world_size()
            momentum = self.momentum or 0.0
            with torch.no_grad():
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(variance * count / max(1, count - 1), momentum)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()  # C
        shift = self.bias - mean * scale  # C
        return torch.addcmul(shift[:, None, None], x, scale[:, None, None])  # N C H W
