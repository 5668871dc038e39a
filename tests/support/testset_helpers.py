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
    """Let test sets be built with :class:`ColourEmbedder` and these thresholds, whatever the error rate."""

    def points() -> dict[str, Any]:
        both = {"fmr": screen, "fnmr": keep}
        listed = {kind: [{"rate": r, "similarity": s} for r in _RATES] for kind, s in both.items()}
        return {**listed, "auc": 0.9, "eer": 0.1, "people": 9, "data": "drawn"}

    monkeypatch.setattr(face_embedder, "FaceEmbedder", ColourEmbedder)
    monkeypatch.setattr(operating_points, "operating_points", points)
    monkeypatch.setattr("cfgan.testsets.building.describe.operating_points", points)
