"""One photo as a model's square, by its face or by its middle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.data.decode import CROP, read_picture, read_square, to_square
from cfgan.data.framing.faces import Framer
from cfgan.errors import DataError


@dataclass(frozen=True)
class FramedPhoto:
    """A photo as a model sees it.

    Args:
        levels: uint8 (3, S, S), RGB, 0..255.
        eyes: pixels between the eyes in the photo; None where no face was looked for.
    """

    levels: npt.NDArray[np.uint8]
    eyes: float | None = None


def open_photo(photo: Path | bytes, size: int, framer: Framer | None, crop: str = "center") -> FramedPhoto:
    """A photo at a model's size.

    Args:
        photo: a JPEG, PNG, WebP or BMP file of any size, or its bytes.
        size: side S of the result in pixels.
        framer: brings the largest face into CelebA's frame; without one the photo is made square as ``crop`` says.
        crop: one of :data:`cfgan.data.decode.CROPS`.

    Raises:
        DataError: it cannot be read, or shows no face.
    """
    name = f"{photo}: " if isinstance(photo, Path) else ""
    try:
        if framer is None:
            square = read_square(photo, size, crop).transpose(2, 0, 1)
            return FramedPhoto(np.array(square))  # Pillow's own memory is read-only
        picture = read_picture(photo)
        face = framer.choose(picture)[0]
        return FramedPhoto(to_square(face.framed(picture), size, CROP), face.eyes)
    except DataError as error:
        field, value = ("PHOTO", photo) if isinstance(photo, Path) else ("photo", None)
        raise DataError(f"{name}{error}", field=field, value=value) from None
