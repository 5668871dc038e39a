"""Losses as pure functions of discriminator outputs. All take and return tensors; scalars are means over the batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)) (Lim and Ye 2017); logits (N,)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """-mean D(fake)."""
    return -fake.mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """mean softplus(D(fake) - D(real)), each fake paired with a real of the same condition.

    Relativistic pairing loss (Jolicoeur-Martineau 2019; Huang et al., "R3GAN", NeurIPS 2024).
    """
    return F.softplus(fake - real).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """mean softplus(D(real) - D(fake)), the same pairs."""
    return F.softplus(real - fake).mean()


def attribute_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of logits (N, A) against labels in -1..1, averaged over the labels that are known.

    A label v stands for the probability (1 + v) / 2; NaN is unknown and takes no part.
    """
    known = torch.isfinite(labels)
    target = torch.where(known, (labels + 1) / 2, 0.5)
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


Critic = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) to logits (N,)."""


def gradient_penalty(critic: Critic, images: Tensor) -> Tensor:
    """mean over the batch of |d D(x) / dx|^2: R1 on reals, R2 on fakes (Mescheder et al. 2018).

    Differentiable once more with respect to the critic's weights.
    """
    images = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def finite_gradient_penalty(critic: Critic, images: Tensor, rng: torch.Generator, sigma: float = 0.01) -> Tensor:
    """The same in expectation, up to O(sigma^2), without double backward: mean ((D(x + s) - D(x)) / sigma)^2.

    ``s`` is white noise of standard deviation ``sigma`` in image units (the image spans -1..1).
    """
    images = images.detach()
    noise = torch.randn(images.shape, generator=rng, device=images.device, dtype=images.dtype) * sigma
    both = critic(torch.cat([images + noise, images]))
    moved, still = both.chunk(2)
    return ((moved - still) / sigma).square().mean()
