"""Whether a projection is still the same person, by a recogniser that took no part in the search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cfgan.errors import ConfigError
from cfgan.external.face_embedder import Embedder, FaceEmbedder
from cfgan.external.operating_points import similarity_at
from cfgan.model.engine import Levels

FMR = 0.01
"""False match rate, the share of pairs of different people below it, at which the threshold lies."""


@dataclass(frozen=True)
class Likeness:
    """How near an image is to a photo.

    Args:
        distance: between both faces' vectors, 0 and up.
        threshold: below it the person is kept.
        found: whether a face was found in the image at all; without, its usual place was read.
    """

    distance: float
    threshold: float
    found: bool

    @property
    def kept(self) -> bool:
        return self.found and self.distance < self.threshold

    def sentence(self) -> str:
        """What there is to say, in words."""
        if not self.found:
            return "The person is lost: no face is found in the image."
        near = f"the identity distance is {self.distance:.2f}"
        limit = f"{self.threshold:.2f} (where {100 * FMR:.0f} % of pairs of different people are as near)"
        if self.kept:
            return f"The person is kept: {near}, under {limit}."
        return f"The person is lost: {near}, over {limit}."


def open_identity() -> Embedder | None:
    """dlib's recogniser, or None where the extra ``cfgan[identity]`` is missing."""
    try:
        return FaceEmbedder()
    except ConfigError:
        return None


def likeness(embedder: Embedder, photo: Levels, images: Levels) -> list[Likeness]:
    """How near images, uint8 (N, 3, H, W), are to a photo (3, H, W)."""
    seen = embedder(np.concatenate([photo[None], images]))
    distances = np.linalg.norm(seen.vectors[1:] - seen.vectors[0], axis=1)
    threshold = -similarity_at("fmr", FMR, embedder.name, photo.shape[-1])
    return [
        Likeness(float(distance), threshold, bool(found))
        for distance, found in zip(distances, seen.found[1:], strict=True)
    ]
