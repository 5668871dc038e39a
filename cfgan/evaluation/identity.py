"""A face embedder as an extractor of features, so that its vectors are computed, compared and cached like others."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from cfgan.external.detector import SIDE
from cfgan.external.face_embedder import FaceEmbedder

if TYPE_CHECKING:
    from torch import Tensor


class IdentityExtractor:
    """Who a face is, as numbers: :class:`cfgan.external.face_embedder.FaceEmbedder`, 10 to 20 faces a second.

    Where no face is found, the place is taken where aligned faces have theirs, so that no image is left out.

    Raises:
        ConfigError: the extra ``cfgan[identity]`` is missing.
    """

    def __init__(self, embedder: FaceEmbedder | None = None) -> None:
        self._embedder = embedder or FaceEmbedder()
        self.name = self._embedder.name
        self.dimensions = self._embedder.dimension
        preprocessing = f"largest dlib-hog face at {SIDE} or the usual place"
        self.digest = hashlib.sha256(f"{preprocessing} {self._embedder.digest}".encode()).hexdigest()

    def __call__(self, levels: Tensor) -> Tensor:
        """uint8 (N, 3, H, W), 0..255, to float32 (N, 128). Raises DataError: another type or shape."""
        return torch.from_numpy(self._embedder(levels.numpy()).vectors)
