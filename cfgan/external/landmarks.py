"""Where faces are in photographs, and five points of each: dlib's detector and shape predictor.

The detector is that of :mod:`cfgan.external.detector`; the points come from an ensemble of regression trees (Kazemi and
Sullivan, CVPR 2014) that the public package ``face-recognition-models`` carries. It was trained on the iBUG 300-W data
set, whose licence excludes commercial use. Needs the extra ``cfgan[identity]``.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import ConfigError

Pixels = npt.NDArray[np.uint8]
"""A picture, (H, W, 3), RGB, 0..255."""
Points = npt.NDArray[np.float64]
"""(5, 2), x and y in pixels from the picture's corner: the middle of the eye on the left of the picture and of that on
the right, the tip of the nose, the left and the right corner of the mouth."""

_FILE = "shape_predictor_68_face_landmarks.dat"
_FIVE = (slice(36, 42), slice(42, 48), slice(30, 31), slice(48, 49), slice(54, 55))
"""Which of the 68 points each of the five is the mean of. The package's own five, four corners of eyes and the base of
the nose, say nothing of the mouth: with them CelebA's images come back twice as far from their places."""


@dataclass(frozen=True)
class Box:
    """A face in a picture: left, top, right, bottom in pixels, the last two not inside; ``score``, more is surer."""

    left: int
    top: int
    right: int
    bottom: int
    score: float

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)


class FaceLandmarks:
    """Faces of 80 pixels and more, turned by at most some 20 degrees, and five points of each.

    May be called from several threads: each has its own detector, which keeps what it scans.

    Raises:
        ConfigError: the extra is missing or damaged.
    """

    name = "dlib-hog, dlib-68-points"

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise ConfigError(f"finding faces needs the extra: pip install 'cfgan[identity]' ({error}).") from None
        # The package itself is not imported: it needs pkg_resources, which newer installations do not have.
        package = find_spec("face_recognition_models")
        if package is None or not package.submodule_search_locations:
            raise ConfigError("finding faces needs the extra: pip install 'cfgan[identity]'.")
        path = Path(package.submodule_search_locations[0]) / "models" / _FILE
        try:
            self._predict: Any = dlib.shape_predictor(str(path))
        except RuntimeError as error:
            raise ConfigError(f"face-recognition-models is damaged ({error}); install it again.") from None
        self._rectangle: Any = dlib.rectangle
        self._new_detector: Any = dlib.get_frontal_face_detector
        self._local = threading.local()

    def boxes(self, pixels: Pixels) -> list[Box]:
        """The faces in a picture as it is, the largest first."""
        if not hasattr(self._local, "detector"):
            self._local.detector = self._new_detector()
        found, scores, _ = self._local.detector.run(np.ascontiguousarray(pixels), 0, 0.0)
        boxes = [
            Box(face.left(), face.top(), face.right() + 1, face.bottom() + 1, float(score))
            for face, score in zip(found, scores, strict=True)
        ]
        return sorted(boxes, key=lambda box: (-box.area, box.left, box.top))

    def points(self, pixels: Pixels, box: Box) -> Points:
        """Five points of the face in a box, which may reach beyond the picture."""
        # Both of a rectangle's ends are inside for dlib, and a pixel's middle is at its number.
        place = self._rectangle(box.left, box.top, box.right - 1, box.bottom - 1)
        parts = self._predict(np.ascontiguousarray(pixels), place).parts()
        every = np.asarray([(part.x + 0.5, part.y + 0.5) for part in parts], dtype=np.float64)
        return np.stack([every[these].mean(0) for these in _FIVE])
