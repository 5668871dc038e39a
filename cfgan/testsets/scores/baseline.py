"""A system under test to begin with: the face embedder's own scores of a test set's comparisons."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cfgan.data.decode import CROP, read_picture, read_square, to_square
from cfgan.data.framing.sources import FrameByName
from cfgan.errors import DataError, FolderError
from cfgan.external.detector import SIDE
from cfgan.external.face_embedder import similarity
from cfgan.io.cells import CellWriter
from cfgan.io.outputs import OutputFile
from cfgan.io.progress import Progress
from cfgan.testsets.enrolled import enrolled_path, frame_of, framed
from cfgan.testsets.folder import Testset

if TYPE_CHECKING:
    from cfgan.external.face_embedder import Embedder


def baseline_scores(
    testset: Testset, embedder: Embedder, *, gallery: Path | None = None, progress: Progress | None = None
) -> Iterator[tuple[str, float | None]]:
    """Score every comparison by similarity; None, a failure to acquire, where in one of the faces none is found.

    Args:
        testset: with comparisons.
        embedder: of faces.
        gallery: the user's folder, where the enrolled faces are not in the set.
        progress: see :data:`Progress`.

    Raises:
        FolderError: a set without comparisons, or one against a gallery that is not given.
        DataError: an image is missing or broken; names it.
    """
    if not testset.pairs:
        raise FolderError("a detection set has no comparisons.", field="testset", value=testset.path)
    files = sorted({file for pair in testset.pairs for file in (pair.a, pair.b)})
    frame = frame_of(testset) if gallery is not None else None
    vectors: dict[str, npt.NDArray[np.float32] | None] = {}
    for done, file in enumerate(files, start=1):
        path = _path(testset.path, file, gallery)
        theirs = frame is not None and file.startswith("gallery/") and not (testset.path / file).exists()
        seen = embedder(_framed(frame, file, path) if frame is not None and theirs else _levels(path, file))
        vectors[file] = seen.vectors[0] if seen.found[0] else None
        if progress:
            progress("embedding", done, len(files))
    for pair in testset.pairs:
        a, b = vectors[pair.a], vectors[pair.b]
        yield pair.pair, None if a is None or b is None else float(similarity(a, b))


def write_scores(target: OutputFile, scores: Iterator[tuple[str, float | None]]) -> int:
    """Write ``pair,score`` as CSV, atomically. Returns the number of rows. Raises as :meth:`OutputFile.open`."""
    out = io.StringIO()
    writer = CellWriter(out)
    writer.writerow(["pair", "score"])
    count = 0
    for count, (pair, score) in enumerate(scores, start=1):  # noqa: B007
        writer.writerow([pair, "" if score is None else f"{score:.6f}"])
    target.write(out.getvalue().encode())
    return count


def _path(folder: Path, file: str, gallery: Path | None) -> Path:
    if not file.startswith("gallery/") or (folder / file).exists():
        return folder / file
    if gallery is None:
        raise FolderError("the enrolled faces are not in this set; give --gallery.", field="gallery", value=file)
    path = enrolled_path(gallery, file)
    if not path.exists():
        raise DataError(f"{file} is not in {gallery}.", field="gallery", value=file)
    return path


def _framed(frame: FrameByName, name: str, path: Path) -> npt.NDArray[np.uint8]:
    return to_square(framed(frame, name, path), SIDE, CROP)[None]


def _levels(path: Path, name: str) -> npt.NDArray[np.uint8]:
    try:
        width, height = read_picture(path).size
        return read_square(path, width if width == height else SIDE).transpose(2, 0, 1)[None]  # square ones as they are
    except DataError as error:
        raise DataError(f"{name}: {error}", field="testset", value=name) from None
