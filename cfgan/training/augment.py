"""Differentiable augmentation of reals and fakes alike (Zhao et al., "DiffAugment", NeurIPS 2020), and cut-outs.

Every transform takes images (N, C, H, W) in -1..1 and a generator, draws its own parameters for each image from it
and lets gradients through to the images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def _uniform(images: Tensor, rng: torch.Generator, low: float, high: float, count: int = 1) -> Tensor:
    return torch.rand(len(images), count, 1, 1, generator=rng, device=images.device) * (high - low) + low


def color(images: Tensor, rng: torch.Generator, apply: Tensor) -> Tensor:
    """Random brightness (+-0.5), saturation (x 0..2) and contrast (x 0.5..1.5)."""
    x = images + apply * _uniform(images, rng, -0.5, 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * torch.where(apply.bool(), _uniform(images, rng, 0.0, 2.0), 1.0)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * torch.where(apply.bool(), _uniform(images, rng, 0.5, 1.5), 1.0)


def shift(
    images: Tensor, rng: torch.Generator, apply: Tensor, share: float = 0.125, *, reflect: bool = False
) -> Tensor:
    """Random whole-pixel shift of up to ``share`` of the side; what comes in is 0, or reflected."""
    n, c, h, w = images.shape
    reach = max(1, round(h * share))
    device = images.device
    moves = torch.randint(-reach, reach + 1, (2, n), generator=rng, device=device) * apply.flatten().long()
    if reflect:
        padded = F.pad(images, (reach, reach, reach, reach), mode="reflect")
    else:
        padded = F.pad(images, (reach, reach, reach, reach))
    rows = torch.arange(h, device=device)[None] + reach + moves[0][:, None]  # N H
    cols = torch.arange(w, device=device)[None] + reach + moves[1][:, None]  # N W
    wide = padded.shape[3]
    flat = (rows[:, :, None] * wide + cols[:, None, :]).flatten(1)  # N H*W
    return padded.flatten(2).gather(2, flat[:, None].expand(n, c, h * w)).view(n, c, h, w)


def cutout(images: Tensor, rng: torch.Generator, apply: Tensor, share: float = 0.5) -> Tensor:
    """Blank a square whose side is ``share`` of the image's, centred anywhere."""
    n, _, h, w = images.shape
    device = images.device
    centre = torch.rand(2, n, 1, generator=rng, device=device)
    half = h * share / 2
    rows = (torch.arange(h, device=device)[None] + 0.5 - centre[0] * h).abs() < half  # N H
    cols = (torch.arange(w, device=device)[None] + 0.5 - centre[1] * w).abs() < half  # N W
    hole = (rows[:, None, :, None] & cols[:, None, None, :]) & apply.bool()
    return images * (~hole).to(images.dtype)


def flip(images: Tensor, rng: torch.Generator, apply: Tensor) -> Tensor:
    """Mirror half of the images."""
    mirrored = (torch.rand(len(images), 1, 1, 1, generator=rng, device=images.device) < 0.5) & apply.bool()
    return torch.where(mirrored, images.flip(3), images)


TRANSFORMS: dict[str, Callable[[Tensor, torch.Generator, Tensor], Tensor]] = {
    "color": color,
    "translate": shift,
    "cutout": cutout,
    "flip": flip,
}


def augment(images: Tensor, names: Sequence[str], strength: float | Tensor, rng: torch.Generator) -> Tensor:
    """Apply the named transforms in order, each to an image with probability ``strength``."""
    for name in names:
        apply = (torch.rand(len(images), 1, 1, 1, generator=rng, device=images.device) < strength).to(images.dtype)
        images = TRANSFORMS[name](images, rng, apply)
    return images.contiguous(memory_format=torch.channels_last)


def augment_for_classifier(
    images: Tensor,
    rng: torch.Generator,
    *,
    shift_pixels: int,
    brightness: float,
    cutout_share: float,
    mirror: bool = True,
) -> Tensor:
    """What a classifier is trained on: mirrored, shifted, brightness and contrast changed, a small cut-out."""
    always = torch.ones(len(images), 1, 1, 1, device=images.device)
    if mirror:
        images = flip(images, rng, always)
    if shift_pixels:
        images = shift(images, rng, always, shift_pixels / images.shape[2], reflect=True)
    if brightness:
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + (images - mean) * _uniform(images, rng, 1 - brightness, 1 + brightness)
        images = images + _uniform(images, rng, -brightness, brightness)
    if cutout_share:
        images = cutout(images, rng, always, cutout_share)
    return images.contiguous(memory_format=torch.channels_last)
