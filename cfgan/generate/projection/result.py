"""What comes of a projection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfgan.generate.projection.identity import Likeness
from cfgan.model.engine import Floats, Levels


@dataclass(frozen=True)
class ProjectedImage:
    """One image of a projection.

    Args:
        request: what was edited; empty for the projection itself.
        pixels: uint8 (3, size, size).
        condition: float32 (A,) in -1..1.
        strength: how many times the change of the condition was applied.
        seen: attribute of the edit -> whether it shows as asked, by the reader named in the projection.
        likeness: to the photo; None where no recogniser is installed, or the model draws no faces.
        png: the file, which says that it is synthetic and what made it.
    """

    request: str
    pixels: Levels
    condition: Floats
    strength: float
    seen: dict[str, bool]
    likeness: Likeness | None
    png: bytes

    def figures(self) -> dict[str, Any]:
        """Plain figures, for JSON."""
        found: dict[str, Any] = {}
        if self.request:
            found = {"edit": self.request, "strength": self.strength, "seen": self.seen}
        if self.likeness is None:
            return {**found, "identity": None}
        like = self.likeness
        return {
            **found,
            "identity": {
                "distance": round(like.distance, 4),
                "threshold": round(like.threshold, 4),
                "face_found": like.found,
                "kept": like.kept,
            },
        }


@dataclass(frozen=True)
class Projection:
    """A photo found again among what a model can draw; given by :meth:`cfgan.Model.project`.

    Args:
        image: the photo as the model draws it.
        edits: one image for each edit, in the order they were asked for.
        pixel_error: mean absolute difference from the framed photo, levels of 0..255.
        by: who says what is seen in edits: "judge", or "verifier" in a bundle without one.
        seconds: that the search took.
        steps: of the search.
        out: the folder that was written, if one was named.

    Example:
        >>> _ = model.generate("Red", count=1, seed=1)[0].image.save("drawn.png")
        >>> found = model.project("drawn.png", align=False, steps=2)
        >>> found.image.png[:4], found.image.pixels.shape
        (b'\\x89PNG', (3, 16, 16))
    """

    image: ProjectedImage
    edits: tuple[ProjectedImage, ...]
    pixel_error: float
    by: str
    seconds: float
    steps: int
    out: Path | None = None

    @property
    def kept(self) -> bool | None:
        """Whether the projection is still the same person; None where that was not measured."""
        return None if self.image.likeness is None else self.image.likeness.kept
