"""The judge: frozen ImageNet features of EfficientNet-Lite0 and a small head that was trained to read attributes.

Another architecture and other features than the verifier's and the discriminator's, so that a generator that has
learned to please those has not learned to please this one. It is used to report only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.networks.efficientnet import EfficientNetLite0

_FINE, _COARSE = 4, 10  # blocks of the trunk whose maps are read: 40 channels at 1/8, 112 at 1/16 of the side
MAP_CHANNELS = 40 + 112


@dataclass(frozen=True)
class JudgeShape:
    """What a judge is built from.

    Args:
        attributes: outputs A.
        side: to which images are enlarged, pixels; a multiple of 16.
        width: channels after the first layer of the head.
        hidden: length of the features before the last layer.
    """

    attributes: int
    side: int = 96
    width: int = 64
    hidden: int = 256

    def __post_init__(self) -> None:
        if self.side < 32 or self.side % 16:
            raise ValueError(f"side must be a multiple of 16, 32 at least, not {self.side}")

    @property
    def cells(self) -> int:
        """Side of the maps that the head reads."""
        return self.side // 16

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Trunk(nn.Module):
    """The first eleven blocks of EfficientNet-Lite0, frozen."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        network = EfficientNetLite0().fuse()
        self.conv_stem = network.conv_stem
        self.blocks = nn.Sequential(*list(network.blocks.children())[: _COARSE + 1])

    def load_published(self, network: EfficientNetLite0) -> None:
        """Take the weights of the whole, loaded network."""
        self.conv_stem.load_state_dict(network.conv_stem.state_dict())
        blocks = nn.Sequential(*list(network.blocks.children())[: _COARSE + 1])
        self.blocks.load_state_dict(blocks.state_dict())

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to both maps at the coarser side, (N, 152, side/16, side/16)."""
        levels = images.add(1).mul(127.5)
        x = F.interpolate(levels, size=(self.side, self.side), mode="bicubic", antialias=True)
        x = ((x - 127) / 128).contiguous(memory_format=torch.channels_last)
        x = F.relu6(self.conv_stem(x))  # N 32 S/2 S/2
        fine = x
        for place, block in enumerate(self.blocks.children()):
            x = block(x)  # down to N 112 S/16 S/16
            if place == _FINE:
                fine = F.avg_pool2d(x, 2)  # N 40 S/16 S/16
        return torch.cat([fine, x], 1)


class Head(nn.Module):
    """Maps to logits; faces are aligned, so where a feature lies counts."""

    scale: Tensor

    def __init__(self, shape: JudgeShape) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(MAP_CHANNELS, 1, 1))  # what brings each map to unit spread
        self.mix = nn.Conv2d(MAP_CHANNELS, shape.width, 1)
        self.norm = nn.BatchNorm2d(shape.width)
        self.hidden = nn.Linear(shape.width * shape.cells**2, shape.hidden)
        self.hidden_norm = nn.BatchNorm1d(shape.hidden)
        self.out = nn.Linear(shape.hidden, shape.attributes)

    def features(self, maps: Tensor, dropout: float = 0.0) -> Tensor:
        """Maps (N, 152, S/16, S/16) to features (N, hidden), 0 or more."""
        x = F.relu(self.norm(self.mix(maps * self.scale))).flatten(1)  # N W*cells^2
        x = F.dropout(x, dropout, self.training)
        return F.relu(self.hidden_norm(self.hidden(x)))  # N hidden

    def forward(self, maps: Tensor, dropout: float = 0.0) -> Tensor:
        """Maps to logits (N, A); ``dropout`` acts while training, before each linear layer."""
        h = F.dropout(self.features(maps, dropout), dropout, self.training)
        logits: Tensor = self.out(h)  # N A
        return logits


class Judge(nn.Module):
    """Images to one logit an attribute."""

    def __init__(self, shape: JudgeShape) -> None:
        super().__init__()
        self.shape = shape
        self.trunk = Trunk(shape.side)
        self.head = Head(shape)

    def features(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to features (N, hidden)."""
        return self.head.features(self.trunk(images))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to logits (N, A)."""
        logits: Tensor = self.head(self.trunk(images))  # N A
        return logits
