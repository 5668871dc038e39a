"""CSV that may be opened in a spreadsheet: no cell of it is taken for a formula."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Protocol

_FORMULA = ("=", "+", "-", "@", "\t")
_HARMLESS = re.compile(r"-\w[\w ,;.=\-()]*")  # values such as -Smiling;-Male: at worst a spreadsheet's #NAME?


class _Writes(Protocol):
    def write(self, text: str, /) -> object: ...


class CellWriter:
    """Writes rows as CSV with plain line ends.

    Args:
        handle: takes text.
        paths: so many leading columns hold file names. One that begins like a formula gets ``./`` before it, which
            leads to the same file; other text gets an apostrophe, as spreadsheets have it. Numbers stay as they are.
    """

    def __init__(self, handle: _Writes, *, paths: int = 0) -> None:
        self._csv = csv.writer(handle, lineterminator="\n")
        self._paths = paths

    def writerow(self, cells: Iterable[object]) -> None:
        self._csv.writerow([defused(cell, path=place < self._paths) for place, cell in enumerate(cells)])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        for row in rows:
            self.writerow(row)


def defused(cell: object, *, path: bool = False) -> object:
    """A cell that no spreadsheet takes for a formula; see :class:`CellWriter`."""
    if isinstance(cell, str):
        cell = cell.replace("\r", "\\r")  # written out: the csv module leaves it bare, and readers end the row there
    if not isinstance(cell, str) or not cell.startswith(_FORMULA) or _is_number(cell) or _HARMLESS.fullmatch(cell):
        return cell
    return f"./{cell}" if path else f"'{cell}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not text.startswith("\t")
