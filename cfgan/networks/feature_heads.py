"""Discriminator heads over frozen features of a trained network, at several scales.

Sauer et al., "Projected GANs converge faster", NeurIPS 2021; beside an ordinary discriminator: Kumari et al.,
"Ensembling off-the-shelf models for GAN training", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class FeatureMaps(Protocol):
    """A frozen network whose feature maps heads can look at."""

    @property
    def map_channels(self) -> tuple[int, ...]:
        """Channels of the maps, finest first."""
        ...

    def maps(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in -1..1 to maps (N, C_i, H_i, W_i), finest first."""
        ...


@dataclass(frozen=True)
class HeadsShape:
    """What feature heads are built from; stored in the bundle.

    Args:
        features: name or sha256 of the frozen network.
        side: in pixels, to which images are enlarged before it; 0: as they are.
        channels: of its maps.
        attributes: length A of a condition.
        width: channels inside a head.
    """

    features: str
    side: int
    channels: tuple[int, ...]
    attributes: int
    width: int = 64

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HeadsShape:
        return cls(**{**data, "channels": tuple(data["channels"])})


class FeatureHeads(nn.Module):
    """One small convolutional head a feature map; each says for every place whether the image is real and fits the
    condition, so that a torn eye counts though the rest of the face is good.

    The maps are brought to mean 0 and spread 1 a channel, as :meth:`calibrate` found them in real images: under the
    spectral norm a head could otherwise hardly answer to maps of small values.
    """

    def __init__(self, shape: HeadsShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        for i, c in enumerate(shape.channels):
            self.register_buffer(f"mean{i}", torch.zeros(c, 1, 1))
            self.register_buffer(f"spread{i}", torch.ones(c, 1, 1))
        self.mix = nn.ModuleList(spectral_norm(nn.Conv2d(c, width, 1)) for c in shape.channels)
        self.look = nn.ModuleList(spectral_norm(nn.Conv2d(width, width, 3, padding=1)) for _ in shape.channels)
        self.unconditional = nn.ModuleList(spectral_norm(nn.Conv2d(width, 1, 1)) for _ in shape.channels)
        self.projection = nn.ModuleList(
            spectral_norm(nn.Linear(shape.attributes, width, bias=False)) for _ in shape.channels
        )

    @torch.no_grad()
    def calibrate(self, maps: Sequence[Tensor]) -> None:
        """Take mean and spread of each channel from the maps of real images."""
        for i, x in enumerate(maps):
            getattr(self, f"mean{i}").copy_(x.mean((0, 2, 3))[:, None, None])
            getattr(self, f"spread{i}").copy_(x.std((0, 2, 3)).clamp(min=1e-3)[:, None, None])

    def forward(self, maps: Sequence[Tensor], condition: Tensor) -> list[Tensor]:
        """Feature maps and conditions (N, A) to logits (N, H_i * W_i), one tensor a map."""
        logits = []
        for i, x in enumerate(maps):
            x = (x - getattr(self, f"mean{i}")) / getattr(self, f"spread{i}")  # N C H W
            h = F.leaky_relu(self.mix[i](x), 0.2)  # N W H W
            h = F.leaky_relu(self.look[i](h), 0.2)  # N W H W
            fits = torch.einsum("nwhv,nw->nhv", h, self.projection[i](condition))  # N H W
            logits.append((self.unconditional[i](h).squeeze(1) + fits).flatten(1))  # N H*W
        return logits
