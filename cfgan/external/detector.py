"""Where the faces are: dlib's frontal face detector on enlarged images.

Histograms of oriented gradients and a linear classifier (Dalal and Triggs, CVPR 2005; King, arXiv:1502.00046). It finds
faces of 80 pixels and more, so small images are enlarged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.errors import ConfigError, DataError
from cfgan.io.progress import Progress

SIDE = 256
"""Side in pixels to which images are enlarged. Of 128, 160, 192, 224 and 256, each with margins of 0, 1/8 and 1/4 of
the side, 256 without a margin finds most faces among both real and generated ones of 64 pixels; a margin finds no more
and costs time."""

Levels = npt.NDArray[np.uint8]
"""Images as pixel levels, (N, 3, H, W), 0..255."""
Boxes = npt.NDArray[np.int64]
"""(N, 4): left, top, right, bottom of a face in the image enlarged to ``SIDE``, the last two not inside; zeros where
there is none."""

_EVERY = 64  # images between two calls of progress


class FaceFinder:
    """dlib's frontal face detector on enlarged images (bicubic); deterministic, one thread, some 100 images a second.

    Args:
        extra: of cfgan, which a message about a missing dlib names.

    Raises:
        ConfigError: dlib is missing.
    """

    name = "dlib-hog"

    def __init__(self, extra: str = "external") -> None:
        try:
            import dlib
        except ImportError as error:
            raise ConfigError(f"the face detector needs the extra: pip install 'cfgan[{extra}]' ({error}).") from None
        self._detect: Any = dlib.get_frontal_face_detector()

    def __call__(self, levels: Levels, progress: Progress | None = None) -> Boxes:
        """The largest face of each image.

        Args:
            levels: uint8 (N, 3, H, W), 0..255; may be memory-mapped.
            progress: called with images done and in all.

        Raises:
            DataError: another type or shape.
        """
        check_levels(levels)
        boxes = np.zeros((len(levels), 4), np.int64)
        for i, image in enumerate(levels):
            if faces := self._detect(np.asarray(enlarged(image)), 0):
                face = max(faces, key=lambda each: each.area())
                boxes[i] = face.left(), face.top(), face.right() + 1, face.bottom() + 1
            if progress and ((i + 1) % _EVERY == 0 or i + 1 == len(levels)):
                progress("looking for faces", i + 1, len(levels))
        return boxes


def found(boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Boxes (N, 4) to where there is a face, bool (N,)."""
    return np.asarray(boxes[:, 2] > boxes[:, 0])


def enlarged(image: Levels) -> Image.Image:
    """Pixel levels (3, H, W) to a picture of ``SIDE`` x ``SIDE``; larger images are made smaller."""
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    return picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def check_levels(levels: npt.NDArray[Any]) -> None:
    """Raises DataError: not uint8 (N, 3, H, W)."""
    if levels.dtype != np.uint8 or levels.ndim != 4 or levels.shape[1] != 3:
        raise DataError(f"images must be uint8 (N, 3, H, W), not {levels.dtype} {levels.shape}.")


class FaceDetector:
    """:class:`FaceFinder`, asked only whether there is a face.

    Raises:
        ConfigError: dlib is missing.
    """

    name = FaceFinder.name

    def __init__(self) -> None:
        self._find = FaceFinder(extra="evaluate")

    def __call__(self, levels: Levels, progress: Progress | None = None) -> npt.NDArray[np.bool_]:
        """Which images show at least one face.

        Args:
            levels: uint8 (N, 3, H, W), 0..255; may be memory-mapped.
            progress: called with images done and in all.

        Returns:
            bool (N,).

        Raises:
            DataError: another type or shape.
        """
        return found(self._find(levels, progress))

    def count(self, levels: Levels, progress: Progress | None = None) -> int:
        """In how many images a face is found; arguments and errors as for a call."""
        return int(self(levels, progress).sum())


def share_with_face(
    levels: Levels, *, detector: FaceDetector | None = None, progress: Progress | None = None
) -> tuple[int, int]:
    """In how many images a face is found, and of how many.

    Measure real images beside it: their share is what the detector can find at best.

    Raises:
        ConfigError: dlib is missing.
        DataError: not uint8 (N, 3, H, W).
    """
    return (detector or FaceDetector()).count(levels, progress), len(levels)
