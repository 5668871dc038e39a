"""What is known about images beforehand: label files of several kinds, and which row belongs to which image."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.image_files import is_manifest
from cfgan.data.read.celeba import read_labels
from cfgan.data.read.label_values import NOTES
from cfgan.errors import DataError, VocabularyError, nearest
from cfgan.io.files import user_path

FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "image_name", "img", "path", "name")
"""Titles by which the column of file names is known; else it is the first column, unless that is an attribute."""

_FIELD = "--labels"
_REQUESTED = "requested."
_YES = {"1", "true", "yes", "t", "y"}
_NO = {"0", "-1", "false", "no", "f", "n"}
_UNKNOWN = {"", "nan", "na", "n/a", "null", "none", "?"}


@dataclass(frozen=True)
class LabelTable:
    """Labels by file name.

    Args:
        path: where they were read from.
        names: the k attributes, as the vocabulary spells them.
        rows: file name -> row.
        values: int8 (N, k); 1 has it, -1 has it not, 0 unknown.
        ignored: columns that were left out because the vocabulary does not have them.
        requested: whether these are the requests of a batch's manifest, not labels.
    """

    path: Path
    names: tuple[str, ...]
    rows: Mapping[str, int]
    values: npt.NDArray[np.int8]
    ignored: tuple[str, ...] = ()
    requested: bool = False

    def match(self, files: Sequence[str]) -> npt.NDArray[np.int64]:
        """For each image its row, or -1: by the whole name, else by the last part of it, where only one fits.

        Raises:
            DataError: the last part fits several images or several rows, or nothing fits at all.
        """
        found = np.asarray([self.rows.get(name, -1) for name in files], dtype=np.int64)
        taken = set(found.tolist())
        by_base: dict[str, list[str]] = {}
        for name, row in self.rows.items():
            if row not in taken:
                by_base.setdefault(name.rpartition("/")[2], []).append(name)
        used: dict[int, str] = {}
        for place in np.flatnonzero(found < 0).tolist():
            base = files[place].rpartition("/")[2]
            if not (fitting := by_base.get(base)):
                continue
            row = self.rows[fitting[0]]
            if len(fitting) > 1 or row in used:
                both = fitting[:2] if len(fitting) > 1 else [used[row], files[place]]
                raise DataError(
                    f"{self.path.name}: {base!r} may be {both[0]} or {both[1]}; write the names with their folders.",
                    field=_FIELD,
                    value=base,
                )
            found[place] = row
            used[row] = files[place]
        if not (found >= 0).any():
            raise DataError(
                f"{self.path.name} names none of the images (its first name is {next(iter(self.rows))!r}, "
                f"the first image {files[0]!r}).",
                field=_FIELD,
                value=self.path,
            )
        return found


def read_label_file(path: str | Path, vocabulary: Vocabulary, *, ignore_unknown: bool = False) -> LabelTable:
    """Read the official ``list_attr_celeba.txt``, a batch's ``manifest.csv``, or any CSV of file names and labels.

    A CSV has a header, a column of file names (see :data:`FILE_COLUMNS`) and one column an attribute, spelled in any
    case. Commas, semicolons or tabs separate. Cells are 1, true or yes; 0, -1, false or no; or empty (also nan, na,
    null, none, ?) where nothing is known. A file that holds both 0 and -1 is refused: 0 may mean "unknown" there.
    Of a manifest, the columns ``requested.*`` are read: what was asked for; graded requests count as unknown.

    Args:
        path: the file.
        vocabulary: the attributes that may be there.
        ignore_unknown: leave out columns that are not among them.

    Raises:
        DataError: missing, not such a table, without rows, a cell or a line that cannot be used; names the line.
        VocabularyError: a column that is no attribute, with the nearest names.
    """
    path = user_path(path, field=_FIELD)
    if path.is_dir():
        there = [name for name in ("manifest.csv", "list_attr_celeba.txt") if (path / name).is_file()]
        raise DataError(f"{path} is a folder.", field=_FIELD, value=path, nearest=[path / name for name in there])
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            first = handle.readline()
            if first.strip().isdigit():
                return _official(path, vocabulary, ignore_unknown)
            handle.seek(0)
            separator = next((mark for mark in "\t;" if mark in first and "," not in first), ",")
            reader = csv.reader(handle, delimiter=separator, strict=True)
            table = _Table(path, vocabulary, ignore_unknown, next(reader, []))
            for cells in reader:
                if cells:
                    table.add(reader.line_num, cells)
    except FileNotFoundError:
        beside = [p.name for p in path.parent.glob("*") if p.suffix in (".csv", ".txt", ".tsv")]
        raise DataError(
            f"there is no file {str(path)!r}.", field=_FIELD, value=path, nearest=nearest(path.name, beside)
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read as a table ({error}).", field=_FIELD, value=path) from None
    return table.finish()


class _Table:
    """A CSV being read."""

    def __init__(self, path: Path, vocabulary: Vocabulary, ignore_unknown: bool, header: list[str]) -> None:
        self._path = path
        self._header = [title.strip() for title in header]
        self._requested = is_manifest(self._header)
        self._rows: dict[str, int] = {}
        self._values: list[list[int]] = []
        self._read: dict[str, int] = {}  # cell as it stands -> value: of millions of cells only a few differ
        self._first: dict[str, int] = {}  # "0" and "-1" -> the line where each was first met
        if not any(self._header):
            raise DataError(f"{path.name} is empty.", field=_FIELD, value=path)
        self._file = 0 if self._requested else self._file_column(vocabulary)
        titles = {
            place: title.removeprefix(_REQUESTED) if self._requested else title
            for place, title in enumerate(self._header)
            if place != self._file
            and (title.startswith(_REQUESTED) if self._requested else ignore_unknown or title not in NOTES)
        }
        self._columns, self._ignored = _known(path, titles, vocabulary, ignore_unknown)
        if not self._columns:
            what = "asks for no attribute" if self._requested else "has no column of labels"
            raise DataError(f"{path.name} {what}.", field=_FIELD, value=path)

    def _file_column(self, vocabulary: Vocabulary) -> int:
        plain = [title.casefold().replace(" ", "_") for title in self._header]
        for title in FILE_COLUMNS:
            if title in plain:
                return plain.index(title)
        try:
            vocabulary.index(self._header[0])
        except VocabularyError:
            return 0
        raise DataError(
            f"{self._path.name} has no column of file names; call it {FILE_COLUMNS[0]!r}.",
            field=_FIELD,
            value=self._header[0],
        )

    def add(self, line: int, cells: list[str]) -> None:
        where = f"{self._path.name} line {line}"
        if len(cells) != len(self._header):
            raise DataError(f"{where}: {len(cells)} cells instead of {len(self._header)}.", field=_FIELD, value=line)
        name = cells[self._file].strip().replace("\\", "/").removeprefix("./")
        if not name:
            raise DataError(f"{where}: there is no file name.", field=_FIELD, value=line)
        if name in self._rows:
            raise DataError(f"{where}: {name} stands there twice.", field=_FIELD, value=name)
        self._rows[name] = len(self._values)
        self._values.append([self._value(cells[place], where, title) for title, place in self._columns.items()])
        if len(self._first) == 2:
            raise DataError(
                f"{self._path.name} holds -1 (line {self._first['-1']}) and 0 (line {self._first['0']}): "
                "leave cells empty where nothing is known, and write 0 or -1, not both, for no.",
                field=_FIELD,
                value=0,
            )

    def _value(self, cell: str, where: str, title: str) -> int:
        if (value := self._read.get(cell)) is None:
            value = self._read[cell] = self._parse(cell, where, title)
        return value

    def _parse(self, cell: str, where: str, title: str) -> int:
        text = cell.strip().casefold()
        if text in _UNKNOWN:
            return 0
        if self._requested:
            return self._request(text, where, title)
        text = text.removesuffix(".0")
        if text in ("0", "-1"):
            self._first.setdefault(text, int(where.rpartition(" ")[2]))
        if text in _YES:
            return 1
        if text in _NO:
            return -1
        raise DataError(
            f"{where}: {title} is {cell.strip()[:40]!r}; 1, 0, -1, true, false or nothing is expected.",
            field=_FIELD,
            value=cell,
        )

    def _request(self, text: str, where: str, title: str) -> int:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not -1 <= number <= 1:
            raise DataError(f"{where}: {_REQUESTED}{title} is {text[:40]!r}.", field=_FIELD, value=text)
        return int(number) if abs(number) == 1 else 0

    def finish(self) -> LabelTable:
        if not self._values:
            raise DataError(f"{self._path.name} has no rows.", field=_FIELD, value=self._path)
        values = np.asarray(self._values, dtype=np.int8)
        return LabelTable(self._path, tuple(self._columns), self._rows, values, self._ignored, self._requested)


def _official(path: Path, vocabulary: Vocabulary, ignore_unknown: bool) -> LabelTable:
    try:
        theirs, rows = read_labels(path)
    except DataError as error:
        text = str(error).removeprefix(f"{error.field}: ")
        raise DataError(text, field=_FIELD, value=path) from None
    if not rows:
        raise DataError(f"{path.name} has no rows.", field=_FIELD, value=path)
    columns, ignored = _known(path, dict(enumerate(theirs.names)), vocabulary, ignore_unknown)
    if not columns:
        raise DataError(f"{path.name} has no column of labels.", field=_FIELD, value=path)
    values = np.stack(list(rows.values()))[:, list(columns.values())]
    return LabelTable(path, tuple(columns), {name: row for row, name in enumerate(rows)}, values, ignored)


def _known(
    path: Path, titles: Mapping[int, str], vocabulary: Vocabulary, ignore_unknown: bool
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Attribute -> column, in the vocabulary's order, and the columns left out. Raises VocabularyError, DataError."""
    columns: dict[str, int] = {}
    ignored = []
    for place, title in titles.items():
        try:
            name = vocabulary.canonical(title)
        except VocabularyError as error:
            if ignore_unknown:
                ignored.append(title)
                continue
            raise VocabularyError(
                f"{path.name} has a column {title!r}, and the model no such attribute; "
                "--ignore-unknown leaves such columns out.",
                field=_FIELD,
                value=title,
                nearest=error.nearest,
            ) from None
        if name in columns:
            raise DataError(f"{path.name} has two columns for {name}.", field=_FIELD, value=title)
        columns[name] = place
    return {name: columns[name] for name in sorted(columns, key=vocabulary.names.index)}, tuple(ignored)
