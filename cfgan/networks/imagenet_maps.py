"""Feature maps of a network that was trained on ImageNet, for heads of the discriminator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.networks.efficientnet import EfficientNetLite0, maps_of

_LAST = {2: 24, 4: 40, 10: 112}
"""Blocks whose maps are read, the last of their stages, and their channels: at 1/4, 1/8 and 1/16 of the side."""


class ImageNetMaps(nn.Module):
    """The first stages of EfficientNet-Lite0, frozen.

    Args:
        network: with the published weights, for inference.
        side: in pixels, to which images are resized first.
    """

    def __init__(self, network: EfficientNetLite0, side: int) -> None:
        super().__init__()
        self.side = side
        self.conv_stem = network.conv_stem
        self.blocks = nn.Sequential(*list(network.blocks.children())[: max(_LAST) + 1])
        self.eval().requires_grad_(False)

    @property
    def map_channels(self) -> tuple[int, ...]:
        """Channels of the maps that :meth:`maps` gives."""
        return tuple(_LAST.values())

    def maps(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in -1..1 to three maps (N, C, side/4, side/4) ... (N, C, side/16, side/16); lets gradients
        through to the images."""
        if images.shape[-1] != self.side:
            images = F.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False)
        # Pixel levels as the weights expect them: (level - 127) / 128.
        x = images.mul(127.5 / 128).add(0.5 / 128).contiguous(memory_format=torch.channels_last)
        return maps_of(self.conv_stem, self.blocks, x, _LAST)
