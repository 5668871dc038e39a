"""The search for what draws a photo: latent, condition, 4 x 4 start and a modulation vector for each block.

A modulation vector per block is the W+ of Abdal et al., "Image2StyleGAN", ICCV 2019. Start and vectors are held as
differences from what latent and condition give, and are pulled towards none: whatever the condition can say, it is to
say, so that changing it afterwards changes the face.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from cfgan.errors import ConfigError, InputError
from cfgan.external.efficientnet import published_efficientnet
from cfgan.generate.sampling import latents
from cfgan.io.progress import Progress, silent
from cfgan.model.bundle import Bundle
from cfgan.model.engine import Floats, Levels
from cfgan.model.engines import torch_device
from cfgan.model.torch_engine import to_levels
from cfgan.networks.dcgan import Generator, ResizeConv
from cfgan.networks.imagenet_maps import ImageNetMaps

STEPS = 100
DRAWS = 16
"""Draws with the photo's condition, of which the most alike is where the search begins."""

_RATE, _WARM = 0.2, 5  # of Adam, falling as a cosine to 0, and steps until it is reached
_PIXELS, _FEATURES = 2.0, 1.0
_PULL = 0.3  # on differences in units of how far they vary among draws
_COARSEST = 8  # side in pixels of the smallest scale at which pixels are compared
_EDGE = 0.98  # conditions begin no nearer to -1 and 1, where tanh no longer moves

_FACE = (15 / 64, 58 / 64, 12 / 64, 52 / 64)
"""Top, bottom, left, right of the face itself in CelebA's crop, in shares of the side."""
_FACE_WEIGHT = 9.0
"""How much more a pixel of it counts than one of hair or background: who it is stands there."""


@dataclass(frozen=True)
class Codes:
    """What draws some photos.

    Args:
        z: latents (N, Z).
        condition: (N, A) in -1..1.
        start: difference of the 4 x 4 start from what these give (N, 16C).
        styles: difference of each place's modulation vector (N, K, E).
    """

    z: Tensor
    condition: Tensor
    start: Tensor
    styles: Tensor

    def of(self, places: npt.NDArray[np.int64]) -> Codes:
        """Those of some of the photos."""
        return Codes(*(part[places.tolist()] for part in (self.z, self.condition, self.start, self.styles)))


class Projector:
    """A bundle's generator, searched; the same photo and seed give the same codes on the same machine.

    Features are those of a network trained on ImageNet where the extra ``cfgan[evaluate]`` is installed, which keeps
    the most people; else of the classifier that guided the generator, or of the verifier where none is kept. Never the
    judge's, which says afterwards what is seen.

    Args:
        bundle: the model.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        InputError: the generator is not of the family dcgan, or the device cannot be used.
        BundleError: a file of the bundle is damaged.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        if bundle.shape.family != "dcgan":
            raise InputError(
                f"{bundle.name} draws with the family {bundle.shape.family}: only dcgan can be projected into.",
                field="--bundle",
                value=bundle.name,
            )
        self.bundle, self._device = bundle, torch_device(device)
        generator: Any = bundle.generator().to(self._device)
        self._generator: Generator = generator
        for module in generator.modules():
            if isinstance(module, ResizeConv):
                module.keep_kernel()
        critic = _critic(bundle)
        self.features, self._critic = critic[0], critic[1].to(self._device).eval().requires_grad_(False)
        # How far start and style vary among draws: latents are standard normal, conditions within -1..1.
        self._start_scale, self._style_scale = (
            layer.weight.square().sum(1).sqrt() for layer in (generator.input, generator.style)
        )
        weight = torch.ones(1, 1, bundle.size, bundle.size, device=self._device)
        if bundle.of_faces:
            top, bottom, left, right = (round(share * bundle.size) for share in _FACE)
            weight[:, :, top:bottom, left:right] = _FACE_WEIGHT
        self._weight = weight / weight.mean()

    def project(
        self,
        levels: Levels,
        condition: Floats,
        *,
        steps: int = STEPS,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Codes:
        """Search for what draws some photos; each is searched for by itself.

        Args:
            levels: uint8 (N, 3, size, size), 0..255.
            condition: what is read in them, float32 (N, A) in -1..1.
            steps: of the optimisation; 0 takes the most alike of the draws.
            seed: of the draws.
            progress: called with steps done and in all.
        """
        target = self._images(levels)
        goal = [*self._maps(target)]
        asked = torch.from_numpy(np.clip(condition, -_EDGE, _EDGE).astype(np.float32)).to(self._device)
        z = self._nearest_draws(target, goal, asked, seed).requires_grad_()
        bent = torch.atanh(asked).requires_grad_()
        size, places = (len(levels), self._start_scale.numel()), self._generator.places
        start = torch.zeros(size, device=self._device, requires_grad=True)
        styles = torch.zeros(len(levels), places, self._style_scale.numel(), device=self._device, requires_grad=True)
        optimiser = torch.optim.Adam([z, bent, start, styles], betas=(0.9, 0.95))
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = _RATE * min(1, (step + 1) / _WARM) * (1 + math.cos(math.pi * step / steps)) / 2
            codes = Codes(z, bent.tanh(), start * self._start_scale, styles * self._style_scale)
            loss = self._unlikeness(self._draw(codes), target, goal)
            loss = loss + _PULL * (start.square().mean(1) + styles.square().mean((1, 2)))
            optimiser.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            progress("projecting", step + 1, steps)
        with torch.no_grad():
            return Codes(z, bent.tanh(), start * self._start_scale, styles * self._style_scale)

    @torch.no_grad()
    def render(self, codes: Codes, condition: Floats | None = None, strength: float = 1.0) -> Levels:
        """The images of codes, or what becomes of them with another condition.

        Args:
            codes: of N photos.
            condition: float32 (N, A) in -1..1; latent and differences stay as they are.
            strength: how many times what the other condition changes is applied.

        Returns:
            uint8 (N, 3, size, size).
        """
        if condition is not None:
            before = self._generator.entries(codes.z, codes.condition)
            after = self._generator.entries(codes.z, torch.from_numpy(condition).to(self._device))
            start, style = (strength * (b - a) for a, b in zip(before, after, strict=True))
            codes = Codes(codes.z, codes.condition, codes.start + start, codes.styles + style[:, None])
        found: Levels = to_levels(self._draw(codes)).to(torch.uint8).contiguous().cpu().numpy()
        return found

    def _draw(self, codes: Codes) -> Tensor:
        start, style = self._generator.entries(codes.z, codes.condition)
        return self._generator.synthesis(start + codes.start, [style + own for own in codes.styles.unbind(1)])

    @torch.no_grad()
    def _nearest_draws(self, target: Tensor, goal: list[Tensor], condition: Tensor, seed: int) -> Tensor:
        """Of some draws with a photo's condition the latent of the most alike, (N, Z)."""
        drawn = torch.from_numpy(latents(seed, range(DRAWS), self.bundle.z_dim)).to(self._device)
        chosen = []
        for k in range(len(target)):
            images = self._generator(drawn, condition[k : k + 1].expand(DRAWS, -1))
            unlike = self._unlikeness(images, target[k : k + 1], [maps[k : k + 1] for maps in goal])
            chosen.append(drawn[unlike.argmin()])
        return torch.stack(chosen)

    def _unlikeness(self, images: Tensor, target: Tensor, goal: list[Tensor]) -> Tensor:
        """How far images are from a target in pixels and in features, (N,); the face counts most."""
        by_pixels = [self._mean((a - b).square()) for a, b in _scales(images, target)]
        by_features = [self._mean((a - b).square().sum(1, True)) for a, b in zip(self._maps(images), goal, strict=True)]
        found: Tensor = _PIXELS * torch.stack(by_pixels).mean(0) + _FEATURES * torch.stack(by_features).mean(0)
        return found

    def _mean(self, map_: Tensor) -> Tensor:
        """Mean of a map (N, C, H, W) weighted by place, (N,)."""
        return (map_ * F.adaptive_avg_pool2d(self._weight, map_.shape[-1])).mean((1, 2, 3))

    def _maps(self, images: Tensor) -> Iterator[Tensor]:
        """Feature maps, each position of length 1 (Zhang et al., "LPIPS", CVPR 2018)."""
        return (F.normalize(found, dim=1) for found in self._critic.maps(images))

    def _images(self, levels: Levels) -> Tensor:
        images = torch.from_numpy(np.ascontiguousarray(levels)).to(self._device).float()
        return images.mul_(2 / 255).sub_(1).contiguous(memory_format=torch.channels_last)


def _critic(bundle: Bundle) -> tuple[str, Any]:
    """The network whose feature maps are compared, after its name."""
    try:
        return "efficientnet-lite0", ImageNetMaps(published_efficientnet(), bundle.size * 3 // 2)
    except ConfigError:
        guide = bundle.guide()
        return ("verifier", bundle.verifier()) if guide is None else ("guide", guide)


def _scales(images: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Both at their side and at each half of it down to the coarsest."""
    yield images, target
    while images.shape[-1] > _COARSEST:
        images, target = F.avg_pool2d(images, 2), F.avg_pool2d(target, 2)
        yield images, target
