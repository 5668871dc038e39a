"""A photo as the projector takes it: the bundle's square, and what the verifier reads in it as a condition."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cfgan.data.decode import CROP, read_picture, read_square, to_square
from cfgan.data.framing.faces import Framer
from cfgan.errors import DataError
from cfgan.model.engine import Floats, Levels
from cfgan.verify.reader import Reader


def open_photo(photo: Path | bytes, size: int, framer: Framer | None) -> Levels:
    """A photo as pixel levels, uint8 (3, size, size).

    Args:
        photo: a JPEG, PNG, WebP or BMP file of any size, or its bytes.
        size: side of the result in pixels.
        framer: brings the largest face into CelebA's frame; without one the largest central square is taken.

    Raises:
        DataError: it cannot be read, or shows no face.
    """
    name = f"{photo}: " if isinstance(photo, Path) else ""
    try:
        if framer is None:
            return np.array(read_square(photo, size).transpose(2, 0, 1))  # Pillow's own memory is read-only
        picture = read_picture(photo)
        return to_square(framer.choose(picture)[0].framed(picture), size, CROP)
    except DataError as error:
        raise DataError(f"{name}{error}", field="PHOTO", value=photo if isinstance(photo, Path) else None) from None


def read_condition(verifier: Reader, levels: Levels) -> Floats:
    """What the verifier reads in photos (N, 3, size, size) as conditions, float32 (N, A) in -1..1: 0 at its threshold,
    -1 and 1 where it is certain."""
    probability, threshold = verifier.probability(levels), verifier.calibration.threshold
    above = (probability - threshold) / np.maximum(1 - threshold, 1e-6)
    below = (probability - threshold) / np.maximum(threshold, 1e-6)
    return np.asarray(np.where(probability >= threshold, above, below).clip(-1, 1), np.float32)
