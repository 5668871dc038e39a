"""The table of scores that a system under test wrote: read, and matched with the comparisons of a test set.

CSV (commas, semicolons or tabs, with a header) or Parquet; a row a comparison. An empty cell is a declared failure to
acquire: the system could not make a template of a face, so there is no score (ISO/IEC 19795-1).
"""

from __future__ import annotations

import csv
import importlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cfgan.errors import DataError, nearest
from cfgan.io.delimited import open_delimited
from cfgan.io.extras import require_pyarrow
from cfgan.io.files import sha256_of, user_path
from cfgan.io.reading import library_errors, open_regular
from cfgan.testsets.scores.rates import Floats

FIELD = "SCORES"
_NAMED = 5  # faulty rows named in a message; all of them are counted
LARGEST = 1e100
"""Scores beyond it would overflow when they are squared."""


@dataclass(frozen=True)
class ScoreTable:
    """Scores in the order of the names they were asked for.

    Args:
        path: where they were read from.
        sha256: of that file.
        score: (n,); NaN where the system has none.
        failed: (n,) bool; a row without a score: a failure to acquire.
        missing: (n,) bool; no row at all.
    """

    path: Path
    sha256: str
    score: Floats
    failed: np.ndarray[tuple[int], np.dtype[np.bool_]]
    missing: np.ndarray[tuple[int], np.dtype[np.bool_]]


def read_scores(
    path: Path, names: Sequence[str], *, key: str, column: str, optional: frozenset[str] = frozenset()
) -> ScoreTable:
    """Read the scores of comparisons or presentations.

    Args:
        path: the table, .csv or .parquet.
        names: what must have a row each.
        key: title of the column of names.
        column: title of the column of scores.
        optional: names that may be left out, such as slots that nobody filled.

    Returns:
        The scores; names that were left out though they must not be are ``missing``, for the caller to refuse.

    Raises:
        DataError: no such file or column, a name twice or unknown, a score that is not a finite number; says which, the
            first few, and how many.
    """
    path = find_scores(path)
    rows = [(str(name), cell) for _, (name, cell) in score_rows(path, (key, column))]
    place = {name: k for k, name in enumerate(names)}
    _refuse(path, f"{key} is empty", [f"row {k}" for k, (name, _) in enumerate(rows, 1) if not name])
    unknown = [name for name, _ in rows if name not in place]
    _refuse(path, f"unknown {key}", unknown, nearest(unknown[0], names[:10_000], 1) if unknown else ())
    counts = Counter(name for name, _ in rows)
    _refuse(path, f"{key} more than once", [name for name, count in counts.items() if count > 1])
    parsed = [(name, number(cell)) for name, cell in rows]
    _refuse(
        path,
        "not a number (an empty cell is a failure to acquire)",
        [f"{name} ({_short(cell)})" for (name, value), (_, cell) in zip(parsed, rows, strict=True) if value is None],
    )
    _refuse(
        path,
        "not a finite number of ordinary size",
        [
            f"{name} ({_short(cell)})"
            for (name, value), (_, cell) in zip(parsed, rows, strict=True)
            if value is not None and cell not in ("", None) and not abs(value) <= LARGEST
        ],
    )
    score = np.full(len(names), math.nan)
    there = np.zeros(len(names), dtype=np.bool_)
    for name, value in parsed:
        score[place[name]], there[place[name]] = value, True
    needed = np.asarray([name not in optional for name in names], dtype=np.bool_)
    return ScoreTable(path, sha256_of(path), score, there & np.isnan(score), ~there & needed)


def find_scores(path: Path, suffixes: Sequence[str] = (".csv", ".tsv", ".parquet")) -> Path:
    """The place of a file of scores. Raises DataError, with the nearest beside it: it is no file."""
    path = user_path(path, field=FIELD)
    if path.is_dir() or not path.exists():
        beside = [p.name for p in path.parent.glob("*") if p.suffix in suffixes]
        what = "is a folder" if path.is_dir() else "is not there"
        raise DataError(f"{path} {what}.", field=FIELD, value=path, nearest=nearest(path.name, beside))
    return path


def score_rows(path: Path, titles: Sequence[str]) -> Iterator[tuple[str, Sequence[object]]]:
    """Where each row stands, for messages, and its cells in some columns; empty names are "".

    Raises:
        DataError: a column that is not there, or twice, or a row of another length; no table at all.
    """
    return (_parquet if path.suffix.casefold() == ".parquet" else _csv)(path, titles)


def refuse_missing(table: ScoreTable, names: Sequence[str], key: str) -> None:
    """Raise if a comparison has no row.

    Raises:
        DataError: names the first few, and how many.
    """
    missing = [names[k] for k in np.flatnonzero(table.missing).tolist()]
    if missing:
        raise DataError(
            f"{table.path.name}: no row for {listed(missing)} of {len(names):,}. A comparison that failed needs a row "
            f"with its {key} and an empty score; --allow-missing counts missing rows as such.",
            field=FIELD,
            value=missing[0],
        )


def listed(names: Sequence[str]) -> str:
    """The first few names and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more ({len(names):,} in all)" if more > 0 else "")


def _refuse(path: Path, what: str, names: Sequence[str], similar: Iterable[str] = ()) -> None:
    if names:
        raise DataError(f"{path.name}: {what}: {listed(names)}.", field=FIELD, value=names[0], nearest=similar)


def number(cell: object) -> float | None:
    """A cell as a number; NaN where it is empty, infinite where it says nan, None where it is none."""
    if cell is None or cell == "":
        return math.nan
    if isinstance(cell, bool):
        return None
    try:
        # Python takes 1_000 for a thousand; no other program writes it so.
        value = float(cell) if "_" not in str(cell) else None  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return math.inf if value is not None and math.isnan(value) else value


def _short(cell: object) -> str:
    text = repr(cell)
    return text if len(text) <= 40 else f"{text[:36]}..."


def _csv(path: Path, titles: Sequence[str]) -> Iterator[tuple[str, Sequence[object]]]:
    with (
        library_errors(path, lambda text: DataError(text, field=FIELD, value=path)),
        open_delimited(path) as (handle, separator),
    ):
        reader = csv.reader(handle, delimiter=separator, strict=True)
        header = [title.strip() for title in next(reader, [])]
        places = [_column(path, header, title) for title in titles]
        for cells in reader:
            if not cells:
                continue
            where = f"{path.name} line {reader.line_num}"
            if len(cells) != len(header):
                raise DataError(f"{where}: {len(cells)} cells instead of {len(header)}.", field=FIELD, value=path)
            yield where, [cells[place].strip() for place in places]


def _parquet(path: Path, titles: Sequence[str]) -> Iterator[tuple[str, Sequence[object]]]:
    require_pyarrow(field=FIELD, value=path, error=DataError)
    # Imported by name: pyarrow is an optional extra.
    parquet = importlib.import_module("pyarrow.parquet")
    with library_errors(path, lambda text: DataError(text, field=FIELD, value=path)), open_regular(path) as handle:
        file = parquet.ParquetFile(handle)
        for title in titles:
            _column(path, list(file.schema_arrow.names), title)
        done = 0
        for batch in file.iter_batches(columns=list(titles)):
            *names, scores = (batch.column(title).to_pylist() for title in titles)
            for place, (*given, cell) in enumerate(zip(*names, scores, strict=True), done + 1):
                yield f"{path.name} row {place}", [*("" if name is None else str(name) for name in given), cell]
            done += batch.num_rows


def _column(path: Path, header: list[str], title: str) -> int:
    if header.count(title) != 1:
        what = "has two columns" if title in header else "has no column"
        similar = nearest(title, [name for name in header if name and name != title])
        there = f"; it has {', '.join(header[:12])}" if header and not similar else ""
        raise DataError(f"{path.name} {what} {title!r}{there}.", field=FIELD, value=title, nearest=similar)
    return header.index(title)
