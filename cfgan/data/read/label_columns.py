"""Labels of any data set from one table: CSV (also .tsv, .gz), Parquet, or the official ``list_attr_celeba.txt``.

Where :mod:`cfgan.data.read.label_files` reads labels for a vocabulary that is known, here the table itself names it.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.image_files import is_manifest
from cfgan.data.read.celeba import read_labels
from cfgan.data.read.label_files import FILE_COLUMNS
from cfgan.data.read.label_values import NO, NOTES, YES
from cfgan.errors import DataError, InputError, nearest
from cfgan.io.files import user_path

if TYPE_CHECKING:
    import pandas as pd

SPLIT_COLUMNS = ("split", "partition", "subset")
"""Titles by which the column that says train, validation or test is known."""
PERSON_COLUMNS = ("identity", "person", "person_id", "subject", "subject_id")
"""Titles by which the column that says who is in an image is known."""

_REQUESTED = "requested."
_WORDS = dict.fromkeys(YES, 1.0) | dict.fromkeys(NO, -1.0)
# What stands among words in a column that is not all numbers; grades do not.
_WORDS |= {"1": 1.0, "1.0": 1.0, "0": -1.0, "0.0": -1.0, "-1": -1.0, "-1.0": -1.0}
_UNKNOWN = ["", "?", "nan", "NaN", "NAN", "na", "NA", "n/a", "N/A", "null", "NULL", "none", "None"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelColumns:
    """What a label table holds, a row an image.

    Args:
        vocabulary: the A attributes, in the order of their columns.
        labels: float32 (N, A), -1..1; 1 has it, -1 has it not, between graded, NaN unknown.
        files: N file names with POSIX separators, or None where the table has none.
        split: N words such as "train", "" where a cell is empty; or None.
        person: N names of persons, "" unknown; or None.
    """

    vocabulary: Vocabulary
    labels: Floats
    files: tuple[str, ...] | None = None
    split: tuple[str, ...] | None = None
    person: tuple[str, ...] | None = None


def read_label_columns(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    file_column: str | None = None,
    split_column: str | None = None,
    person_column: str | None = None,
    field: str = "--labels",
) -> LabelColumns:
    """Read a label table.

    A table without a negative number is read on the scale 0..1 (0 no, 1 yes, between graded), one with a negative
    number on the scale -1..1. There a 0 among whole numbers is refused, for it may mean "no" or "unknown". true, yes,
    false and no are understood; an empty cell, nan, na, null, none and ? are unknown. Of a batch's manifest the
    columns ``requested.*`` are read.

    Args:
        path: the file.
        columns: the label columns; all but the three others when empty.
        file_column: title of the file names; by default one of :data:`cfgan.data.read.label_files.FILE_COLUMNS`,
            else the first column where it holds text that is no label.
        split_column: title of the splits; by default one of :data:`SPLIT_COLUMNS`.
        person_column: title of the persons; by default one of :data:`PERSON_COLUMNS`.
        field: the option that names the file, for messages.

    Raises:
        DataError: missing, not such a table, no rows, no label column, a cell that cannot be used; names the line.
        InputError: a column that is not there, with the nearest ones; Parquet without pyarrow.
        VocabularyError: a column whose title is no attribute name.
    """
    path = user_path(path, field=field)
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*") if p.suffix in (".csv", ".gz", ".tsv", ".parquet", ".txt")]
        what = "a folder" if path.is_dir() else "not there"
        raise DataError(f"{path} is {what}.", field=field, value=path, nearest=nearest(path.name, beside))
    if path.suffix == ".txt" and _first_line(path, field).strip().isdigit():
        vocabulary, rows = read_labels(path)
        if not rows:
            raise DataError(f"{path.name} has no rows.", field=field, value=path)
        values = np.stack(list(rows.values())).astype(np.float32)
        return _chosen(LabelColumns(vocabulary, values, tuple(rows)), columns)
    table = _parquet(path, field) if path.suffix == ".parquet" else _csv(path, field)
    if not len(table):
        raise DataError(f"{path.name} has no rows.", field=field, value=path)
    return _Reader(path, field, table).read(columns, file_column, split_column, person_column)


def _chosen(whole: LabelColumns, columns: Sequence[str]) -> LabelColumns:
    if not columns:
        return whole
    places = [whole.vocabulary.index(name, field="--columns") for name in columns]
    names = Vocabulary.of(whole.vocabulary.names[i] for i in places)
    return LabelColumns(names, whole.labels[:, places], whole.files)


def _first_line(path: Path, field: str) -> str:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as handle:
            return handle.readline().decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read ({error}).", field=field, value=path) from None


def _csv(path: Path, field: str) -> pd.DataFrame:
    """All columns; numbers where a column holds nothing else, text as it stands otherwise."""
    import pandas as pd

    first = _first_line(path, field)
    separator = next((mark for mark in "\t;" if mark in first and "," not in first), ",")
    try:
        titles = [title.strip() for title in next(csv.reader([first], delimiter=separator), [])]
    except csv.Error as error:
        raise DataError(f"{path.name} cannot be read as a table ({error}).", field=field, value=path) from None
    if not any(titles):
        raise DataError(f"{path.name} is empty.", field=field, value=path)
    if twice := next((title for k, title in enumerate(titles) if title in titles[:k]), None):
        raise DataError(f"{path.name} has two columns {twice!r}.", field=field, value=twice)
    text = {title: "object" for title in titles if _plain(title) in (*FILE_COLUMNS, *SPLIT_COLUMNS, *PERSON_COLUMNS)}
    dtypes: Any = text
    try:
        with warnings.catch_warnings():
            # Rows with more cells than titles are cut with a warning: here that is an error.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                sep=separator,
                header=0,
                names=titles,
                index_col=False,
                dtype=dtypes,
                na_values=_UNKNOWN,
                keep_default_na=False,
                encoding="utf-8-sig",
                low_memory=False,
            )
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ValueError, pd.errors.ParserWarning) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path.name} cannot be read as a table ({reason}).", field=field, value=path) from None
    if len(table) and len(titles) > 1 and bool(table[titles[-1]].isna().any()):
        _no_short_row(path, separator, len(titles), field)
    return table


def _no_short_row(path: Path, separator: str, count: int, field: str) -> None:
    """Pandas fills a row that was cut short; that must not pass for labels that nobody gave."""
    with (
        gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8-sig", newline="") as handle
    ):
        reader = csv.reader(handle, delimiter=separator)
        try:
            for cells in reader:
                if cells and len(cells) != count:
                    message = f"{path.name} line {reader.line_num}: {len(cells)} cells instead of {count}."
                    raise DataError(message, field=field, value=reader.line_num)
        except csv.Error as error:
            raise DataError(f"{path.name} cannot be read as a table ({error}).", field=field, value=path) from None


def _parquet(path: Path, field: str) -> pd.DataFrame:
    import pandas as pd

    if importlib.util.find_spec("pyarrow") is None:
        raise InputError('Parquet needs pyarrow: pip install "cfgan[parquet]".', field=field, value=path)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path.name} cannot be read as Parquet ({reason}).", field=field, value=path) from None
    table.columns = [str(title).strip() for title in table.columns]
    return table


def _plain(title: str) -> str:
    return title.casefold().replace(" ", "_")


class _Reader:
    """One table whose columns are told apart and turned into labels."""

    def __init__(self, path: Path, field: str, table: pd.DataFrame) -> None:
        self._path, self._field, self._table = path, field, table
        self._titles: list[str] = list(table.columns)

    def read(
        self, columns: Sequence[str], file_column: str | None, split_column: str | None, person_column: str | None
    ) -> LabelColumns:
        file = self._find(file_column, FILE_COLUMNS, "--file-column") or self._first_if_names(columns)
        split = self._find(split_column, SPLIT_COLUMNS, "--split-column")
        person = self._find(person_column, PERSON_COLUMNS, "--person-column")
        manifest = is_manifest(self._titles)
        if columns:
            wanted = {title.removeprefix(_REQUESTED): title for title in map(self._title, columns)}
        elif manifest:
            wanted = {title.removeprefix(_REQUESTED): title for title in self._titles if title.startswith(_REQUESTED)}
        else:
            wanted = {title: title for title in self._titles if title not in NOTES | {file, split, person}}
        if not wanted:
            raise DataError(f"{self._path.name} has no column of labels.", field=self._field, value=self._path)
        vocabulary = Vocabulary.of(wanted)
        labels = self._labels(list(wanted.values()))
        return LabelColumns(
            vocabulary,
            labels,
            None if file is None else self._files(file),
            None if split is None else self._words(split),
            None if person is None else self._words(person),
        )

    def _title(self, name: str, field: str = "--columns") -> str:
        plain = {_plain(title): title for title in self._titles}
        for key in (_plain(name), _REQUESTED + _plain(name)):
            if key in plain:
                return plain[key]
        raise InputError(
            f"{self._path.name} has no column {name!r}.", field=field, value=name, nearest=nearest(name, self._titles)
        )

    def _find(self, given: str | None, known: Sequence[str], field: str) -> str | None:
        if given is not None:
            return self._title(given, field)
        plain = {_plain(title): title for title in self._titles}
        return next((plain[title] for title in known if title in plain), None)

    def _first_if_names(self, columns: Sequence[str]) -> str | None:
        """The first column where it holds words that are no labels: file names under a title of somebody's own."""
        first = self._titles[0]
        if first in columns or self._table[first].dtype.kind not in "OUT":
            return None
        words = self._table[first].dropna().astype(str).head(100)
        return first if len(words) and not any(word.strip().casefold() in _WORDS for word in words) else None

    def _words(self, title: str) -> tuple[str, ...]:
        column = self._table[title]
        known = column.notna().to_numpy().tolist()
        return tuple(str(word).strip() if k else "" for word, k in zip(column.tolist(), known, strict=True))

    def _files(self, title: str) -> tuple[str, ...]:
        names = tuple(word.replace("\\", "/").removeprefix("./") for word in self._words(title))
        seen: set[str] = set()
        if len(unlike := set(names)) == len(names) and "" not in unlike:
            return names
        for k, name in enumerate(names):
            if not name or name in seen:
                what = f"{name} stands there twice" if name else "there is no file name"
                raise DataError(f"{self._where(k)}: {what}.", field=self._field, value=name)
            seen.add(name)
        return names

    def _where(self, row: int) -> str:
        return f"{self._path.name} row {row + 1}"

    def _labels(self, titles: list[str]) -> Floats:
        """float32 (N, A), -1..1, NaN unknown."""
        values = np.empty((len(self._table), len(titles)), dtype=np.float32, order="F")
        numbers = []  # columns on whose scale the whole table decides
        for k, title in enumerate(titles):
            column = self._table[title]
            if column.dtype.kind == "b":
                values[:, k] = np.where(column.to_numpy(dtype=bool), 1, -1)
            elif column.dtype.kind in "iuf":
                values[:, k] = column.to_numpy(dtype=np.float32, na_value=np.nan)
                numbers.append(k)
            else:
                values[:, k] = self._from_words(title)
        if len(numbers) == len(titles):
            return self._scaled(values, titles)
        if numbers:
            values[:, numbers] = self._scaled(values[:, numbers], [titles[k] for k in numbers])
        return values

    def _from_words(self, title: str) -> Floats:
        column = self._table[title]
        meaning: dict[Any, float] = {}
        for word in column.dropna().unique():
            meaning[word] = _WORDS.get(str(word).strip().casefold(), np.inf)
            if meaning[word] == np.inf:
                row = int(np.flatnonzero((column == word).to_numpy(dtype=bool, na_value=False))[0])
                raise DataError(
                    f"{self._where(row)}: {title} is {str(word)[:40]!r}, which is no label; --columns names the "
                    "columns that are labels.",
                    field=self._field,
                    value=word,
                )
        return column.map(meaning).to_numpy(dtype=np.float32, na_value=np.nan)

    def _scaled(self, values: Floats, titles: list[str]) -> Floats:
        negative = bool((values < 0).any())
        outside = np.argwhere((values < -1) | (values > 1))
        if len(outside):
            row, k = (int(v) for v in outside[0])
            raise DataError(
                f"{self._where(row)}: {titles[k]} is {values[row, k]:g}; labels lie in -1..1. --columns names the "
                "columns that are labels.",
                field=self._field,
                value=float(values[row, k]),
            )
        if not negative:
            return 2 * values - 1
        known = values[np.isfinite(values)]
        if (known == 0).any() and (known == np.round(known)).all():
            row, k = (int(v) for v in np.argwhere(values == 0)[0])
            raise DataError(
                f"{self._path.name} holds -1, and 0 ({self._where(row)}, {titles[k]}): leave cells empty where nothing "
                "is known, and write 0 or -1, not both, for no.",
                field=self._field,
                value=0,
            )
        return values
