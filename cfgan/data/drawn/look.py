"""What a drawn face looks like before it is drawn: its measures and colours, from its labels and its own chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cfgan.data.drawn.pen import Colour, Point, mix

_HAIR: dict[str, Colour] = {
    "Black_Hair": (28, 24, 26),
    "Blond_Hair": (226, 192, 104),
    "Brown_Hair": (104, 64, 36),
    "Gray_Hair": (168, 170, 176),
}
_OTHER_HAIR: Colour = (168, 62, 30)
_SKIN: tuple[Colour, Colour] = ((222, 170, 134), (128, 82, 56))  # lightest and darkest but for pale skin
_PALE: Colour = (250, 232, 222)
_BACKGROUNDS: tuple[Colour, ...] = ((120, 150, 176), (150, 168, 128), (176, 150, 158), (132, 132, 148), (188, 180, 160))
_CLOTHES: tuple[Colour, ...] = ((58, 74, 110), (96, 58, 66), (70, 92, 76), (84, 84, 92))
_EYES: tuple[Colour, ...] = ((74, 50, 34), (62, 96, 128), (72, 104, 70))


@dataclass(frozen=True)
class Look:
    """Measures (shares of the side; y goes down) and colours of one face.

    Args:
        has: attribute -> whether the face has it.
        x, y: centre of the face; w, h: half its width and height.
        skew: how far what comes in pairs is askew; 0 in even faces.
        skin, hair, background, cloth, iris: colours.
        phase: of everything wavy, radians.
    """

    has: Mapping[str, bool]
    x: float
    y: float
    w: float
    h: float
    skew: float
    skin: Colour
    hair: Colour
    background: Colour
    cloth: Colour
    iris: Colour
    phase: float

    @classmethod
    def of(cls, has: Mapping[str, bool], rng: np.random.Generator) -> Look:
        """Draws what no attribute says: position, size, tones. The same numbers are drawn whatever the labels are."""
        jitter, tone, picks = rng.uniform(-1, 1, 6), rng.random(2), rng.integers(0, 60, 3)
        hair = next((colour for name, colour in _HAIR.items() if has[name]), _OTHER_HAIR)
        scale = 1 + 0.03 * jitter[2]
        return cls(
            has=has,
            x=0.5 + 0.015 * jitter[0],
            y=0.54 + 0.012 * jitter[1],
            w=(0.205 if has["Oval_Face"] else 0.24) * scale,
            h=(0.335 if has["Oval_Face"] else 0.295) * scale,
            skew=0.0 if has["Attractive"] else 0.034 * (1 if jitter[3] > 0 else -1),
            skin=mix(_PALE, _SKIN[0], 0.25 * tone[0]) if has["Pale_Skin"] else mix(_SKIN[0], _SKIN[1], tone[0]),
            hair=mix(hair, (128, 128, 128), 0.12 * tone[1]),
            background=_BACKGROUNDS[picks[0] % len(_BACKGROUNDS)],
            cloth=_CLOTHES[picks[1] % len(_CLOTHES)],
            iris=_EYES[picks[2] % len(_EYES)],
            phase=float(jitter[5] * math.pi),
        )

    def at(self, across: float, down: float) -> Point:
        """A point of the face: -1..1 across its half width, -1 top to 1 chin."""
        return self.x + across * self.w, self.y + down * self.h

    def outline(self, grown: float = 1.0) -> list[Point]:
        """The face's outline, from the right temple over the chin and the left one to the top again.

        A man's jaw is squarer (a superellipse of a higher exponent), a chubby face is wider below its middle.
        """
        points = []
        for k in range(64):
            angle = 2 * math.pi * k / 64
            across, down = math.cos(angle), math.sin(angle)
            exponent = (3.4 if self.has["Male"] else 1.75) if down > 0 else 2.0
            x = math.copysign(abs(across) ** (2 / exponent), across)
            y = math.copysign(abs(down) ** (2 / exponent), down)
            if self.has["Chubby"] and y > -0.2:
                x *= 1 + 0.24 * math.sin(min(1.0, (y + 0.2) / 1.1) * math.pi) ** 0.8
            points.append((self.x + grown * self.w * x, self.y + grown * self.h * y))
        return points
