"""A drawn data set: as a table that can be packed, or as a folder of images with their labels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from cfgan.attributes.vocabulary import CELEBA
from cfgan.data.drawn.face import face_image, face_labels
from cfgan.data.labelled_images import SPLITS, LabelledImages
from cfgan.data.read.splits import Shares
from cfgan.errors import DataError
from cfgan.io.cells import CellWriter
from cfgan.io.files import holds, make_folder, real_path, write_bytes, write_text
from cfgan.io.folders import anything, is_unused, replace_folder, require_ours
from cfgan.io.png import encode_png
from cfgan.io.progress import Progress, silent
from cfgan.io.signals import StopRequest
from cfgan.version import __version__

MOST = 1_000_000
"""Faces in a drawn data set at most: their names have six digits."""

_EVERY = 64  # faces between two calls of progress


def drawn_faces(
    count: int, seed: int, size: int, *, rule: str = "natural", shares: Shares | None = None
) -> LabelledImages:
    """Drawn faces with CelebA's 40 attributes. No image is drawn before it is asked for.

    Face *i* depends on (seed, i) alone: a larger data set of the same seed begins with the same faces in the same
    splits.

    Args:
        count: how many.
        seed: of the draws.
        size: side in pixels.
        rule: how attributes go together; see :mod:`cfgan.data.drawn.rule`.
        shares: held out for validation and test.

    Raises:
        DataError: an unknown rule, or a count or size out of range.
    """
    if not 1 <= count <= MOST:
        raise DataError(f"between 1 and {MOST:,} faces can be drawn.", field="-n", value=count)
    if not 16 <= size <= 1024:
        raise DataError("the side must be between 16 and 1024 pixels.", field="--size", value=size)
    files = tuple(f"{i:06d}.png" for i in range(count))
    labels = np.stack([face_labels(seed, i, rule) for i in range(count)])

    def opened(file: str) -> Image.Image:
        i = int(file.removesuffix(".png"))
        return face_image(seed, i, labels[i], size)

    split = (shares or Shares()).split(files)
    return LabelledImages(Path(), files, labels, split, CELEBA, opener=opened, sound=True)


def write_drawn(table: LabelledImages, out: Path, seed: int, progress: Progress = silent) -> Path:
    """Write ``images/`` and ``labels.csv`` (file, split, and 1 or -1 an attribute), which ``cfgan data import`` reads.

    All or nothing: a stopped writing leaves no folder, and a finished one is not written again.

    Returns:
        The path of ``labels.csv``.

    Raises:
        FolderError: ``out`` holds something else.
        InputError: it lies inside a folder of ours that is checked as a whole.
        StoppedError: a stop was asked for.
        StorageError: the disk refused.
    """
    out = real_path(out)

    def encoded(row: int) -> bytes:
        pixels = np.asarray(table.open(row)).transpose(2, 0, 1)
        about = {"software": f"cfgan {__version__}", "synthetic": True, "drawn": {"seed": seed, "face": row}}
        return encode_png(pixels, about, kind="algorithmicMedia")

    def is_finished() -> bool:
        """Whether these very images stand there: the first and the last are drawn and compared, the table is whole."""
        rows = sorted({0, len(table.files) - 1})
        some = {f"images/{table.files[row]}": encoded(row) for row in rows} | {"labels.csv": _csv(table).encode()}
        names = {f"images/{file}" for file in table.files}
        return names == {f"images/{path.name}" for path in (out / "images").glob("*")} and all(
            holds(out / name, data) for name, data in some.items()
        )

    def foreign(folder: Path) -> str | None:
        return None if is_finished() else anything(folder)

    def fill(folder: Path) -> None:
        make_folder(folder / "images")
        with StopRequest() as stop:
            for row, file in enumerate(table.files):
                stop.raise_if_asked("nothing was written")
                write_bytes(folder / "images" / file, encoded(row))
                if (row + 1) % _EVERY == 0 or row + 1 == len(table.files):
                    progress("drawing", row + 1, len(table.files))
        write_text(folder / "labels.csv", _csv(table))

    require_ours(out, foreign, field="out")
    if not is_unused(out):
        return out / "labels.csv"
    make_folder(out.parent)
    replace_folder(out, fill, foreign, field="out")
    return out / "labels.csv"


def _csv(table: LabelledImages) -> str:
    names = {number: name for name, number in SPLITS.items()}
    buffer = io.StringIO()
    writer = CellWriter(buffer, paths=1)
    writer.writerow(["file", "split", *table.vocabulary.names])
    for file, split, row in zip(table.files, table.split.tolist(), table.labels, strict=True):
        writer.writerow([f"images/{file}", names[split], *(int(value) for value in row)])
    return buffer.getvalue()
