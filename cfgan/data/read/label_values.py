"""Cells of a label table as labels: 1 has it, -1 has it not, between them graded, NaN unknown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

SCALES = ("auto", "zero-one", "signed", "signed-unknown")
"""What numbers mean: 0 no to 1 yes; -1 no to 1 yes with 0 halfway; the same with 0 unknown; or whichever of the first
two the numbers themselves leave no doubt about."""

YES = frozenset({"true", "yes", "t", "y"})
NO = frozenset({"false", "no", "f", "n"})
UNKNOWN = frozenset({"", "nan", "na", "n/a", "null", "none", "?", "<na>"})

_FIELD = "--values"

Cell = tuple[float, bool]
"""A cell's value, NaN unknown, and whether it was a word, whose meaning no scale changes."""


def read_values(frame: pd.DataFrame, scale: str = "auto", *, name: str) -> npt.NDArray[np.float32]:
    """Labels of a table.

    With "auto", numbers of which one is negative run from -1 to 1; those of which none is, from 0 to 1. Where neither
    0 nor a negative number says which, or where -1 and 0 both may mean no, it is an error.

    Args:
        frame: N rows, one column an attribute; cells are numbers, true/false/yes/no, or empty (also nan, na, null,
            none, ?) where nothing is known.
        scale: one of :data:`SCALES`.
        name: of the table, for messages.

    Returns:
        float32 (N, A) in -1..1, NaN unknown.

    Raises:
        DataError: a cell that is no label, a number out of range, or numbers that may mean two things; names row,
            column and value.
    """
    if scale not in SCALES:
        raise DataError(
            f"{scale!r} is not one of {', '.join(SCALES)}.", field=_FIELD, value=scale, nearest=nearest(scale, SCALES)
        )
    table = _Cells(frame, name)
    if scale == "auto":
        scale = table.scale()
    table.check_range(0 if scale == "zero-one" else -1)
    return table.labels(scale)


def is_text(column: pd.Series[Any]) -> bool:
    """Whether most of a column's different cells are words and no labels; a few such are mistakes among labels."""
    known = [_cell(value) for value in column.unique() if not _unknown(value)]
    return 2 * known.count(None) > len(known)


def _unknown(value: Any) -> bool:
    return str(value).strip().casefold() in UNKNOWN


def _number(value: Any) -> float | None:
    try:
        number = float(str(value).strip())
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _cell(value: Any) -> Cell | None:
    """What a cell says; None where that is no label."""
    if isinstance(value, bool | np.bool_):
        return (1.0 if value else -1.0), True
    text = str(value).strip().casefold()
    if text in UNKNOWN:
        return math.nan, True
    if text in YES or text in NO:
        return (1.0 if text in YES else -1.0), True
    number = _number(value)
    return None if number is None else (number, False)


class _Cells:
    """The cells of a table, each different one read once: of millions only a few differ."""

    def __init__(self, frame: pd.DataFrame, name: str) -> None:
        import pandas as pd

        self._titles: list[str] = list(frame.columns)
        self._rows, self._name = len(frame), name
        self._places: list[npt.NDArray[Any]] = []
        self._cells: list[list[Cell]] = []
        for title in self._titles:
            wide, different = pd.factorize(frame[title], use_na_sentinel=True)
            places = wide.astype(np.int8 if len(different) < 128 else np.int32)  # of millions of rows
            cells = [_cell(value) for value in different]
            self._places.append(places)
            if None in cells:
                bad = cells.index(None)
                raise DataError(
                    f"{self._where(len(self._places) - 1, bad)} is {str(different[bad])[:40]!r}, which is not a label; "
                    "name the columns of labels with --columns, or this one with --class-column if it holds classes.",
                    field="--columns",
                    value=different[bad],
                )
            self._cells.append([cell for cell in cells if cell is not None])

    def _where(self, column: int, place: int) -> str:
        row = int(np.flatnonzero(self._places[column] == place)[0])
        return f"{self._name} row {row + 1}: {self._titles[column]}"

    def _numbers(self) -> Iterator[tuple[float, int, int]]:
        """Each different number with its column and its place there."""
        for column, cells in enumerate(self._cells):
            for place, (value, word) in enumerate(cells):
                if not word:
                    yield value, column, place

    def scale(self) -> str:
        """The scale that the numbers are on."""
        first: dict[float, str] = {}
        for value, column, place in self._numbers():
            if value not in first:
                first[value] = self._where(column, place)
        least, most = min(first, default=0.0), max(first, default=0.0)
        graded = [value for value in first if value not in (-1, 0, 1)]
        if least < 0 and 0 in first and not graded:
            raise DataError(
                f"{first[-1]} is -1, and {first[0].removeprefix(f'{self._name} ')} is 0, which may mean no, unknown or "
                "halfway: leave cells empty where nothing is known, and write 0 or -1, not both, for no "
                "(`data import --values` reads them as they are).",
                field=_FIELD,
                value=0,
            )
        if graded and least > 0 and most <= 1:
            raise DataError(
                f"{first[graded[0]]} is {graded[0]:g}, and nothing is 0 or below: say --values zero-one if 0 means no, "
                "or signed if -1 does.",
                field=_FIELD,
                value=graded[0],
            )
        return "signed" if least < 0 else "zero-one"

    def check_range(self, low: int) -> None:
        """Raise DataError for a number outside ``low`` to 1."""
        for value, column, place in self._numbers():
            if not low <= value <= 1:
                raise DataError(
                    f"{self._where(column, place)} is {value:g}; labels lie in {low}..1. Name the columns of labels "
                    "with --columns.",
                    field="--columns",
                    value=value,
                )

    def labels(self, scale: str) -> npt.NDArray[np.float32]:
        labels = np.full((self._rows, len(self._titles)), np.nan, dtype=np.float32)
        for k, (places, cells) in enumerate(zip(self._places, self._cells, strict=True)):
            values = np.asarray([value if word else _scaled(value, scale) for value, word in cells] + [math.nan])
            labels[:, k] = values[places]  # -1, nothing there, is the NaN at the end
        return labels


def _scaled(value: float, scale: str) -> float:
    if scale == "zero-one":
        return 2 * value - 1
    return math.nan if scale == "signed-unknown" and value == 0 else value


def words(cells: Sequence[Any]) -> tuple[str, ...]:
    """Cells as text without blanks around it; "" where nothing is known."""
    return tuple("" if _unknown(cell) else str(cell).strip() for cell in cells)
