"""The conditional DCGAN: generator and discriminator (Radford et al., ICLR 2016, made conditional).

The condition (N, A) in -1..1 enters the generator beside the latent *and* modulates every block; it enters the
discriminator as a projection (Miyato and Koyama, ICLR 2018) *plus* an unconditional logit, so that an all-zero
embedding cannot blind it. An auxiliary head on the discriminator reads the attributes (Odena et al., ICML 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from cfgan.networks.norm import SharedBatchNorm
from cfgan.networks.shape import GanShape, Judgement


class ResizeConv(nn.Module):
    """Nearest-neighbour resize by two and a 3 x 3 convolution, computed as one transposed convolution.

    Enlarging and then convolving leaves no checkerboard (Odena et al. 2016). Each output pixel sees only 2 x 2 source
    pixels, so the pair equals a 4 x 4 transposed convolution whose kernel is the 3 x 3 one spread over a 2 x 2 box:
    4 multiplications an output pixel and channel pair instead of 9.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(inputs, outputs, 3, 3), std=math.sqrt(1 / (9 * inputs))))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self._kept: Tensor | None = None
        self._as_product = False

    def forward(self, x: Tensor) -> Tensor:
        if self._kept is not None and self._as_product:
            patches = self._kept.flatten(1).t() @ x.flatten(2)  # N 16O HW
            side = 2 * x.shape[2], 2 * x.shape[3]
            made = F.fold(patches, side, 4, padding=1, stride=2) + self.bias[:, None, None]  # N O 2H 2W
            return made.contiguous(memory_format=torch.channels_last)
        spread = self._spread() if self._kept is None else self._kept
        return F.conv_transpose2d(x, spread, self.bias, stride=2, padding=1)  # N O 2H 2W

    def keep_kernel(self, *, as_product: bool = False) -> None:
        """Spread the kernel once and for all: for weights that do not change any more, on the device they are on.

        Args:
            as_product: compute by a matrix product of all places: of many channels at a few places the library's
                transposed convolution takes four times as long on a CPU, forward and backward.
        """
        self._as_product = as_product
        self._kept = self._spread().detach().contiguous(memory_format=torch.channels_last)

    def _spread(self) -> Tensor:
        w = F.pad(self.weight.flip(2, 3), (1, 1, 1, 1))  # I O 5 5
        return w[:, :, 1:, 1:] + w[:, :, :-1, 1:] + w[:, :, 1:, :-1] + w[:, :, :-1, :-1]  # I O 4 4


class ShuffleConv(nn.Module):
    """A 3 x 3 convolution to four times the channels, laid out as 2 x 2 pixels (Shi et al., CVPR 2016).

    The four kernels of an output channel start equal, so that the first images have no checkerboard
    (Aitken et al. 2017).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)
        with torch.no_grad():
            first = nn.init.normal_(torch.empty(outputs, inputs, 3, 3), std=math.sqrt(1 / (9 * inputs)))
            self.conv.weight.copy_(first.repeat_interleave(4, 0))

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)  # N O 2H 2W


def _upsampling(inputs: int, outputs: int, kind: str) -> nn.Module:
    if kind == "resize":
        return ResizeConv(inputs, outputs)
    if kind == "shuffle":
        return ShuffleConv(inputs, outputs)
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def _modulation(shape: GanShape, channels: int) -> nn.Linear:
    """The modulation vector (N, E) to a scale and a shift a channel (N, 2C), both small at first."""
    layer = nn.Linear(shape.embed, 2 * channels)
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


class Refinement(nn.Module):
    """ReLU(x + convolution of the modulated x), for x of 0 or more: the identity as long as the convolution is 0.

    Zero-initialised residual branches: Goyal et al. 2017; Bachlechner et al., "ReZero", 2020.
    """

    def __init__(self, channels: int, shape: GanShape) -> None:
        super().__init__()
        self.modulation = _modulation(shape, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in self.conv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.modulation(style)[:, :, None, None].chunk(2, 1)  # N C 1 1 each
        return F.relu(x + self.conv(torch.addcmul(shift, x, 1 + scale)))  # N C H W


class ModulatedBlock(nn.Module):
    """Batch norm, per-channel scale and shift from the modulation vector, ReLU, perhaps a refinement, upsampling."""

    def __init__(self, inputs: int, outputs: int, shape: GanShape, *, refined: bool = False) -> None:
        super().__init__()
        self.norm = SharedBatchNorm(inputs)
        self.modulation = _modulation(shape, inputs)
        self.up = _upsampling(inputs, outputs, shape.upsample)
        self.refinement = Refinement(inputs, shape) if refined else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.modulation(style)[:, :, None, None].chunk(2, 1)  # N C 1 1 each
        x = F.relu(torch.addcmul(shift, self.norm(x), 1 + scale))  # N C H W
        if self.refinement is not None:
            x = self.refinement(x, style)  # N C H W
        out: Tensor = self.up(x)  # N C' 2H 2W
        return out


class Generator(nn.Module):
    """Latents (N, Z) and conditions (N, A) in -1..1 to images (N, 3, size, size) in -1..1."""

    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        self.shape = shape
        in_input = shape.conditioning in ("both", "concat")
        in_style = shape.conditioning in ("both", "modulate")
        self._in_input, self._in_style = in_input, in_style
        channels = shape.channels
        self.input = nn.Linear(shape.z_dim + in_input * shape.attributes, channels[0] * 16)
        self.style = nn.Linear(shape.z_dim + in_style * shape.attributes, shape.embed)
        pairs = zip(channels, channels[1:], shape.sides, strict=False)
        self.blocks = nn.ModuleList(ModulatedBlock(a, b, shape, refined=s in shape.refine) for a, b, s in pairs)
        self.norm = SharedBatchNorm(channels[-1])
        self.refinement = Refinement(channels[-1], shape) if shape.size in shape.refine else None
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)

    @property
    def places(self) -> int:
        """How many modulation vectors :meth:`synthesis` takes: one a block, and one behind the last."""
        return len(self.blocks) + 1

    def entries(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """What latents (N, Z) and conditions (N, A) give: the 4 x 4 start (N, 16C) and the modulation vector (N, E)."""
        both = torch.cat([z, condition], 1)  # N Z+A
        style = F.leaky_relu(self.style(both if self._in_style else z), 0.2)  # N E
        return self.input(both if self._in_input else z), style

    def synthesis(self, start: Tensor, styles: Sequence[Tensor]) -> Tensor:
        """A start (N, 16C) and a modulation vector (N, E) for each place to images (N, 3, size, size) in -1..1."""
        *inner, last = styles
        x = start.view(len(start), -1, 4, 4).contiguous(memory_format=torch.channels_last)  # N C 4 4
        for block, style in zip(self.blocks, inner, strict=True):
            x = block(x, style)  # N C' 2H 2W
        x = F.relu(self.norm(x))  # N C size size
        if self.refinement is not None:
            x = self.refinement(x, last)  # N C size size
        return torch.tanh(self.to_rgb(x))  # N 3 size size

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        start, style = self.entries(z, condition)
        return self.synthesis(start, [style] * self.places)


class Discriminator(nn.Module):
    """Images (N, 3, size, size) in -1..1 and conditions (N, A) to a :class:`Judgement`."""

    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        self.shape = shape

        def norm(layer: nn.Module) -> nn.Module:
            return spectral_norm(layer) if shape.spectral_norm else layer

        widths = [3, *reversed(shape.channels[:-1])]
        self.convs = nn.ModuleList(
            norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.features = norm(nn.Linear(widths[-1] * 16, shape.embed))
        self.unconditional = norm(nn.Linear(shape.embed, 1))
        self.projection = norm(nn.Linear(shape.attributes, shape.embed, bias=False))
        self.attributes = nn.Linear(shape.embed, shape.attributes)

    def forward(self, images: Tensor, condition: Tensor) -> Judgement:
        x = images
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)  # N C H/2 W/2, down to 4 x 4
        h = F.leaky_relu(self.features(x.flatten(1)), 0.2)  # N E
        projected = (self.projection(condition) * h).sum(1)  # N
        return Judgement(self.unconditional(h).squeeze(1) + projected, self.attributes(h))
