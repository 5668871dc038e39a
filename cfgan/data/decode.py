"""Decoding images from untrusted files, and bringing them to the model's square.

:func:`load_rgb` serves the plain files of a data set; :func:`read_square`, :func:`read_picture` and :func:`see_picture`
whatever lies in a folder, as a person sees it: turned as its EXIF says, transparent parts on white, 16-bit grey scaled
rather than clipped.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from cfgan.errors import CfganError, DataError, InputError, nearest
from cfgan.io.reading import open_regular, said

Box = tuple[int, int, int, int]

IMAGE_SIZE = (178, 218)
"""Width x height in pixels of one of CelebA's aligned images."""

CROP: Box = (0, 20, 178, 198)
"""The usual central 178 x 178 crop of those: left, top, right, bottom in pixels."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""The only decoders that an image from outside may reach."""

MAX_PIXELS = 64_000_000
"""Width x height above which an image is refused unread."""

MAX_BYTES = 1 << 29
"""Bytes of the largest image file that is read: above so many pixels uncompressed."""

CROPS = ("center", "none", "celeba")
"""How a picture is made square: its largest central square; all of it, squeezed; the box of CelebA's aligned images."""

_KEEP = 4  # a JPEG is decoded at a coarser scale only where at least so many pixels a pixel of the result are left
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# How formats begin that people have and that are not read.
_FOREIGN = (
    ("GIF", 0, b"GIF8"),
    ("HEIC", 4, b"ftyphei"),
    ("HEIC", 4, b"ftypmif"),
    ("AVIF", 4, b"ftypavi"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("PDF", 0, b"%PDF"),
    ("SVG", 0, b"<svg"),
)


def check_crop(crop: str) -> None:
    """Raise InputError, with the nearest, unless ``crop`` is one of :data:`CROPS`."""
    if crop not in CROPS:
        raise InputError(
            f"{crop!r} is not one of {', '.join(CROPS)}.", field="--crop", value=crop, nearest=nearest(crop, CROPS)
        )


def read_square(path: Path | bytes, size: int, crop: str = "center") -> npt.NDArray[np.uint8]:
    """Decode an image completely, make it square and resize it with an antialiasing filter.

    Args:
        path: a JPEG, PNG, WebP or BMP file of any size and mode, or its bytes; of several frames the first is taken.
        size: side of the result in pixels.
        crop: one of :data:`CROPS`.

    Returns:
        uint8 (size, size, 3), RGB, 0..255. An image that is ``size`` x ``size`` already keeps its pixels.

    Raises:
        DataError: missing, not an allowed format, too large, truncated or otherwise broken, or, with "celeba", not of
            the aligned images' size. The text does not name the file.
    """
    with _opened(path) as image:
        if crop == "celeba" and image.size != IMAGE_SIZE:
            raise DataError(f"{image.width} x {image.height} pixels instead of {IMAGE_SIZE[0]} x {IMAGE_SIZE[1]}.")
        image.draft(None, (_KEEP * size, _KEEP * size))  # JPEG alone: large photographs decode several times faster
        image.load()
        return _squared(_upright(_rgb(image), _orientation(image)), size, crop)


def read_picture(path: Path | bytes) -> Image.Image:
    """Decode an image completely, RGB and upright. Raises DataError as :func:`read_square`."""
    with _opened(path) as image:
        image.load()
        return _upright(_rgb(image), _orientation(image))


def picture(image: Image.Image) -> Image.Image:
    """A decoded image of any mode as RGB: greys in three equal channels, 16 bits scaled, transparency on white."""
    return _rgb(image)


def load_rgb(path: Path) -> Image.Image:
    """Decode an image completely.

    ``Image.verify`` passes truncated JPEGs, so the pixels are really loaded.

    Raises:
        DataError: missing, not an allowed format, too large, truncated or otherwise broken; names the file.
    """
    try:
        with _opened(path) as image:
            image.load()
            return image.convert("RGB")
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from None


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


@contextlib.contextmanager
def _opened(path: Path | bytes) -> Iterator[Image.Image]:
    """An image file whose header was read; what goes wrong inside becomes a DataError that does not name the file."""
    try:
        with io.BytesIO(path) if isinstance(path, bytes) else open_regular(path, MAX_BYTES) as handle:
            if handle.read(1) == b"":
                raise DataError("the file is empty.")
            handle.seek(0)
            with Image.open(handle, formats=FORMATS) as image:  # reads the header only
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{image.width} x {image.height} is more than {MAX_PIXELS:,} pixels.")
                if image.mode == "P" and image.palette is None:
                    raise DataError("broken image (it has no palette).")
                yield image
    except (CfganError, MemoryError, ImportError):  # not the file's fault
        raise
    except FileNotFoundError:
        raise DataError("the file is missing.") from None
    except UnidentifiedImageError:
        raise DataError(f"not a {', '.join(FORMATS)} image{_what_it_is(path)}.") from None
    except Image.DecompressionBombError:
        raise DataError(f"more than {MAX_PIXELS:,} pixels.") from None
    except Exception as error:  # decoders answer damage with anything, assertions too
        raise DataError(f"broken image ({said(error)}).") from None


def _what_it_is(path: Path | bytes) -> str:
    """A remark such as ", but GIF: convert it first" by how the file begins; empty where that is unknown."""
    with contextlib.suppress(OSError), io.BytesIO(path) if isinstance(path, bytes) else open_regular(path) as handle:
        start = handle.read(32)
        for name, place, magic in _FOREIGN:
            if start[place:].startswith(magic):
                return f", but {name}: convert it first"
    return ""


def _squared(image: Image.Image, size: int, crop: str) -> npt.NDArray[np.uint8]:
    if image.size == (size, size) and crop != "celeba":
        return np.asarray(image)  # as to_square would have it, without three copies
    box: Box | None = None
    if crop == "celeba":
        box = CROP
    elif crop == "none":
        box = (0, 0, image.width, image.height)
    return to_square(image, size, box).transpose(1, 2, 0)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel; Image.convert would clip all but the darkest to white
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1..8; 1, upright, where there is none or it cannot be read: the pixels are good."""
    if "exif" not in image.info:
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # as above
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


@dataclass(frozen=True)
class Seen:
    """A picture and what its file says of it: ``format`` such as "JPEG", Pillow's ``mode``, stored ``size`` (width,
    height), the XMP packet, empty where there is none."""

    image: Image.Image
    format: str
    mode: str
    size: tuple[int, int]
    xmp: bytes = b""


def see_picture(path: Path) -> Seen:
    """Decode an image completely, RGB and upright, with what was in the file. Raises DataError as
    :func:`read_square`."""
    with _opened(path) as image:
        form, mode, size = image.format or "", image.mode, image.size
        image.load()
        xmp = image.info.get("xmp", b"")
        return Seen(
            _upright(_rgb(image), _orientation(image)), form, mode, size, xmp if isinstance(xmp, bytes) else b""
        )
