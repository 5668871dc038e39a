"""What every generator family shares: the shape that a bundle stores, and what a discriminator says."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

FAMILY_NAMES = ("dcgan", "residual")
UPSAMPLING = ("resize", "transposed", "shuffle")
CONDITIONING = ("both", "concat", "modulate")


@dataclass(frozen=True)
class GanShape:
    """What generator and discriminator are built from; stored in the bundle.

    Args:
        attributes: length A of a condition.
        size: side of an image in pixels, a power of two, 16 at least.
        width: channels at half the final side; they double at each halving, down to 4 x 4.
        z_dim: length of a latent.
        embed: length of the modulation vector and of the discriminator's last features.
        upsample: of the dcgan family: "resize" (nearest-neighbour resize and 3 x 3 convolution, in one), "transposed"
            (4 x 4) or "shuffle" (3 x 3 to four times the channels, laid out as pixels). The residual family filters.
        conditioning: where the condition enters the generator: "concat", "modulate" or "both".
        spectral_norm: whether the discriminator's weights are spectrally normalised.
        family: name of the architecture, "dcgan" or "residual".
        least_channels: of the dcgan family's generator: channels at its finer sides, at least; 0: as ``width`` says.
        refine: of the dcgan family's generator: sides in pixels at which a residual convolution follows. It starts as
            the identity, so that a trained generator can be given more of them and go on.
    """

    attributes: int
    size: int = 64
    width: int = 40
    z_dim: int = 128
    embed: int = 128
    upsample: str = "resize"
    conditioning: str = "both"
    spectral_norm: bool = False
    family: str = "dcgan"
    refine: tuple[int, ...] = ()
    least_channels: int = 0

    def __post_init__(self) -> None:
        if self.size < 16 or self.size & (self.size - 1):
            raise ValueError(f"size must be a power of two, 16 at least, not {self.size}")
        for key, known in (("family", FAMILY_NAMES), ("upsample", UPSAMPLING), ("conditioning", CONDITIONING)):
            if getattr(self, key) not in known:
                raise ValueError(f"{key} must be one of {', '.join(known)}, not {getattr(self, key)!r}")
        if self.attributes < 1 or self.z_dim < 1 or self.width < 2 or self.least_channels < 0:
            raise ValueError("attributes, z_dim and width must be positive, least_channels 0 or more")
        object.__setattr__(self, "refine", tuple(self.refine))
        for side in self.refine:
            if side not in self.sides:
                raise ValueError(f"refine must hold sides of the generator ({self.sides}), not {side!r}")

    @property
    def channels(self) -> list[int]:
        """Channels of the generator at sides 4, 8, ..., size: multiples of 8, which vector units fill."""
        doubled = (max(self.width * self.size / 2 / side, self.least_channels) for side in self.sides)
        return [math.ceil(count / 8) * 8 for count in doubled]

    @property
    def sides(self) -> list[int]:
        """4, 8, ..., size."""
        return [2**k for k in range(2, int(math.log2(self.size)) + 1)]

    @property
    def codes(self) -> dict[str, int]:
        """Sizes of what draws one image: attributes, latent, channels of the 4 x 4 start, and the modulation vectors.

        These are one a block and one behind the last, :attr:`embed` long.
        """
        return {
            "attributes": self.attributes,
            "z_dim": self.z_dim,
            "channels": self.channels[0],
            "places": len(self.sides),
            "embed": self.embed,
        }

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "refine": list(self.refine)}


class Judgement(NamedTuple):
    """What the discriminator says, as logits: ``logit``, real or not, (N,), and ``attributes`` (N, A)."""

    logit: Tensor
    attributes: Tensor
