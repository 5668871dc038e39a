"""Images as recognisers of the ArcFace family take them: five points of the face at fixed places of a small square."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.data.decode import CROP
from cfgan.data.framing.faces import Framer
from cfgan.data.framing.geometry import CELEBA_POINTS, Points, Similarity, fit_similarity, warp
from cfgan.testsets.tables import csv_text

TEMPLATE_SIDE = 112
"""Side in pixels of the square that :data:`TEMPLATE` is given in."""

TEMPLATE: Points = (
    np.asarray([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
    + 0.5
)
"""Where eyes, nose and corners of the mouth belong (Deng et al., "ArcFace", CVPR 2019; SphereFace's points moved by 8
pixels). Published with a pixel's middle at its number; here it is at its number plus 0.5."""

ALIGNMENT = "alignment.csv"


@dataclass(frozen=True)
class Aligned:
    """An image that was aligned: where its points lay, (5, 2) in pixels of it, and whether a face was found."""

    points: Points
    found: bool


class Aligner:
    """Brings faces to the five points of ArcFace's template. May be called from several threads.

    Where no face is found the points are those at which CelebA's frame has them in its central crop, as generated faces
    do; :attr:`done` says of which images.

    Args:
        side: of the result in pixels.
        framer: finds faces and their points; by default the one of ``cfgan data align``.

    Raises:
        ConfigError: the extra ``cfgan[identity]`` is missing.
    """

    def __init__(self, side: int, framer: Framer | None = None) -> None:
        self.side = side
        self._framer = framer or Framer()
        self._lock = threading.Lock()
        self.done: dict[str, Aligned] = {}

    def __call__(self, name: str, image: Image.Image) -> npt.NDArray[np.uint8]:
        """An image, RGB, as uint8 (3, side, side)."""
        faces = self._framer.faces(image)
        points = faces[0].points if faces else _usual_points(image)
        with self._lock:
            self.done[name] = Aligned(points, bool(faces))
        aligned = warp(image, to_template(points, self.side), (self.side, self.side))
        return np.ascontiguousarray(np.asarray(aligned, dtype=np.uint8).transpose(2, 0, 1))

    def table(self, names: Iterable[str]) -> str:
        """CSV: of each image whether a face was found, and the five points that were used, in pixels of the set's."""
        titles = [f"{axis}{k}" for k in range(1, 6) for axis in ("x", "y")]
        rows: list[Sequence[object]] = [("file", "face_found", *titles)]
        for name in names:
            aligned = self.done[name]
            rows.append((name, int(aligned.found), *(f"{value:.2f}" for value in aligned.points.ravel())))
        return csv_text(rows)


def to_template(points: Points, side: int) -> Similarity:
    """From a picture to the aligned square, by all five points alike, as the family does. Raises ValueError."""
    return fit_similarity(points, TEMPLATE * (side / TEMPLATE_SIDE), np.ones(5))


def _usual_points(image: Image.Image) -> Points:
    side = min(image.size)
    corner = np.asarray([(image.width - side) / 2, (image.height - side) / 2])
    return np.asarray((CELEBA_POINTS - np.asarray(CROP[:2])) * side / (CROP[2] - CROP[0]) + corner)
