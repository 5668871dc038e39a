"""Cells of a label table as labels: 1 has it, -1 has it not, between them graded, NaN unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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

SPLIT = "split"
NOTES = frozenset({SPLIT, "synthetic", "request", "draw"})
"""Columns that cfgan writes beside labels (`data draw`, `balance`): no labels, unless somebody names them as such."""

_FIELD = "--values"


def read_values(frame: pd.DataFrame, scale: str = "auto", *, name: str) -> npt.NDArray[np.float32]:
    """Labels of a table.

    Args:
        frame: N rows, one column an attribute; cells are numbers, true/false/yes/no, or empty (also nan, na, null,
            none, ?) where nothing is known.
        scale: one of :data:`SCALES`.
        name: of the table, for messages.

    Returns:
        float32 (N, A) in -1..1, NaN unknown.

    Raises:
        DataError: a cell that is no label, a number out of range, or numbers that may mean two things; names column
            and value.
    """
    import pandas as pd

    if scale not in SCALES:
        raise DataError(
            f"{scale!r} is none of {', '.join(SCALES)}.", field=_FIELD, value=scale, nearest=nearest(scale, SCALES)
        )
    codes, cells = [], []
    for column in frame.columns:  # of millions of cells only a few differ
        place, different = pd.factorize(frame[column], use_na_sentinel=True)
        codes.append(place)
        cells.append([_cell(value, f"{name}: column {column}") for value in different])
    numbers = {value for listed in cells for value, word in listed if not word and not math.isnan(value)}
    if scale == "auto":
        scale = _scale(numbers, name)
    _check_range(list(frame.columns), cells, scale, name)
    labels = np.full((len(frame), len(cells)), np.nan, dtype=np.float32)
    for k, (place, listed) in enumerate(zip(codes, cells, strict=True)):
        values = np.asarray([value if word else _scaled(value, scale) for value, word in listed] + [math.nan])
        labels[:, k] = values[place]  # -1, nothing there, is the NaN at the end
    return labels


def _cell(value: Any, where: str) -> tuple[float, bool]:
    """A cell's value, and whether it was a word, whose meaning no scale changes."""
    if isinstance(value, bool | np.bool_):
        return (1.0 if value else -1.0), True
    text = str(value).strip().casefold()
    if text in UNKNOWN:
        return math.nan, True
    if text in YES or text in NO:
        return (1.0 if text in YES else -1.0), True
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{where} holds {str(value)[:40]!r}, which is no label; name it --class-column if its values are classes, "
            "or name the columns that are labels with --columns.",
            field="--columns",
            value=value,
        )
    return number, False


def _scale(numbers: Iterable[float], name: str) -> str:
    """The scale that numbers are on. Raises DataError where they may be on either."""
    found = set(numbers)
    negative, positive_part = any(value < 0 for value in found), {value for value in found if 0 < value < 1}
    graded = any(value not in (-1, 0, 1) for value in found)
    if negative and 0 in found and not graded:
        raise DataError(
            f"{name} holds -1, 0 and 1, and 0 may mean unknown or halfway: say signed-unknown or signed.",
            field=_FIELD,
            value=0,
        )
    if not negative and positive_part:
        example = min(positive_part)
        raise DataError(
            f"{name} holds {example:g} and nothing below 0: say zero-one if 0 means no, or signed if -1 does.",
            field=_FIELD,
            value=example,
        )
    return "signed" if negative else "zero-one"


def _check_range(columns: Sequence[Any], cells: list[list[tuple[float, bool]]], scale: str, name: str) -> None:
    low = 0 if scale == "zero-one" else -1
    for column, listed in zip(columns, cells, strict=True):
        for value, word in listed:
            if not word and not low <= value <= 1:
                raise DataError(
                    f"{name}: column {column} holds {value:g}; {low} to 1 is expected.", field="--columns", value=value
                )


def _scaled(value: float, scale: str) -> float:
    if scale == "zero-one":
        return 2 * value - 1
    return math.nan if scale == "signed-unknown" and value == 0 else value
