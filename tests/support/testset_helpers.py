"""A face embedder for tests that sees colours, and test-set folders to score and export."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgan.external import face_embedder, operating_points
from cfgan.external.face_embedder import Embedded
from cfgan.io.progress import Progress

_RATES = [0.0005, 0.001, 0.01, 0.5]


class ColourEmbedder:
    """Mean colours of an image's quarters as its identity; finds no face in every seventh kind of image."""

    name = "colours"
    dimension = 12
    digest = "c" * 64

    def __call__(self, levels: np.ndarray, progress: Progress | None = None) -> Embedded:
        n, _, h, w = levels.shape
        quarters = levels.reshape(n, 3, 2, h // 2, 2, w // 2).mean((3, 5)).reshape(n, 12) / 255
        found = levels.reshape(n, -1).astype(np.int64).sum(1) % 7 > 0
        return Embedded(quarters.astype(np.float32), found)


def use_colours(monkeypatch: pytest.MonkeyPatch, screen: float = -0.02, keep: float = -0.9) -> None:
    """Let test sets be built with :class:`ColourEmbedder`: these thresholds at FMR below 1 %, and at others."""

    def points(embedder: str = "colours", side: int = 64) -> dict[str, Any]:
        at = {"fmr": [keep if rate >= 0.01 else screen for rate in _RATES], "fnmr": [keep] * len(_RATES)}
        listed = {
            kind: [{"rate": rate, "similarity": value} for rate, value in zip(_RATES, values, strict=True)]
            for kind, values in at.items()
        }
        return {**listed, "auc": 0.9, "eer": 0.1, "people": 9, "data": "drawn"}

    monkeypatch.setattr(face_embedder, "FaceEmbedder", ColourEmbedder)
    monkeypatch.setattr("cfgan.testsets.building.identity.operating_points", points)
    monkeypatch.setattr(operating_points, "operating_points", points)


class GreyEmbedder(ColourEmbedder):
    """Mean brightness of an image's quarters: another recogniser than :class:`ColourEmbedder`."""

    name = "greys"
    digest = "d" * 64

    def __init__(self, folder: object = None) -> None:
        del folder

    def __call__(self, levels: np.ndarray, progress: Progress | None = None) -> Embedded:
        seen = super().__call__(levels)
        return Embedded(seen.vectors.reshape(-1, 3, 4).mean(1), np.ones(len(levels), bool))
