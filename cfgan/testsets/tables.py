"""What checks and exports of a test set both read: checksums and the table of images."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfgan.errors import FolderError
from cfgan.io.cells import CellWriter
from cfgan.io.files import is_safe_name, sha256_of
from cfgan.io.reading import open_text, read_regular, reason
from cfgan.testsets.folder import ATTRIBUTES, CHECKSUMS, ITEMS, PAIRS, Testset

FIRST_COLUMNS = ("file", "subject", "seed", "draw")
"""How the table of images begins; ``requested.*``, ``condition.*``, ``verifier.*`` and ``judge.*`` follow."""

GALLERY = "gallery/"
"""How the names of enrolled faces begin, which the user keeps."""


_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


@dataclass(frozen=True)
class ImageRow:
    """One image of a set.

    Args:
        file: its name relative to the set.
        subject: whom it shows.
        cells: all cells of its row as they stand, in the order of the columns.
    """

    file: str
    subject: str
    cells: tuple[str, ...]


def set_digest(folder: Path) -> str:
    """sha256 of the set's checksums: names every byte of it."""
    return sha256_of(folder / CHECKSUMS)


def read_checksums(folder: Path) -> tuple[dict[str, str], list[str]]:
    """File name -> sha256 as hex, and one line for each line that cannot be used.

    Raises:
        FolderError: the file cannot be read.
    """
    try:
        text = read_regular(folder / CHECKSUMS).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise FolderError(f"{folder / CHECKSUMS} cannot be read.", field="testset", value=folder) from None
    sums: dict[str, str] = {}
    problems = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None or not is_safe_path(match[2]):
            problems.append(f"{CHECKSUMS}: malformed line {line[:80]!r}")
        elif match[2] in sums:
            problems.append(f"{CHECKSUMS}: {match[2]} is listed twice")
        else:
            sums[match[2]] = match[1]
    return sums, problems


def is_safe_path(name: str) -> bool:
    """Whether a name from a set is a relative path whose every part may become a file name."""
    return all(is_safe_name(part) for part in name.split("/"))


def is_enrolled(name: str) -> bool:
    """Whether a name is ``gallery/PERSON/FILE`` and leads nowhere else.

    People's own folders may have any name. FILE is empty where only attributes are known of a person.
    """
    parts = name.split("/")
    plain = len(parts) == 3 and bool(parts[1]) and not {".", ".."} & set(parts) and "\\" not in name
    return plain and name.startswith(GALLERY)


def require_own_images(testset: Testset) -> None:
    """Refuse tables that name files which the set does not have.

    Raises:
        FolderError: one does; or the checksums cannot be read.
    """
    sums, _ = read_checksums(testset.path)
    named = [(f"{PAIRS}: {pair.pair}", name) for pair in testset.pairs for name in (pair.a, pair.b)]
    named += [(f"{ITEMS}: {item.item}", item.file) for item in testset.items if item.file]
    for row, name in named:
        if name not in sums and not (testset.design == "gallery" and is_enrolled(name)):
            text = f"{row[:200]}: the set has no image {name[:200]!r}."
            raise FolderError(text, field="testset", value=testset.path)


def attribute_columns(folder: Path) -> tuple[str, ...]:
    """The titles of the table of images. Raises FolderError if it is missing or begins otherwise."""
    with _table(folder) as (columns, _):
        return columns


def attribute_rows(folder: Path) -> Iterator[ImageRow]:
    """The rows of the table of images, one at a time.

    Raises:
        FolderError: missing, unreadable or malformed; names the line.
    """
    with _table(folder) as (columns, reader):
        for cells in reader:
            if len(cells) != len(columns):
                what = f"{len(cells)} cells instead of {len(columns)}"
                raise FolderError(f"{ATTRIBUTES} line {reader.line_num}: {what}.", field="testset", value=folder)
            yield ImageRow(cells[0], cells[1], tuple(cells))


@contextlib.contextmanager
def _table(folder: Path) -> Iterator[tuple[tuple[str, ...], Any]]:
    try:
        with open_text(folder / ATTRIBUTES) as handle:
            reader = csv.reader(handle)
            columns = tuple(next(reader, ()))
            if columns[: len(FIRST_COLUMNS)] != FIRST_COLUMNS or len(set(columns)) != len(columns):
                what = f"{ATTRIBUTES} does not begin with {', '.join(FIRST_COLUMNS)}, or has a column twice"
                raise FolderError(f"{what}.", field="testset", value=folder)
            yield columns, reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FolderError(f"{ATTRIBUTES} {reason(error)}.", field="testset", value=folder) from None


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV with plain line ends."""
    out = io.StringIO()
    CellWriter(out).writerows(rows)
    return out.getvalue()
