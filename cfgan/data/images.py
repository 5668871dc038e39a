"""Decoding one image from an untrusted file, and bringing it to the model's square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from cfgan.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""The only decoders that an image from outside may reach."""

MAX_PIXELS = 64_000_000
"""Width x height above which an image is refused unread."""

Box = tuple[int, int, int, int]


def load_rgb(path: Path) -> Image.Image:
    """Decode an image completely.

    ``Image.verify`` passes truncated JPEGs, so the pixels are really loaded.

    Raises:
        DataError: missing, not an allowed format, too large, truncated or otherwise broken; names the file.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:  # reads the header only
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{path.name}: {image.width} x {image.height} is more than {MAX_PIXELS:,} pixels.")
            image.load()
            return image.convert("RGB")
    except FileNotFoundError:
        raise DataError(f"{path.name}: the file is missing.") from None
    except UnidentifiedImageError:
        raise DataError(f"{path.name}: not a {', '.join(FORMATS)} image.") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path.name}: more than {MAX_PIXELS:,} pixels.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path.name}: broken image ({error}).") from None


def to_square(image: Image.Image, size: int, box: Box | None = None) -> npt.NDArray[np.uint8]:
    """Crop and resize with an antialiasing filter.

    Args:
        image: RGB.
        size: side of the result in pixels.
        box: (left, top, right, bottom) in pixels; the largest central square when None.

    Returns:
        uint8 array (3, size, size), RGB, 0..255.
    """
    if box is None:
        side = min(image.width, image.height)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
    # Lanczos on the cropped box only, so that pixels outside it do not bleed in.
    resized = image.crop(box).resize((size, size), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1))
