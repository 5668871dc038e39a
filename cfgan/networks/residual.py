"""The residual family: normalisation-free residual blocks, as in R3GAN (Huang et al., NeurIPS 2024), made conditional.

Differences from the paper: the 3 x 3 convolutions of a block are not grouped (grouped ones are slow on a CPU), and the
condition enters by modulation (a scale and a shift for each channel of a block) beside the latent.
Each branch ends in a convolution that starts at zero, so a fresh network is its skip path alone and needs no
normalisation to train (Zhang et al., "Fixup", ICLR 2019). Sides change by filtered resampling: a 1-3-3-1 kernel
(Zhang, "Making convolutional networks shift-invariant again", ICML 2019).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.networks.shape import GanShape, Judgement


def _conv(inputs: int, outputs: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    """A convolution whose weights keep a leaky ReLU's variance (He et al. 2015), scaled by ``gain``."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    with torch.no_grad():
        nn.init.normal_(layer.weight, std=gain * math.sqrt(2 / 1.04 / (inputs * kernel**2)))
        nn.init.zeros_(layer.bias) if layer.bias is not None else None
    return layer


class Block(nn.Module):
    """x + conv(leaky(conv(leaky(modulated x)))) at one side; the last convolution starts at zero."""

    def __init__(self, channels: int, embed: int | None) -> None:
        super().__init__()
        self.modulation = nn.Linear(embed, 2 * channels) if embed is not None else None
        if self.modulation is not None:
            nn.init.normal_(self.modulation.weight, std=0.02)
            nn.init.zeros_(self.modulation.bias)
        self.conv1 = _conv(channels, channels, 3)
        self.conv2 = _conv(channels, channels, 3, gain=0.0)

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        y = x  # N C H W
        if self.modulation is not None and style is not None:
            scale, shift = self.modulation(style)[:, :, None, None].chunk(2, 1)  # N C 1 1 each
            y = torch.addcmul(shift, y, 1 + scale)
        y = self.conv1(F.leaky_relu(y, 0.2))  # N C H W
        out: Tensor = x + self.conv2(F.leaky_relu(y, 0.2))  # N C H W
        return out


class Down(nn.Module):
    """Half the side, filtered by 1-3-3-1, then a 1 x 1 convolution to the next width."""

    kernel: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", (row[:, None] * row[None])[None, None].repeat(inputs, 1, 1, 1), persistent=False)
        self.conv = _conv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.kernel.to(x.dtype), stride=2, padding=1, groups=x.shape[1])  # N C H/2 W/2
        out: Tensor = self.conv(x)  # N C' H/2 W/2
        return out


class ResidualGenerator(nn.Module):
    """Latents (N, Z) and conditions (N, A) in -1..1 to images (N, 3, size, size) in -1..1."""

    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        self.shape = shape
        self._in_input = shape.conditioning in ("both", "concat")
        self._in_style = shape.conditioning in ("both", "modulate")
        channels = shape.channels
        self.input = nn.Linear(shape.z_dim + self._in_input * shape.attributes, channels[0] * 16)
        self.style = nn.Linear(shape.z_dim + self._in_style * shape.attributes, shape.embed)
        self.blocks = nn.ModuleList(Block(c, shape.embed) for c in channels)
        self.up = nn.ModuleList(_conv(a, b, 1) for a, b in zip(channels, channels[1:], strict=False))
        self.to_rgb = _conv(channels[-1], 3, 3, gain=0.5)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        both = torch.cat([z, condition], 1)  # N Z+A
        x = self.input(both if self._in_input else z)  # N 16C
        style = F.leaky_relu(self.style(both if self._in_style else z), 0.2)  # N E
        x = x.view(len(z), -1, 4, 4).contiguous(memory_format=torch.channels_last)  # N C 4 4
        x = self.blocks[0](x, style)
        for up, block in zip(self.up, self.blocks[1:], strict=True):
            # The 1 x 1 convolution before the enlargement costs a quarter of what it would after; they commute.
            x = F.interpolate(up(x), scale_factor=2, mode="bilinear", align_corners=False)  # N C' 2H 2W
            x = block(x, style)  # N C' 2H 2W
        return torch.tanh(self.to_rgb(F.leaky_relu(x, 0.2)))  # N 3 size size


class ResidualDiscriminator(nn.Module):
    """Images (N, 3, size, size) in -1..1 and conditions (N, A) to a :class:`Judgement`."""

    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        self.shape = shape
        channels = shape.channels[::-1]
        self.from_rgb = _conv(3, channels[0], 3)
        self.blocks = nn.ModuleList(Block(c, None) for c in channels)
        self.down = nn.ModuleList(Down(a, b) for a, b in zip(channels, channels[1:], strict=False))
        self.features = nn.Linear(channels[-1] * 16, shape.embed)
        self.unconditional = nn.Linear(shape.embed, 1)
        self.projection = nn.Linear(shape.attributes, shape.embed, bias=False)
        self.attributes = nn.Linear(shape.embed, shape.attributes)

    def forward(self, images: Tensor, condition: Tensor) -> Judgement:
        x = self.blocks[0](self.from_rgb(images))  # N C0 size size
        for down, block in zip(self.down, self.blocks[1:], strict=True):
            x = block(down(x))  # N C' H/2 W/2, down to 4 x 4
        h = F.leaky_relu(self.features(F.leaky_relu(x, 0.2).flatten(1)), 0.2)  # N E
        projected = (self.projection(condition) * h).sum(1)  # N
        return Judgement(self.unconditional(h).squeeze(1) + projected, self.attributes(h))
