"""Whether an image shows a face at all, by a detector that knows nothing of generators. Needs ``cfgan[evaluate]``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cfgan.external.detector import FaceFinder, Levels, Progress, found


class FaceDetector:
    """:class:`cfgan.external.detector.FaceFinder`, asked only whether there is a face.

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
            progress: called with (images done, images in all).

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
