"""Parts of a face by themselves, so that a torn eye is not averaged away in a distance over whole images.

Faces of CelebA are aligned, so a part is a fixed box: in its images of 178 x 218 pixels the eyes are at (69, 111) and
(108, 111), the nose at (88, 136) and the mouth from 71 to 106 at 152 (means of the landmarks of Liu et al., ICCV 2015).
Models see the central 178 x 178 of that, made smaller; a part is cut out there, and an extractor enlarges it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cfgan.errors import DataError
from cfgan.evaluation.extractors import Extractor

FRAME = 178
"""Side in pixels of the frame that boxes are given in: CelebA's central square."""


@dataclass(frozen=True)
class Part:
    """A box of the frame: left, top, right, bottom, and whether it is what is left out rather than what is kept."""

    box: tuple[int, int, int, int]
    outside: bool = False

    def pixels(self, side: int) -> tuple[int, int, int, int]:
        """The box in whole pixels of an image of that side. Raises DataError: less than a pixel of it is left."""
        edges = (self.box[0], self.box[1], self.box[2] - self.box[0], self.box[3] - self.box[1])
        left, top, width, height = (round(edge * side / FRAME) for edge in edges)  # what is square stays square
        if not (width and height):
            raise DataError(f"images of {side} pixels are too small to cut parts of faces out.", field="size")
        return left, top, left + width, top + height

    def cut(self, levels: Tensor) -> Tensor:
        """uint8 (N, 3, S, S) to the part alone, (N, 3, s, s); of an outside one the whole, its box a middle grey."""
        if levels.ndim != 4 or levels.shape[2] != levels.shape[3]:
            raise DataError(f"images must be square (N, 3, S, S), not {tuple(levels.shape)}.")
        left, top, right, bottom = self.pixels(levels.shape[3])
        if not self.outside:
            return levels[:, :, top:bottom, left:right].contiguous()
        rest = levels.clone()
        rest[:, :, top:bottom, left:right] = 128
        return rest


PARTS: Mapping[str, Part] = {
    "eyes": Part((52, 55, 124, 127)),  # with the brows, down to the tip of the nose
    "mouth": Part((57, 100, 121, 164)),
    "background": Part((44, 24, 134, 178), outside=True),  # the head, hair included, made grey
}


class PartExtractor:
    """Features of one part of a face: an extractor that sees nothing but the part.

    Args:
        extractor: which features; it enlarges what it is given itself.
        part: one of ``PARTS``.
    """

    def __init__(self, extractor: Extractor, part: str) -> None:
        self._extractor, self._part = extractor, PARTS[part]
        self.name = f"{extractor.name}, {part}"
        self.dimensions = extractor.dimensions
        box = f"{part} {self._part.box} of {FRAME} outside={self._part.outside}"
        self.digest = hashlib.sha256(f"{box} {extractor.digest}".encode()).hexdigest()

    def __call__(self, levels: Tensor) -> Tensor:
        """uint8 (N, 3, S, S), 0..255, to float32 (N, D). Raises DataError: another type or shape."""
        if levels.dtype != torch.uint8:
            raise DataError(f"images must be uint8 (N, 3, S, S), not {levels.dtype} {tuple(levels.shape)}.")
        return self._extractor(self._part.cut(levels))
