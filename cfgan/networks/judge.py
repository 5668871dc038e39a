"""The judge: frozen ImageNet features and a small head that was trained to read attributes.

Another architecture and other features than the verifier's and the discriminator's, so that a generator that has
learned to please those has not learned to please this one. It is used to report only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.networks.classifier import averaged
from cfgan.networks.efficientnet import EfficientNetLite0, maps_of
from cfgan.networks.mobilenet import MobileNetV2


@dataclass(frozen=True)
class _Kind:
    """A frozen network: what makes it, and which blocks' maps are read, at 1/8 and at 1/16 of the side.

    Args:
        make: the network, ready for inference but for its weights.
        fine, coarse: numbers of those blocks.
        channels: of both maps together.
        centre, spread: pixel levels 0..255 are shown to it as (level - centre) / spread.
    """

    make: Callable[[], EfficientNetLite0 | MobileNetV2]
    fine: int
    coarse: int
    channels: int
    centre: float
    spread: float


TRUNKS = {
    "efficientnet-lite0": _Kind(lambda: EfficientNetLite0().fuse(), 4, 10, 40 + 112, 127, 128),
    "mobilenet-v2": _Kind(lambda: MobileNetV2().fuse(), 5, 12, 32 + 96, 0, 255),
}
"""The frozen networks by name. A judge must not read features that the generator was trained against."""


@dataclass(frozen=True)
class JudgeShape:
    """What a judge is built from.

    Args:
        attributes: outputs A.
        side: to which images are enlarged, pixels; a multiple of 16.
        width: channels after the first layer of the head.
        hidden: length of the features before the last layer.
        trunk: name of the frozen network, one of ``TRUNKS``.
        reads: side in pixels to which larger images are averaged before that; 0: they are taken as they come.
    """

    attributes: int
    side: int = 96
    width: int = 64
    hidden: int = 256
    trunk: str = "efficientnet-lite0"
    reads: int = 0

    def __post_init__(self) -> None:
        if self.side < 32 or self.side % 16:
            raise ValueError(f"side must be a multiple of 16, 32 at least, not {self.side}")
        if self.trunk not in TRUNKS:
            raise ValueError(f"trunk must be one of {', '.join(TRUNKS)}, not {self.trunk!r}")

    @property
    def cells(self) -> int:
        """Side of the maps that the head reads."""
        return self.side // 16

    @property
    def map_channels(self) -> int:
        """Channels of the maps that the head reads."""
        return TRUNKS[self.trunk].channels

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Trunk(nn.Module):
    """The first blocks of a network that was trained on ImageNet, frozen."""

    def __init__(self, kind: str, side: int) -> None:
        super().__init__()
        self._kind, self.side = TRUNKS[kind], side
        network = self._kind.make()
        self.conv_stem = network.conv_stem
        self.blocks = nn.Sequential(*list(network.blocks.children())[: self._kind.coarse + 1])

    def load_published(self, network: EfficientNetLite0 | MobileNetV2) -> None:
        """Take the weights of the whole, loaded network."""
        self.conv_stem.load_state_dict(network.conv_stem.state_dict())
        blocks = nn.Sequential(*list(network.blocks.children())[: self._kind.coarse + 1])
        self.blocks.load_state_dict(blocks.state_dict())

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to both maps at the coarser side, (N, C, side/16, side/16)."""
        levels = images.add(1).mul(127.5)
        x = F.interpolate(levels, size=(self.side, self.side), mode="bicubic", antialias=True)
        x = ((x - self._kind.centre) / self._kind.spread).contiguous(memory_format=torch.channels_last)
        fine, coarse = maps_of(self.conv_stem, self.blocks, x, (self._kind.fine, self._kind.coarse))
        return torch.cat([F.avg_pool2d(fine, 2), coarse], 1)  # both at S/16


class Head(nn.Module):
    """Maps to logits; faces are aligned, so where a feature lies counts."""

    scale: Tensor

    def __init__(self, shape: JudgeShape) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(shape.map_channels, 1, 1))  # what brings each map to unit spread
        self.mix = nn.Conv2d(shape.map_channels, shape.width, 1)
        self.norm = nn.BatchNorm2d(shape.width)
        self.hidden = nn.Linear(shape.width * shape.cells**2, shape.hidden)
        self.hidden_norm = nn.BatchNorm1d(shape.hidden)
        self.out = nn.Linear(shape.hidden, shape.attributes)

    def features(self, maps: Tensor, dropout: float = 0.0) -> Tensor:
        """Maps (N, C, S/16, S/16) to features (N, hidden), 0 or more."""
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
        self.trunk = Trunk(shape.trunk, shape.side)
        self.head = Head(shape)

    def features(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to features (N, hidden)."""
        return self.head.features(self.maps(images))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to logits (N, A)."""
        logits: Tensor = self.head(self.maps(images))  # N A
        return logits

    def maps(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to what the head reads, (N, C, side/16, side/16)."""
        maps: Tensor = self.trunk(averaged(images, self.shape.reads))
        return maps
