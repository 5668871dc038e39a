"""What draws a photo: latent, condition, 4 x 4 start and a modulation vector for each block.

A modulation vector per block is the W+ of Abdal et al., "Image2StyleGAN", ICCV 2019. Start and vectors are held as
differences from what latent and condition give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfgan.errors import InputError
from cfgan.model.bundle import Bundle
from cfgan.networks.dcgan import Generator, ResizeConv


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


class CodeSpace:
    """A bundle's generator, frozen, drawing from codes; gradients reach these.

    Args:
        bundle: the model.
        device: where to compute.

    Raises:
        InputError: the generator is not of the family dcgan.
        BundleError: a file of the bundle is damaged.
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        if bundle.shape.family != "dcgan":
            raise InputError(
                f"{bundle.name} draws with the family {bundle.shape.family}: only dcgan can be projected into.",
                field="--bundle",
                value=bundle.name,
            )
        generator: Any = bundle.generator().to(device)
        self.generator: Generator = generator
        for place, block in enumerate(generator.blocks):
            if isinstance(block.up, ResizeConv):
                block.up.keep_kernel(as_product=place == 0)
        # How far start and style vary among draws: latents are standard normal, conditions within -1..1.
        self._start_scale, self._style_scale = (
            layer.weight.square().sum(1).sqrt() for layer in (generator.input, generator.style)
        )

    @property
    def start(self) -> int:
        """Length of a start, 16C."""
        return int(self._start_scale.numel())

    @property
    def embed(self) -> int:
        """Length of a modulation vector."""
        return int(self._style_scale.numel())

    def codes(self, z: Tensor, condition: Tensor, start: Tensor, styles: Tensor) -> Codes:
        """Codes whose start (N, 16C) and styles (N, K, E) are in units of how far these vary among draws."""
        return Codes(z, condition, start * self._start_scale, styles * self._style_scale)

    def draw(self, codes: Codes) -> Tensor:
        """Images (N, 3, size, size) in -1..1."""
        start, style = self.generator.entries(codes.z, codes.condition)
        return self.generator.synthesis(start + codes.start, [style + own for own in codes.styles.unbind(1)])

    @torch.no_grad()
    def changed(self, codes: Codes, condition: Tensor, strength: float) -> Codes:
        """Codes with what another condition (N, A) changes applied ``strength`` times; all else stays as it is."""
        before = self.generator.entries(codes.z, codes.condition)
        after = self.generator.entries(codes.z, condition)
        start, style = (strength * (b - a) for a, b in zip(before, after, strict=True))
        return Codes(codes.z, codes.condition, codes.start + start, codes.styles + style[:, None])
