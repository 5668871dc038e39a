"""Looking once at every image of a data set: is it whole, how large, what digests, and the mean over many."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.data.decode import MAX_BYTES, Box, see_picture, to_square
from cfgan.data.profile.duplicates import HASH_SIDE, HASH_WORDS, difference_hash, grey_thumbnail
from cfgan.errors import DataError
from cfgan.io.progress import Progress
from cfgan.io.reading import open_regular

LEAST_IMAGES = 50
"""Images under which no mean is made: a mean of few images shows a person."""

_BATCH = 128  # images whose mean is taken in one step
_AHEAD = 256  # images being decoded or waiting
MISSING = "the file is missing."
"""The problem of a name without a file."""


@dataclass(frozen=True)
class Look:
    """One image that was looked at.

    Args:
        problem: why it cannot be used, or None.
        form: "JPEG", "PNG", ...; "" where there is no file of its own.
        mode: Pillow's, such as "RGB".
        size: width, height in pixels, as stored.
        weight: bytes of the file.
        file_digest: sha256 of the file's bytes; None where there is none of its own.
        pixel_digest: sha256 of size and pixels as a person sees them: RGB, upright, transparency on white.
        grey: uint8 (16, 17) thumbnail.
        square: uint8 (3, side, side), RGB.
    """

    problem: str | None = None
    form: str = ""
    mode: str = ""
    size: tuple[int, int] = (0, 0)
    weight: int = 0
    file_digest: bytes | None = None
    pixel_digest: bytes | None = None
    grey: npt.NDArray[np.uint8] | None = None
    square: npt.NDArray[np.uint8] | None = None


class Pictures(Protocol):
    """Images to look at: their names, and for each the row of the labels that it belongs to, or -1."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def rows(self) -> npt.NDArray[np.int64]: ...

    def look(self, place: int, side: int) -> Look:
        """Look at one; ``side`` of the square in pixels. Called from several threads."""
        ...


Frame = Callable[[str, Image.Image], Image.Image]
"""What is made of a picture of some name, RGB and upright, before it is looked at; raises DataError."""


@dataclass(frozen=True)
class FilePictures:
    """Image files. ``crop``: what :func:`cfgan.data.decode.to_square` cuts out where an image is of ``expected`` size;
    the largest central square elsewhere. ``known``: place -> why a file cannot be read, where that is known already.
    ``frame``: what is made of each picture first; raises DataError."""

    names: Sequence[str]
    paths: Sequence[Path]
    rows: npt.NDArray[np.int64]
    crop: Box | None = None
    expected: tuple[int, int] | None = None
    known: dict[int, str] = field(default_factory=dict)
    frame: Frame | None = None

    def look(self, place: int, side: int) -> Look:
        path = self.paths[place]
        if place in self.known:
            return Look(self.known[place])
        if not path.is_file():
            return Look("not a regular file." if path.exists() else MISSING)
        try:
            with open_regular(path, MAX_BYTES) as handle:
                digest = hashlib.file_digest(handle, "sha256").digest()
                weight = handle.tell()
        except OSError as error:
            return Look(f"cannot be read ({error.strerror}).")
        try:
            seen = see_picture(path)
            image = seen.image if self.frame is None else self.frame(self.names[place], seen.image)
        except DataError as error:
            return Look(str(error), weight=weight, file_digest=digest)
        crop = self.crop if (seen if self.frame is None else image).size == self.expected else None
        return _looked(image, side, crop, seen.format, seen.mode, seen.size, weight, digest)


@dataclass(frozen=True)
class ArrayPictures:
    """Images in one array, uint8 (N, 3, S, S), RGB, as in a packed store."""

    names: Sequence[str]
    images: npt.NDArray[np.uint8]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        return np.arange(len(self.images))

    def look(self, place: int, side: int) -> Look:
        image = Image.fromarray(np.ascontiguousarray(self.images[place].transpose(1, 2, 0)))
        return _looked(image, side, None, "", "RGB", image.size, 0, None)


@dataclass(frozen=True)
class OpenedPictures:
    """Images that are no files of their own; ``opener`` gives the RGB image of a name, or raises DataError."""

    names: Sequence[str]
    opener: Callable[[str], Image.Image]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        return np.arange(len(self.names))

    def look(self, place: int, side: int) -> Look:
        try:
            image = self.opener(self.names[place])
        except DataError as error:
            return Look(str(error))
        return _looked(image, side, None, "", image.mode, image.size, 0, None)


def _looked(
    image: Image.Image,
    side: int,
    crop: Box | None,
    form: str,
    mode: str,
    size: tuple[int, int],
    weight: int,
    digest: bytes | None,
) -> Look:
    pixels = hashlib.sha256(f"{image.width}x{image.height}".encode())
    pixels.update(image.tobytes())
    square = to_square(image, side, crop)
    return Look(None, form, mode, size, weight, digest, pixels.digest(), grey_thumbnail(image), square)


class MeanImages:
    """The mean of the images that carry each signed value, in pixels.

    Args:
        attributes: A.
        side: of the images in pixels.
    """

    def __init__(self, attributes: int, side: int) -> None:
        self.side = side
        self.count = np.zeros(2 * attributes, dtype=np.int64)
        self._total = np.zeros((2 * attributes, 3 * side * side))

    def add(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.float32]) -> None:
        """Add uint8 (n, 3, side, side) with their labels, float32 (n, A)."""
        signed = np.stack([labels > 0, labels < 0], axis=2).reshape(len(labels), -1).astype(np.float32)
        self.count += signed.sum(0).astype(np.int64)
        # Sums of a batch are whole numbers below 2^24: exact in float32.
        self._total += signed.T @ images.reshape(len(images), -1).astype(np.float32)

    def image(self, signed: int) -> npt.NDArray[np.uint8] | None:
        """uint8 (side, side, 3), or None with fewer than :data:`LEAST_IMAGES` images."""
        if self.count[signed] < LEAST_IMAGES:
            return None
        mean = np.round(self._total[signed] / self.count[signed]).astype(np.uint8)
        return np.asarray(mean.reshape(3, self.side, self.side).transpose(1, 2, 0))


@dataclass
class Scan:
    """What was seen, an entry an image.

    Args:
        looks: without thumbnails and squares, which are in ``grey`` and ``means``.
        grey: uint8 (M, 16, 17); zeros where an image cannot be used.
        hashes: uint64 (M, 4), dHash of ``grey``.
        means: over the images with labels.
    """

    looks: list[Look]
    grey: npt.NDArray[np.uint8]
    hashes: npt.NDArray[np.uint64]
    means: MeanImages

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """bool (M,): images that could be read."""
        return np.fromiter((look.problem is None for look in self.looks), dtype=bool, count=len(self.looks))


def scan_images(
    pictures: Pictures,
    labels: npt.NDArray[np.float32],
    *,
    side: int = 64,
    workers: int = 2,
    progress: Progress | None = None,
) -> Scan:
    """Look at every image, decoding in threads (Pillow and hashlib work outside the interpreter lock).

    Args:
        pictures: M images.
        labels: float32 (N, A) that their rows point into.
        side: of the mean images in pixels.
        workers: threads.
        progress: called with images done and in all; what it raises ends the work.
    """
    total = len(pictures.names)
    scan = Scan(
        [],
        np.zeros((total, HASH_SIDE, HASH_SIDE + 1), dtype=np.uint8),
        np.zeros((total, HASH_WORDS), dtype=np.uint64),
        MeanImages(labels.shape[1], side),
    )
    squares: list[npt.NDArray[np.uint8]] = []
    rows: list[int] = []
    with ThreadPoolExecutor(workers) as pool:
        for place, look in enumerate(_in_order(pool, lambda k: pictures.look(k, side), total)):
            if look.grey is not None and look.square is not None:
                scan.grey[place] = look.grey
                scan.hashes[place] = difference_hash(look.grey)
                if pictures.rows[place] >= 0:
                    squares.append(look.square)
                    rows.append(int(pictures.rows[place]))
            scan.looks.append(
                Look(look.problem, look.form, look.mode, look.size, look.weight, look.file_digest, look.pixel_digest)
            )
            last = place + 1 == total
            if squares and (len(squares) == _BATCH or last):
                scan.means.add(np.stack(squares), labels[rows])
                squares, rows = [], []
            if progress is not None and ((place + 1) % 16 == 0 or last):
                progress("looking", place + 1, total)
    return scan


def _in_order(pool: ThreadPoolExecutor, work: Callable[[int], Look], total: int) -> Iterator[Look]:
    """Results in order, with at most :data:`_AHEAD` waiting; what has not begun is dropped when the reader leaves."""
    pending = iter(range(total))
    futures: deque[Future[Look]] = deque(pool.submit(work, k) for k in islice(pending, _AHEAD))
    try:
        while futures:
            yield futures.popleft().result()
            futures.extend(pool.submit(work, k) for k in islice(pending, 1))
    finally:
        for future in futures:
            future.cancel()
