"""A batch folder as whoever receives it finds it: checked, then read back as arrays."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.spec import RequestCell, make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.decode import load_rgb
from cfgan.errors import DataError, FolderError, InputError
from cfgan.generate.batch import CHECKSUMS, CellTally, read_batch
from cfgan.generate.batch_check import NOT_LISTED, check_batch
from cfgan.io.files import real_path, sha256_of
from cfgan.io.reading import open_text

_NAME = 80  # letters of a folder's name that are shown


@dataclass(frozen=True)
class CellFaces:
    """The delivered faces of one cell.

    Args:
        cell: what was asked for.
        tally: how it came out, as the batch records it.
        files: n names relative to the batch folder.
        draws: int64 (n,), their draw numbers, rising.
        condition: float32 (n, A), what the generator was given.
        verifier: float32 (n, A), calibrated probabilities as the batch records them.
    """

    cell: RequestCell
    tally: CellTally
    files: list[str]
    draws: npt.NDArray[np.int64]
    condition: npt.NDArray[np.float32]
    verifier: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Content:
    """What a whole batch holds.

    Args:
        vocabulary: the A attributes of the model that made it.
        thresholds: float64 (A,), the verifier's own, as the batch records them.
        cells: in order.
    """

    vocabulary: Vocabulary
    thresholds: npt.NDArray[np.float64]
    cells: tuple[CellFaces, ...]


@dataclass(frozen=True)
class BatchFolder:
    """A batch that was received.

    Args:
        path: its folder.
        about: ``batch.json``.
        digest: sha256 of its list of checksums, which names this very folder; empty if that is missing.
        content: None when damaged.
        problems: why it is not as it was made; one sentence each.
        notes: what does no harm, such as files that somebody added.
    """

    path: Path
    about: Mapping[str, Any]
    digest: str
    content: Content | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder's own name; never a path."""
        return printable(real_path(self.path).name[:_NAME]) or "batch"

    def pixels(self, files: list[str], size: int | None = None) -> npt.NDArray[np.uint8]:
        """Some faces, uint8 (n, 3, H, W).

        Raises:
            FolderError: an image cannot be read, or not all are squares of ``size`` (of one size when None).
        """
        images = []
        for file in files:
            try:
                levels = np.asarray(load_rgb(self.path / file), dtype=np.uint8).transpose(2, 0, 1)
            except DataError as error:
                raise FolderError(str(error), field="batch", value=self.path) from None
            size = size or levels.shape[1]
            if levels.shape != (3, size, size):
                raise FolderError(f"{file} is not {size} x {size} pixels.", field="batch", value=self.path)
            images.append(levels)
        return np.stack(images) if images else np.zeros((0, 3, size or 1, size or 1), np.uint8)


def printable(text: str) -> str:
    """Text that can be written as UTF-8: what a file name or a JSON string has that cannot becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def read_folder(path: Path) -> BatchFolder:
    """Check a batch folder and read it back.

    Returns:
        The batch; with ``problems`` and without content where it is not as it was made.

    Raises:
        FolderError: no batch folder, or an unfinished one.
    """
    about = read_batch(path)
    try:
        found = check_batch(path)
    except (csv.Error, UnicodeDecodeError):
        found = ["manifest.csv: unreadable"]
    found = [printable(line) for line in found]
    # A file that somebody put beside the batch harms nothing; one among the images would pass for a face of it.
    added = [line for line in found if line.endswith(NOT_LISTED) and not line.startswith("images/")]
    problems = [line for line in found if line not in added]
    sums = path / CHECKSUMS
    digest = sha256_of(sums) if sums.is_file() else ""
    if problems:
        return BatchFolder(path, about, digest, problems=problems, notes=added)
    try:
        header = about["header"]["bundle"]
        if not isinstance(header["name"], str) or not re.fullmatch(r"[0-9a-f]{64}", header["digest"]):
            raise ValueError("the bundle is not named")
        if not isinstance(about["wanted"], int):
            raise ValueError("the faces wanted are no number")
        return BatchFolder(path, about, digest, _content(path, about), notes=added)
    except InputError as error:
        problems.append(printable(f"batch.json: {error}"))
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, csv.Error) as error:
        reason = printable(str(error)) or type(error).__name__
        problems.append(f"manifest.csv and batch.json do not fit each other ({reason})")
    return BatchFolder(path, about, digest, problems=problems, notes=added)


def _content(path: Path, about: Mapping[str, Any]) -> Content:
    """What the manifest holds, cell by cell. Raises what malformed content raises; the caller catches it."""
    with open_text(path / "manifest.csv") as handle:
        lines = csv.reader(handle)
        titles = next(lines)
        names = tuple(title.removeprefix("verifier.") for title in titles if title.startswith("verifier."))
        place = {title: k for k, title in enumerate(titles)}
        conditions = [place[f"condition.{name}"] for name in names]
        probabilities = [place[f"verifier.{name}"] for name in names]
        files, numbers, condition, verifier = [], [], [], []
        for row in lines:
            files.append(row[place["file"]])
            numbers.append((int(row[place["draw"]]), int(row[place["seed"]])))
            condition.append(np.asarray([row[k] for k in conditions], dtype=np.float32))
            verifier.append(np.asarray([row[k] for k in probabilities], dtype=np.float32))
    vocabulary = Vocabulary(names)
    plan = make_plan(about["header"]["spec"], vocabulary)
    cells, start = [], 0
    for cell, recorded in zip(plan.cells, about["cells"], strict=True):
        tally = CellTally(**recorded["tally"])
        part = slice(start, start + tally.accepted)
        draws = np.asarray([draw for draw, _ in numbers[part]], dtype=np.int64)
        rising = np.all(np.diff(draws) > 0) and np.all((draws >= 0) & (draws < tally.next_draw))
        if len(draws) != tally.accepted or not rising or any(seed != cell.seed for _, seed in numbers[part]):
            raise ValueError(f"the faces of {cell.name} are not as many, or not of the draws, that it records")
        if not all(isinstance(n, int) and 0 <= n <= tally.next_draw for n in tally.passed.values()):
            raise ValueError(f"the counts of {cell.name} cannot be")
        shape = (len(draws), len(names))
        cells.append(
            CellFaces(
                cell,
                tally,
                files[part],
                draws,
                np.asarray(condition[part], dtype=np.float32).reshape(shape),
                np.asarray(verifier[part], dtype=np.float32).reshape(shape),
            )
        )
        start += tally.accepted
    if start != len(files):
        raise ValueError("manifest.csv holds faces of no request")
    thresholds = np.asarray([about["thresholds"][name] for name in names], dtype=np.float64)
    if not np.isfinite(thresholds).all():
        raise ValueError("the thresholds are no numbers")
    return Content(vocabulary, thresholds, tuple(cells))
