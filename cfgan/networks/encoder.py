"""The encoder: a photo to what makes the generator draw it, as a first guess that a search goes on from.

Predicting the modulation vector of each block beside the latent: Richardson et al., "Encoding in Style", CVPR 2021; a
search that goes on from there: Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold", ECCV 2016.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.networks.classifier import HalvingBlock

_FIRST = 0.02  # standard deviation of what leaves the encoder first: nearly the average of all draws


@dataclass(frozen=True)
class EncoderShape:
    """What an encoder is built from.

    Args:
        attributes: length A of a condition.
        z_dim: length Z of a latent.
        channels: C of the generator's 4 x 4 start.
        places: how many modulation vectors K the generator takes.
        embed: length E of one.
        widths: channels of the stem and of each residual stage; every one of them halves the side, the last to 4.
        hidden: length of the features that latent and modulation vectors are read from.
    """

    attributes: int
    z_dim: int
    channels: int
    places: int
    embed: int
    widths: tuple[int, ...]
    hidden: int

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EncoderShape:
        return cls(**{**data, "widths": tuple(data["widths"])})

    @property
    def size(self) -> int:
        """Side in pixels of the images that it reads."""
        return int(4 * 2 ** len(self.widths))


class Encoded(NamedTuple):
    """A first guess for N photos: ``z`` (N, Z); ``start`` (N, 16C) and ``styles`` (N, K, E), differences from what
    latent and condition give, in units of how far these vary among draws."""

    z: Tensor
    start: Tensor
    styles: Tensor


class Encoder(nn.Module):
    """Images (N, 3, size, size) in -1..1 and the conditions (N, A) read in them to an :class:`Encoded`."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        first, *rest = shape.widths
        last = shape.widths[-1]
        self.stem = nn.Conv2d(3, first, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(first)
        self.stages = nn.ModuleList(HalvingBlock(a, b) for a, b in zip(shape.widths, rest, strict=False))
        self.features = nn.Linear(last * 16 + shape.attributes, shape.hidden)
        self.z = nn.Linear(shape.hidden, shape.z_dim)
        self.styles = nn.Linear(shape.hidden, shape.places * shape.embed)
        self.start = nn.Conv2d(last, shape.channels, 1)
        self.start_everywhere = nn.Linear(shape.hidden, shape.channels, bias=False)
        for layer in (self.z, self.styles, self.start, self.start_everywhere):
            nn.init.normal_(layer.weight, std=_FIRST / layer.weight[0].numel() ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor, condition: Tensor) -> Encoded:
        x = F.relu(self.norm(self.stem(images)))  # N C0 H/2 W/2
        for stage in self.stages:
            x = stage(x)  # N Ci H/2^(i+1) W/2^(i+1), down to 4 x 4
        h = F.leaky_relu(self.features(torch.cat([x.flatten(1), condition], 1)), 0.2)  # N hidden
        start = self.start(x) + self.start_everywhere(h)[:, :, None, None]  # N C 4 4
        return Encoded(self.z(h), start.flatten(1), self.styles(h).unflatten(1, (self.shape.places, self.shape.embed)))
