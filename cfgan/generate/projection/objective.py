"""How far a drawn image is from a photo: in pixels at several scales, and in features of a frozen network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cfgan.errors import ConfigError
from cfgan.external.efficientnet import published_efficientnet
from cfgan.model.bundle import Bundle
from cfgan.networks.imagenet_maps import ImageNetMaps

_IMAGENET = "efficientnet-lite0"
_PIXELS, _FEATURES = 2.0, 1.0
_PULL = 0.3  # on differences in units of how far they vary among draws
_COARSEST = 8  # side in pixels of the smallest scale at which pixels are compared

_FACE = (15 / 64, 58 / 64, 12 / 64, 52 / 64)
"""Top, bottom, left, right of the face itself in CelebA's crop, in shares of the side."""
_FACE_WEIGHT = 9.0
"""How much more a pixel of it counts than one of hair or background: who it is stands there."""


class Objective:
    """What a projection makes small.

    Features are those of a network trained on ImageNet where the extra ``cfgan[evaluate]`` is installed, which keeps
    the most people; else, or where the bundle's judge reads the same features, of the classifier that guided the
    generator, or of the verifier where none is kept. Never the judge's, which says afterwards what is seen.

    Args:
        bundle: the model.
        device: where to compute.

    Raises:
        BundleError: a file of the bundle is damaged.
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        critic = _critic(bundle)
        self.features, self._critic = critic[0], critic[1].to(device).eval().requires_grad_(False)
        weight = torch.ones(1, 1, bundle.size, bundle.size, device=device)
        if bundle.of_faces:
            top, bottom, left, right = (round(share * bundle.size) for share in _FACE)
            weight[:, :, top:bottom, left:right] = _FACE_WEIGHT
        self._weight = weight / weight.mean()

    def maps(self, images: Tensor) -> list[Tensor]:
        """Feature maps, each position of length 1 (Zhang et al., "LPIPS", CVPR 2018)."""
        return [F.normalize(found.float(), dim=1) for found in self._critic.maps(images)]

    def unlikeness(self, images: Tensor, target: Tensor, goal: list[Tensor]) -> Tensor:
        """How far images (N, 3, size, size) are from a target in pixels and from its maps, (N,); the face counts most.

        One target serves all images where there is but one.
        """
        by_pixels = [self._mean((a - b).square()) for a, b in _scales(images, target)]
        by_features = [self._mean((a - b).square().sum(1, True)) for a, b in zip(self.maps(images), goal, strict=True)]
        found: Tensor = _PIXELS * torch.stack(by_pixels).mean(0) + _FEATURES * torch.stack(by_features).mean(0)
        return found

    def pull(self, start: Tensor, styles: Tensor) -> Tensor:
        """What start (N, 16C) and styles (N, K, E) cost, in units of how far they vary among draws, (N,): whatever the
        condition can say, it is to say, so that changing it afterwards changes the face."""
        return _PULL * (start.square().mean(1) + styles.square().mean((1, 2)))

    def _mean(self, map_: Tensor) -> Tensor:
        """Mean of a map (N, C, H, W) weighted by place, (N,)."""
        return (map_ * F.adaptive_avg_pool2d(self._weight, map_.shape[-1])).mean((1, 2, 3))


def _critic(bundle: Bundle) -> tuple[str, Any]:
    """The network whose feature maps are compared, after its name."""
    judge = bundle.config.get("judge")
    if judge is None or judge["shape"].get("trunk", _IMAGENET) != _IMAGENET:
        with contextlib.suppress(ConfigError):
            return _IMAGENET, ImageNetMaps(published_efficientnet(), bundle.size * 3 // 2)
    guide = bundle.guide()
    return ("verifier", bundle.verifier()) if guide is None else ("guide", guide)


def _scales(images: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Both at their side and at each half of it down to the coarsest."""
    yield images, target
    while images.shape[-1] > _COARSEST:
        images, target = F.avg_pool2d(images, 2), F.avg_pool2d(target, 2)
        yield images, target
