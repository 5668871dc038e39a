"""Changes of capture: what a camera, its light and what is worn do to the image of an unchanged person.

Each kind has one parameter with a unit, so that a stratum's name, such as ``blur=2``, says exactly what was done, and
three grades that are taken where a spec names the kind alone. Lengths are per cent of the image's side: a grade means
the same to the eye at every size. The pixels are changed by :mod:`cfgan.testsets.building.capturing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cfgan.errors import SpecError, nearest


@dataclass(frozen=True)
class CaptureKind:
    """One kind of change.

    Args:
        name: as in specs.
        what: what is done, in a few words.
        unit: of its parameter.
        grades: mild to strong; what a spec that names the kind alone gets.
        least, most: bounds of the parameter.
        whole: whether the parameter is a whole number.
    """

    name: str
    what: str
    unit: str
    grades: tuple[float, ...]
    least: float
    most: float
    whole: bool = False


@dataclass(frozen=True)
class Capture:
    """One change: a kind, its parameter, and the how-manieth grade of its kind in the set that is, 1 and on."""

    kind: CaptureKind
    value: float
    level: int

    @property
    def name(self) -> str:
        """As strata are called: ``blur=2``."""
        return f"{self.kind.name}={self.value:g}"


KINDS: Mapping[str, CaptureKind] = {
    kind.name: kind
    for kind in (
        CaptureKind("blur", "Gaussian blur, standard deviation", "% of the side", (1, 2, 4), 0.1, 20),
        CaptureKind("noise", "Gaussian noise, standard deviation", "grey levels", (8, 16, 32), 0.5, 128),
        CaptureKind("jpeg", "JPEG, colours at half resolution", "quality", (50, 25, 10), 1, 95, whole=True),
        CaptureKind("resolution", "made smaller and enlarged again", "% of the side", (75, 50, 25), 5, 99),
        CaptureKind("gain", "exposure, in linear light", "stops", (-1, -2, -3), -6, 6),
        CaptureKind("light", "light from one side, lost on the other", "% of the light", (30, 60, 90), 1, 100),
        CaptureKind("turn", "turned in the image's plane, either way", "degrees", (5, 10, 20), 0.1, 45),
        CaptureKind("shift", "shifted, any way", "% of the side", (4, 8, 16), 0.5, 40),
        CaptureKind("mask", "drawn face mask, from the chin upward", "% of the way to the eyes", (50, 70, 90), 20, 100),
        CaptureKind("sunglasses", "drawn sunglasses, opacity of the lenses", "%", (50, 80, 100), 5, 100),
    )
}
"""All kinds, in the order in which a set holds them. A new one goes to the end: its place is part of the seed."""


def place_of(kind: CaptureKind) -> int:
    """The kind's place in :data:`KINDS`, part of the seed of what is drawn at random."""
    return list(KINDS).index(kind.name)


def resolved_captures(given: Sequence[str] | Mapping[str, Sequence[float]], field: str) -> dict[str, list[float]]:
    """Kind -> parameters, in the order of :data:`KINDS`; a plain list of kinds gets their grades.

    Raises:
        SpecError: an unknown kind, or a parameter that is out of range or there twice; names the nearest.
    """
    for name in given:
        if name not in KINDS:
            close = nearest(str(name), KINDS) or list(KINDS)
            raise SpecError(f"{name!r} is not a change of capture.", field=field, value=name, nearest=close)
    if not isinstance(given, Mapping):
        if len(set(given)) < len(given):
            raise SpecError("a change of capture is listed twice.", field=field, value=list(given))
        given = {name: KINDS[name].grades for name in given}
    return {name: _checked(kind, given[name], f"{field}.{name}") for name, kind in KINDS.items() if name in given}


def _checked(kind: CaptureKind, values: Sequence[float], field: str) -> list[float]:
    if not values:
        raise SpecError(f"at least one value is expected ({kind.unit}).", field=field, nearest=[kind.grades[0]])
    for value in values:
        if not kind.least <= value <= kind.most or (kind.whole and value != int(value)) or not value:
            near = min(max(value, kind.least), kind.most)
            near = round(near) if kind.whole else near or kind.grades[0]
            text = f"{value:g} is not {'a whole number ' if kind.whole else ''}from {kind.least:g} to {kind.most:g}"
            text += f" ({kind.unit})." if kind.least > 0 else f", 0 left out ({kind.unit})."
            raise SpecError(text, field=field, value=value, nearest=[near])
    if len({f"{value:g}" for value in values}) < len(values):
        raise SpecError("a value is listed twice.", field=field, value=list(values))
    return [float(value) for value in values]


def captures_of(resolved: Mapping[str, Any]) -> list[Capture]:
    """The changes of a resolved spec, in order."""
    listed: Mapping[str, Sequence[float]] = resolved.get("capture") or {}
    return [
        Capture(KINDS[name], value, level)
        for name, values in listed.items()
        for level, value in enumerate(values, start=1)
    ]
