"""Label tables of every kind of file as one pandas table, its cells as they stand."""

from __future__ import annotations

import csv
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cfgan.data.read.celeba import read_attribute_file
from cfgan.data.read.label_values import UNKNOWN
from cfgan.errors import DataError, nearest
from cfgan.io.delimited import open_delimited, open_plain
from cfgan.io.extras import require_pyarrow
from cfgan.io.reading import library_errors, open_regular

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet", ".jsonl", ".jsonl.gz", ".json")
"""How the names of label tables end. A table of another name is read as text with separators."""

UNTITLED = re.compile(r"Unnamed: \d+")
"""What a column without a title is called, as pandas calls it."""

_UNKNOWN = sorted({form for word in UNKNOWN for form in (word, word.upper(), word.capitalize())} | {"NaN"})


def is_table_name(path: Path) -> bool:
    """Whether a path is called as a label table is."""
    return path.name.casefold().endswith(TABLE_SUFFIXES)


def plain_title(title: str) -> str:
    """The form in which titles are compared."""
    return title.strip().casefold().replace(" ", "_")


def read_frame(path: Path, *, text: Sequence[str] = (), field: str) -> pd.DataFrame:
    """Read a table: text with commas, semicolons or tabs (also .gz), Parquet, JSON, or CelebA's attribute file.

    Args:
        path: the file.
        text: titles, in their plain form, of columns whose cells stay text even where all are numbers; the first
            column always does.
        field: the option that names the file, for messages.

    Returns:
        N rows; stripped titles, each once; columns without a title and without a cell are dropped.

    Raises:
        DataError: missing, not such a table, without rows, two columns of one title; names the line where there is one.
        InputError: Parquet without pyarrow.
    """
    if path.is_dir():
        inside = [path / name for name in ("manifest.csv", "list_attr_celeba.txt") if (path / name).is_file()]
        raise DataError(f"{path} is a folder.", field=field, value=path, nearest=inside)
    if not path.exists():
        beside = [p.name for p in path.parent.glob("*") if is_table_name(p)] if path.parent.is_dir() else []
        raise DataError(f"there is no file {str(path)!r}.", field=field, value=path, nearest=nearest(path.name, beside))
    kind = path.name.casefold().removesuffix(".gz")
    with library_errors(path, lambda text: DataError(text, field=field, value=path)):
        if kind.endswith(".parquet"):
            frame = _parquet(path, field)
        elif kind.endswith((".jsonl", ".json")):
            frame = _json(path, field, lines=kind.endswith(".jsonl"))
        else:
            frame = _delimited(path, text, field)
    return _checked(frame, path, field)


def _checked(frame: pd.DataFrame, path: Path, field: str) -> pd.DataFrame:
    titles = [str(title).strip() for title in frame.columns]
    titles = [title or f"Unnamed: {k}" for k, title in enumerate(titles)]
    if repeated := next((title for k, title in enumerate(titles) if title in titles[:k]), None):
        raise DataError(f"{path.name} has two columns {repeated!r}.", field=field, value=repeated)
    frame.columns = titles
    if not len(frame):
        raise DataError(f"{path.name} has no rows.", field=field, value=path)
    kept = [title for title in titles if not UNTITLED.fullmatch(title) or bool(frame[title].notna().any())]
    return frame[kept]


def _parquet(path: Path, field: str) -> pd.DataFrame:
    import pandas as pd

    require_pyarrow(field=field, value=path)
    with open_regular(path) as handle:
        return _flat(pd.read_parquet(handle))


def _json(path: Path, field: str, *, lines: bool) -> pd.DataFrame:
    """A list of objects, or an object a line."""
    import pandas as pd

    with open_plain(path) as handle:
        rows = _objects(handle, path, field) if lines else json.load(handle)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        what = "an object a line" if lines else "a list of objects"
        raise DataError(f"{path.name} is not {what}.", field=field, value=path)
    return _flat(pd.DataFrame(rows))


def _objects(lines: Iterable[str], path: Path, field: str) -> list[Any]:
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found += [json.loads(line)] if line.strip() else []
        except ValueError:
            raise DataError(f"{path.name} line {number} is not JSON.", field=field, value=number) from None
    return found


def _plain_cell(cell: object) -> object:
    return f"<{type(cell).__name__}>" if isinstance(cell, dict | list | bytes | np.ndarray) else cell


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Lists, images and the like as a word for what they are."""
    for title in frame.columns:
        if frame[title].dtype.kind == "O":
            frame[title] = frame[title].map(_plain_cell)
    return frame


def _delimited(path: Path, text: Sequence[str], field: str) -> pd.DataFrame:
    with open_delimited(path) as (handle, separator):
        first = handle.readline()
    if first.strip().isdigit():
        return _attribute_file(path, field)
    titles = [title.strip() for title in next(csv.reader([first], delimiter=separator), [])]
    if not any(titles):
        raise DataError(f"{path.name} is empty.", field=field, value=path)
    frame = _all_at_once(path, titles, text)
    # Pandas fills a row that was cut short; that must not pass for labels that nobody gave.
    if frame is None or (len(titles) > 1 and bool(frame.iloc[:, -1].isna().any())):
        rows = _row_by_row(path, len(titles), field)
        if frame is None:
            import pandas as pd

            frame = pd.DataFrame(rows, columns=range(len(titles)), dtype=object)
    frame.columns = titles
    return frame


def _all_at_once(path: Path, titles: list[str], text: Sequence[str]) -> pd.DataFrame | None:
    """All columns; numbers where a column holds nothing else. None where rows differ in length."""
    import pandas as pd

    dtypes: dict[Any, Any] = {k: "object" for k, title in enumerate(titles) if not k or plain_title(title) in text}
    try:
        with warnings.catch_warnings(), open_delimited(path) as (handle, separator):
            # Rows with more cells than titles are cut with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                handle,
                sep=separator,
                header=0,
                names=range(len(titles)),
                index_col=False,
                dtype=dtypes,
                na_values=_UNKNOWN,
                keep_default_na=False,
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning):
        return None


def _row_by_row(path: Path, count: int, field: str) -> list[list[str | None]]:
    """Rows of as many cells as there are titles; what a comma at the end of a line adds is no cell."""
    rows: list[list[str | None]] = []
    with open_delimited(path) as (handle, separator):
        reader = csv.reader(handle, delimiter=separator, strict=True)
        next(reader)
        for cells in reader:
            if not cells:
                continue
            if len(cells) < count or any(cell.strip() for cell in cells[count:]):
                said = f"{path.name} line {reader.line_num}: {len(cells)} cells instead of {count}."
                raise DataError(said, field=field, value=reader.line_num)
            rows.append([cell if cell.strip() else None for cell in cells[:count]])
    return rows


def _attribute_file(path: Path, field: str) -> pd.DataFrame:
    import pandas as pd

    vocabulary, rows = read_attribute_file(path, field=field)
    if not rows:
        raise DataError(f"{path.name} has no rows.", field=field, value=path)
    frame = pd.DataFrame(np.stack(list(rows.values())), columns=list(vocabulary.names))
    frame.insert(0, "file", list(rows))
    return frame
