"""Whether a worn thing is where it belongs: readers that see a part of the face only.

Networks that read whole faces are fooled by what suggests an attribute: hair that is swept like a cap, a shadow on the
brow. A search for the weakest change that they see finds such faces. So a hat must also be seen by a reader of the top
of the head alone, and eyeglasses by one of the band of the eyes alone: logistic regression over histograms of oriented
gradients (Dalal and Triggs, CVPR 2005) and coarse colours, trained on real faces, with nothing in common with the
networks. The face must not have shown it there before the change.

``benchmarks/region_readers.py`` trains them, and writes ``regions.safetensors`` and the figures of ``regions.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.io.reading import load_tensors

WEIGHTS = Path(__file__).parent / "regions.safetensors"
FIGURES = Path(__file__).parent / "regions.json"

SIDE = 64
"""Pixels to which faces are brought first."""

CELL, BINS = 4, 8
"""Side of a cell in pixels, and how many directions its gradients are counted in, over 180 degrees."""

ROWS: Mapping[str, slice] = {"Wearing_Hat": slice(0, 8), "Eyeglasses": slice(6, 12)}
"""Attribute -> the rows of cells that its reader sees: down to the brows, and from there to below the eyes."""

_FLAT = 4.0  # grey levels a pixel: gradients well below are taken for none, not blown up

Levels = npt.NDArray[np.uint8]
"""(N, 3, H, W), RGB, 0..255, faces in CelebA's central crop."""


@dataclass(frozen=True)
class RegionReader:
    """The reader of one attribute.

    Args:
        name: the attribute.
        weights: (F,), of :func:`region_features`.
        bias: added.
        threshold: what a changed face must reach; see ``regions.json`` for how many real faces do.
    """

    name: str
    weights: npt.NDArray[np.float64]
    bias: float
    threshold: float

    def score(self, levels: Levels) -> npt.NDArray[np.float64]:
        """(N,): above 0 is more likely worn than not, where as many real faces do as do not."""
        features = region_features(levels, ROWS[self.name])
        return np.asarray(features @ self.weights + self.bias, dtype=np.float64)

    def sees(self, levels: Levels) -> npt.NDArray[np.bool_]:
        """(N,): whether it is worn, as surely as the threshold asks."""
        return np.asarray(self.score(levels) >= self.threshold)


@cache
def region_readers() -> Mapping[str, RegionReader]:
    """Attribute -> its reader. The files are part of the package."""
    figures: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8"))
    arrays = load_tensors(WEIGHTS)
    return {
        name: RegionReader(
            name, arrays[name].astype(np.float64), float(figures[name]["bias"]), float(figures[name]["threshold"])
        )
        for name in ROWS
    }


def region_features(levels: Levels, rows: slice) -> npt.NDArray[np.float64]:
    """What a reader sees of the cells in some rows: gradients by direction, evened out over 3 x 3 cells, and colours.

    Args:
        levels: (N, 3, H, W).
        rows: of cells of :data:`CELL` pixels at :data:`SIDE`.

    Returns:
        (N, R * 16 * (BINS + 3)), R rows.
    """
    images = _at_side(levels).astype(np.float64)
    n, cells = len(images), SIDE // CELL
    grey = images.mean(1)
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    size = np.hypot(across, down)
    place = (np.arctan2(down, across) % np.pi) / np.pi * BINS
    lower = np.floor(place).astype(np.int64) % BINS
    part = place - np.floor(place)
    histogram = np.zeros((n, cells, cells, BINS))
    for k in range(BINS):  # each gradient is shared between the two directions that it lies between
        share = size * ((lower == k) * (1 - part) + ((lower + 1) % BINS == k) * part)
        histogram[..., k] = share.reshape(n, cells, CELL, cells, CELL).mean((2, 4))
    strength = np.pad(np.sqrt((histogram**2).sum(-1)), ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = np.mean([strength[:, i : i + cells, k : k + cells] for i in range(3) for k in range(3)], axis=0)
    colours = images.reshape(n, 3, cells, CELL, cells, CELL).mean((3, 5)).transpose(0, 2, 3, 1) / 255
    both = np.concatenate([histogram / (around[..., None] + _FLAT), colours], axis=-1)
    return np.ascontiguousarray(both[:, rows].reshape(n, -1))


def _at_side(levels: Levels) -> Levels:
    if levels.shape[-2:] == (SIDE, SIDE):
        return levels
    resized = [Image.fromarray(each.transpose(1, 2, 0)).resize((SIDE, SIDE), Image.Resampling.BOX) for each in levels]
    return np.stack([np.asarray(image, dtype=np.uint8).transpose(2, 0, 1) for image in resized])
