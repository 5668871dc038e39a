"""Whether an image shows a face at all, by a detector that knows nothing of generators.

dlib's frontal face detector: histograms of oriented gradients and a linear classifier (Dalal and Triggs, CVPR 2005;
King, arXiv:1502.00046). It finds faces of 80 pixels and more, so small images are enlarged. Needs the extra
``cfgan[evaluate]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.errors import ConfigError, DataError

_EVERY = 64  # images between two calls of progress

SIDE = 256
"""Side in pixels to which images are enlarged. Of 128, 160, 192, 224 and 256, each with margins of 0, 1/8 and 1/4 of
the side, 256 without a margin finds most faces among both real and generated ones of 64 pixels; a margin finds no more
and costs time."""


class FaceDetector:
    """dlib's frontal face detector on enlarged images (bicubic); deterministic, one thread.

    Raises:
        ConfigError: dlib is missing.
    """

    name = "dlib-hog"

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise ConfigError(f"the face detector needs the extra: pip install 'cfgan[evaluate]' ({error}).") from None
        self._detect: Any = dlib.get_frontal_face_detector()

    def __call__(
        self, levels: npt.NDArray[np.uint8], progress: Callable[[int, int], None] | None = None
    ) -> npt.NDArray[np.bool_]:
        """Which images show at least one face.

        Args:
            levels: uint8 (N, 3, H, W), 0..255; may be memory-mapped.
            progress: called with (images done, images in all).

        Returns:
            bool (N,).

        Raises:
            DataError: another type or shape.
        """
        if levels.dtype != np.uint8 or levels.ndim != 4 or levels.shape[1] != 3:
            raise DataError(f"images must be uint8 (N, 3, H, W), not {levels.dtype} {levels.shape}.")
        found = np.zeros(len(levels), np.bool_)
        for i, image in enumerate(levels):
            found[i] = len(self._detect(_enlarged(image), 0)) > 0
            if progress and ((i + 1) % _EVERY == 0 or i + 1 == len(levels)):
                progress(i + 1, len(levels))
        return found

    def count(self, levels: npt.NDArray[np.uint8], progress: Callable[[int, int], None] | None = None) -> int:
        """In how many images a face is found; arguments and errors as for a call."""
        return int(self(levels, progress).sum())


def share_with_face(
    levels: npt.NDArray[np.uint8],
    *,
    detector: FaceDetector | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """In how many images a face is found, and of how many.

    Measure real images beside it: their share is what the detector can find at best.

    Raises:
        ConfigError: dlib is missing.
        DataError: not uint8 (N, 3, H, W).
    """
    return (detector or FaceDetector()).count(levels, progress), len(levels)


def _enlarged(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(3, H, W) to (256, 256, 3); larger images are made smaller."""
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
