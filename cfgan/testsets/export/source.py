"""What every export of a test set stands on: its options, its images as they are checked and encoded, its plan."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.data.decode import load_rgb, to_square
from cfgan.errors import FolderError, InputError
from cfgan.io.files import sha256_of
from cfgan.io.png import encode_jpeg, encode_png
from cfgan.testsets.check import check_tables
from cfgan.testsets.enrolled import enrolled_path, frame_of, framed
from cfgan.testsets.export.align import Aligner
from cfgan.testsets.folder import Testset, subject_of
from cfgan.testsets.tables import GALLERY, attribute_columns, attribute_rows, is_enrolled, read_checksums

IMAGE_KINDS = ("jpg", "png")
MAX_SIZE = 4096
MAX_MARGIN = 0.4
LEAST_ALIGNED = 32  # side in pixels

_WORKERS = 4  # images decoded and encoded at a time
Pixels = npt.NDArray[np.uint8]
_Given = TypeVar("_Given")

Tick = Callable[[], None]
"""Called after each image: shows progress, and raises StoppedError where a stop was asked for."""


@dataclass(frozen=True)
class ExportOptions:
    """What an export may be told; each format takes some of these.

    Args:
        presumed_as_mated: give presumed mated comparisons out as mated ones.
        balance: leave comparisons out, by a fixed draw, until every fold has as many mated as non-mated ones.
        gallery: the folder of enrolled people, PERSON/FILE, whose images are to be copied into the export.
        images: "jpg" or "png".
        size: side of the exported images in pixels, 8..4096; the format's own when None.
        quality: of JPEG, 50..95.
        with_images: put the images' bytes into the table.
        margin: width of the border around each image, as a share of the exported side, 0..0.4: detectors that look for
            faces in scenes find few that fill their image.
        align: side of images that are aligned by five points, 32..4096, instead of ``size`` and ``margin``.
    """

    presumed_as_mated: bool = False
    balance: bool = False
    gallery: Path | None = None
    images: str = "jpg"
    size: int | None = None
    quality: int = 95
    with_images: bool = False
    margin: float = 0.0
    align: int | None = None

    def check(self, kind: str, taken: frozenset[str]) -> None:
        """Raise InputError for a value out of range, or one that the format ``kind`` does not take."""
        for each in fields(self):
            if each.name not in taken and getattr(self, each.name) != each.default:
                flag = "--" + each.name.replace("_", "-")
                raise InputError(
                    f"cannot be combined with --format {kind}.", field=flag, value=getattr(self, each.name)
                )
        if self.images not in IMAGE_KINDS:
            raise InputError(
                f"{self.images!r} is neither jpg nor png.", field="--images", value=self.images, nearest=IMAGE_KINDS
            )
        for flag, value, low, high in (
            ("--quality", self.quality, 50, 95),
            ("--size", self.size, 8, MAX_SIZE),
            ("--align", self.align, LEAST_ALIGNED, MAX_SIZE),
        ):
            if value is not None and not low <= value <= high:
                close = low if value < low else high
                text = f"{value} is not between {low} and {high}."
                raise InputError(text, field=flag, value=value, nearest=[close])
        if not 0 <= self.margin <= MAX_MARGIN:
            end = 0.0 if self.margin < 0 else MAX_MARGIN
            text = f"{self.margin:g} is not between 0 and {MAX_MARGIN:g}."
            raise InputError(text, field="--margin", value=self.margin, nearest=[end])
        if self.align is not None and (self.size is not None or self.margin):
            given = "--margin" if self.margin else "--size"
            raise InputError(f"cannot be combined with {given}: aligning sets both.", field="--align", value=self.align)
        if self.gallery is not None and not self.gallery.is_dir():
            raise FolderError(f"there is no folder {self.gallery}.", field="--gallery", value=self.gallery)

    def to_dict(self) -> dict[str, Any]:
        """Those that are not the default, without paths."""
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "gallery"}
        return {name: value for name, value in found.items() if value != getattr(ExportOptions(), name)}


@dataclass(frozen=True)
class Plan:
    """An export that has been checked and can be written.

    Args:
        steps: how many times ``write`` calls its Tick.
        write: writes the export into a new folder.
        reading: how it is read, as lines for its README.
        notes: what was done to the set and what the format cannot hold, a sentence each.
        counts: figures for ``export.json``.
        real_faces: whether real faces are in it beside the generated ones.
    """

    steps: int
    write: Callable[[Path, Tick], None]
    reading: tuple[str, ...]
    notes: tuple[str, ...]
    counts: dict[str, Any] = field(default_factory=dict)
    real_faces: bool = False


class Source:
    """A test set as exports read it: every file is compared with its checksum before its pixels are used.

    Args:
        testset: an opened test set.
        gallery: the folder of enrolled people, or None.

    Raises:
        FolderError: its checksums or tables are damaged or contradict each other.
    """

    def __init__(self, testset: Testset, gallery: Path | None = None) -> None:
        self.testset = testset
        self.gallery = gallery
        self._frame = frame_of(testset) if gallery is not None else None
        self._sums, problems = read_checksums(testset.path)
        if problems := [*problems, *check_tables(testset, self._sums)]:
            more = f" and {len(problems) - 1:,} more problems" if problems[1:] else ""
            text = f"{testset.path} is damaged: {problems[0]}{more}; cfgan testset check lists what is wrong."
            raise FolderError(text, field="testset", value=testset.path)
        self.columns = attribute_columns(testset.path)
        self.files = tuple(row.file for row in attribute_rows(testset.path))
        for name in self.files:
            self.require(name)

    def require(self, name: str) -> None:
        """Raise FolderError unless an image can be had: in the set, or in the gallery that was given."""
        if name in self._sums:
            if not (self.testset.path / name).is_file():
                raise FolderError(f"{name} is missing.", field="testset", value=self.testset.path)
        elif not is_enrolled(name):
            raise FolderError(f"there is no image {name}.", field="testset", value=self.testset.path)
        elif self.gallery is None:
            raise InputError(
                f"the set compares with enrolled faces that you keep, such as {name}; name their folder to copy them.",
                field="--gallery",
            )
        elif name.endswith("/"):
            raise InputError(f"{subject_of(name)} is enrolled without an image.", field="--gallery", value=name)
        elif not self._path(name).is_file():
            raise InputError(f"{self.gallery} has no {name.removeprefix(GALLERY)}.", field="--gallery", value=name)

    def _path(self, name: str) -> Path:
        if name in self._sums or self.gallery is None:
            return self.testset.path / name
        return enrolled_path(self.gallery, name)

    def checked(self, name: str) -> Path:
        """The path of an image that is as it was made. Raises FolderError if it has changed."""
        path = self._path(name)
        try:
            if name in self._sums and sha256_of(path) != self._sums[name]:
                raise FolderError(f"{name} has changed since the set was made.", field="testset", value=name)
        except OSError as error:
            raise FolderError(f"{name} cannot be read ({error.strerror}).", field="testset", value=name) from None
        return path

    def encode(
        self, name: str, kind: str, side: int, quality: int, margin: float = 0.0, align: Aligner | None = None
    ) -> bytes:
        """An image's central square, or its face aligned, as JPEG or PNG bytes with the mark and text that it carries.

        Enrolled faces are real: they get neither. A margin takes its share of the side on each edge and goes on with
        the colours of the image's own edge.

        Raises:
            FolderError: it has changed since the set was made.
            DataError: it cannot be decoded.
        """
        path = self.checked(name)
        kept = self._frame is None or name in self._sums  # what the user keeps is framed as the set was built with it
        image = load_rgb(path) if kept or self._frame is None else framed(self._frame, name, path)
        if align is not None:
            pixels = align(name, image)
        else:
            border = round(margin * side)
            inner = side - 2 * border
            pixels = to_square(image, inner) if image.size != (inner, inner) else _pixels(image)
            pixels = np.pad(pixels, ((0, 0), (border, border), (border, border)), mode="edge") if border else pixels
        real = name.startswith(GALLERY)
        text = None if real else text_of(image)
        if kind == "jpg":
            return encode_jpeg(pixels, text, quality=quality, marked=not real)
        return encode_png(pixels, text, marked=not real)


def for_each(work: Callable[[_Given], object], given: Iterable[_Given], tick: Tick) -> None:
    """Do ``work`` in threads, a few items ahead: memory does not grow with the set, and a stop waits for few.

    Raises:
        Whatever ``work`` and ``tick`` raise, once no thread works any more.
    """
    rest = iter(given)
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="export") as pool:
        ahead: deque[Future[object]] = deque(pool.submit(work, item) for item in islice(rest, 2 * _WORKERS))
        try:
            while ahead:
                ahead.popleft().result()
                tick()
                ahead.extend(pool.submit(work, item) for item in islice(rest, 1))
        except BaseException:
            for future in ahead:
                future.cancel()
            raise


def _pixels(image: Image.Image) -> Pixels:
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


def text_of(image: Image.Image) -> dict[str, Any] | None:
    """What the generator wrote into a PNG: bundle, spec, seed, draw."""
    try:
        value = json.loads(image.info.get("cfgan", ""))
    except (ValueError, TypeError):
        return None
    return value if isinstance(value, dict) else None
