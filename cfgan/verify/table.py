"""Writing readings as a table, row by row: CSV, JSON, JSON lines, Parquet.

The columns are, in this order: ``file``; ``verifier.<Attribute>`` (or ``judge.<Attribute>``), the calibrated
probability to five digits, as in a batch's ``manifest.csv``; ``seen.<Attribute>``, 1 where it reaches the reader's
threshold, else 0; ``meets``, with a request only, 1 where all of it is seen; ``error``, why an image could not be read,
and then its other cells are empty.

JSON is one object: what was read with what, then ``images``, a list of ``{"file", "<reader>": {attribute: probability},
"seen": [attributes seen], "meets"}`` or ``{"file", "error"}``, then what came of it. JSON lines are those images alone.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from cfgan.errors import InputError, nearest
from cfgan.io.cells import CellWriter
from cfgan.io.extras import require_pyarrow
from cfgan.io.folders import starts_with
from cfgan.io.outputs import OutputFile
from cfgan.model.classifiers import NETWORKS
from cfgan.verify.images import Columns, Readings

KINDS = (".csv", ".json", ".jsonl", ".parquet")

FORMAT = "cfgan-readings/1"

_READERS = tuple(NETWORKS)
_ABOUT = f'{{"format": "{FORMAT}"'.encode()  # how what stands above the rows begins
_DIGITS = 5
_ROW_GROUP = 8192  # rows of a Parquet file held back until they are written together


class Table(Protocol):
    """A table being written: what stands above the rows, rows, what stands below."""

    def begin(self, about: Mapping[str, Any]) -> None: ...

    def add(self, readings: Readings) -> None: ...

    def end(self, result: Mapping[str, Any]) -> None: ...


def table_kind(out: Path) -> str:
    """The kind of table that a file name asks for, one of :data:`KINDS`.

    Raises:
        InputError: another ending, or Parquet without pyarrow.
    """
    kind = out.suffix.casefold()
    if kind not in KINDS:
        raise InputError(
            f"{out.name} ends in none of {', '.join(KINDS)}.",
            field="--out",
            value=out,
            nearest=nearest(kind, KINDS),
        )
    if kind == ".parquet":
        require_pyarrow(field="--out", value=out)
    return kind


def table_file(out: Path, *, force: bool = False) -> OutputFile:
    """A file that a table may be written to: new, or an older table of readings, or with ``force`` any file.

    Raises:
        InputError: as :func:`table_kind` and :class:`~cfgan.io.outputs.OutputFile`.
    """
    table_kind(out)
    return OutputFile(out, _holds_readings, force=force)


def _holds_readings(path: Path) -> bool:
    """Whether a file is a table of readings, by how each kind begins or, Parquet, ends."""
    kind = path.suffix.casefold()
    if kind == ".csv":
        with path.open("rb") as handle:
            header = handle.readline(1 << 20).decode("utf-8").rstrip("\n").split(",")
        reader = header[1].partition(".")[0] if len(header) > 2 else ""
        return reader in _READERS and header[0] == "file" and header[-1] == "error"
    if kind == ".parquet":
        with path.open("rb") as handle:
            handle.seek(-min(path.stat().st_size, 1 << 20), os.SEEK_END)
            return _ABOUT in handle.read()
    if kind == ".json":
        return starts_with(path, _ABOUT)
    with path.open("rb") as handle:
        row = json.loads(handle.readline(1 << 20))
    second = list(row)[1:2] if isinstance(row, dict) and list(row)[:1] == ["file"] else []
    return second in ([reader] for reader in (*_READERS, "error"))


@contextlib.contextmanager
def open_table(out: Path, columns: Columns, *, force: bool = False) -> Iterator[Table]:
    """A table in a file that appears under its name only when the block ends without an error.

    Raises:
        InputError: as :func:`table_file`.
        FolderError, StorageError: the file cannot be written.
    """
    kind = table_kind(out)
    with table_file(out, force=force).open() as handle:
        if kind == ".parquet":
            with contextlib.closing(ParquetTable(handle, columns)) as table:
                yield table
        elif kind == ".csv":
            yield CsvTable(handle, columns)
        else:
            yield JsonTable(handle, columns) if kind == ".json" else JsonLines(handle, columns)


def column_titles(columns: Columns) -> list[str]:
    """The titles of the table's columns."""
    titles = ["file", *(f"{columns.reader}.{name}" for name in columns.names)]
    titles += [f"seen.{name}" for name in columns.names]
    return [*titles, *(["meets"] if columns.wanted is not None else []), "error"]


class CsvTable:
    """CSV in UTF-8 with a header; see the module."""

    def __init__(self, handle: IO[bytes], columns: Columns) -> None:
        self._columns = columns
        self._handle = handle
        self._csv = CellWriter(self, paths=1)

    def write(self, text: str) -> int:
        """Called by the csv module."""
        return self._handle.write(text.encode("utf-8"))

    def begin(self, about: Mapping[str, Any]) -> None:
        self._csv.writerow(column_titles(self._columns))

    def add(self, readings: Readings) -> None:
        empty = [""] * (len(column_titles(self._columns)) - 2)
        probability, seen = _rounded(readings).tolist(), readings.seen.astype(int).tolist()
        for row, (file, error) in enumerate(zip(readings.files, readings.errors, strict=True)):
            if error is not None:
                self._csv.writerow([file, *empty, error])
            else:
                meets = [] if readings.meets is None else [int(readings.meets[row])]
                self._csv.writerow([file, *probability[row], *seen[row], *meets, ""])

    def end(self, result: Mapping[str, Any]) -> None:
        """CSV has no place for it."""


class JsonLines:
    """One JSON object a line and image; see the module."""

    def __init__(self, handle: IO[bytes], columns: Columns) -> None:
        self._columns = columns
        self._handle = handle

    def begin(self, about: Mapping[str, Any]) -> None:
        """Lines have no place for it."""

    def add(self, readings: Readings) -> None:
        for row in self._rows(readings):
            self._handle.write(_json(row) + b"\n")

    def end(self, result: Mapping[str, Any]) -> None:
        """Lines have no place for it."""

    def _rows(self, readings: Readings) -> Iterator[dict[str, Any]]:
        names = self._columns.names
        probability = _rounded(readings).tolist()
        for row, (file, error) in enumerate(zip(readings.files, readings.errors, strict=True)):
            if error is not None:
                yield {"file": file, "error": error}
                continue
            value = {
                "file": file,
                self._columns.reader: dict(zip(names, probability[row], strict=True)),
                "seen": [names[k] for k in np.flatnonzero(readings.seen[row])],
            }
            yield value if readings.meets is None else {**value, "meets": bool(readings.meets[row])}


class JsonTable(JsonLines):
    """One JSON object, written as the rows come so that memory does not grow; see the module."""

    def __init__(self, handle: IO[bytes], columns: Columns) -> None:
        super().__init__(handle, columns)
        self._first = True

    def begin(self, about: Mapping[str, Any]) -> None:
        self._handle.write(_json(about)[:-1] + b', "images": [')

    def add(self, readings: Readings) -> None:
        for row in self._rows(readings):
            self._handle.write((b"\n" if self._first else b",\n") + _json(row))
            self._first = False

    def end(self, result: Mapping[str, Any]) -> None:
        self._handle.write(b"\n], " + _json(result)[1:] + b"\n")


class ParquetTable:
    """Parquet: strings, float32 and booleans, empty cells null; what was read with what stands in the metadata."""

    def __init__(self, handle: IO[bytes], columns: Columns) -> None:
        self._columns = columns
        self._handle = handle
        # Imported by name: pyarrow is an optional extra.
        self._arrow: Any = importlib.import_module("pyarrow")
        self._parquet: Any = importlib.import_module("pyarrow.parquet")
        self._writer: Any = None
        self._held: list[Readings] = []

    def begin(self, about: Mapping[str, Any]) -> None:
        arrow = self._arrow
        kinds = {"file": arrow.string(), "error": arrow.string(), "meets": arrow.bool_()}
        fields = []
        for title in column_titles(self._columns):
            kind = kinds.get(title) or (arrow.bool_() if title.startswith("seen.") else arrow.float32())
            fields.append(arrow.field(title, kind, nullable=title != "file"))
        self._schema = arrow.schema(fields, metadata={"cfgan": _json(about)})
        self._writer = self._parquet.ParquetWriter(self._handle, self._schema)

    def add(self, readings: Readings) -> None:
        self._held.append(readings)
        if sum(len(held.files) for held in self._held) >= _ROW_GROUP:
            self._flush()

    def end(self, result: Mapping[str, Any]) -> None:
        self._flush()

    def close(self) -> None:
        """Write the footer; after an error too, for pyarrow would do it later, when the file is closed."""
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if not self._held:
            return
        arrow = self._arrow
        errors = [error for held in self._held for error in held.errors]
        broken = np.asarray([error is not None for error in errors], dtype=bool)
        probability = np.concatenate([_rounded(held) for held in self._held]).astype(np.float32)
        seen = np.concatenate([held.seen for held in self._held])
        values = [arrow.array([name for held in self._held for name in held.files], arrow.string())]
        values += [arrow.array(column, mask=broken) for column in probability.T]
        values += [arrow.array(column, mask=broken) for column in seen.T]
        if self._columns.wanted is not None:
            meets = np.concatenate([held.meets for held in self._held if held.meets is not None])
            values.append(arrow.array(meets, mask=broken))
        values.append(arrow.array(errors, arrow.string()))
        self._writer.write_table(arrow.Table.from_arrays(values, schema=self._schema))
        self._held = []


def _rounded(readings: Readings) -> Any:
    return np.round(readings.probability.astype(np.float64), _DIGITS)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
