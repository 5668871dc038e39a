"""Which row of a table belongs to which image: names compared in Unicode NFC, extensions without case.

A name may also meet a file by its end (``/data/bob/1.png`` or ``1.png`` meet ``bob/1.png``), but only where all folders
that both of them have agree (``carol/1.png`` does not), and where nothing else fits as well.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError

IN_TABLE, IN_FILES = "only in the names of the table", "only in the names of the files"
"""Why a folder level was not compared."""


@dataclass(frozen=True)
class Matches:
    """How names and files met.

    Args:
        rows: int64 (F,), for each file its row, or -1.
        lost: rows without a file, ascending.
        folders: folders that one side has and the other has not -> which; without one that all files lie in.
    """

    rows: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    folders: Mapping[str, str]


def plain_name(cell: str) -> str:
    """A file name as it stands in a cell, with POSIX separators and no ``./`` in front."""
    return cell.strip().replace("\\", "/").removeprefix("./")


def name_key(name: str) -> str:
    """The form in which names are compared: Unicode NFC, the extension in small letters, no empty or ``.`` parts."""
    parts = [part for part in unicodedata.normalize("NFC", name).split("/") if part not in ("", ".")]
    if parts:
        stem, dot, suffix = parts[-1].rpartition(".")
        parts[-1] = f"{stem}{dot}{suffix.casefold()}" if stem else parts[-1]
    return "/".join(parts)


def is_plain(name: str) -> bool:
    """Whether a name can stand in a list of names: it has no line end or other control character in it."""
    return not re.search(r"[\x00-\x1f\x7f]", name)


def is_inside(name: str) -> bool:
    """Whether a name from outside stays inside the folder it is read from, and can stand in a list of names."""
    path = PurePosixPath(name)
    return (
        bool(name)
        and is_plain(name)
        and not path.is_absolute()
        and ".." not in path.parts
        and not re.match(r"[A-Za-z]:", name)
    )


def match_names(names: Sequence[str], files: Sequence[str], *, table: str, field: str) -> Matches:
    """Find each file's row: by the name as written, else by :func:`name_key`, else by the longest end that agrees.

    Args:
        names: of the rows, each once.
        files: relative to the folder that was looked through.
        table: its name, for messages.
        field: the option that names it, for messages.

    Raises:
        DataError: a file that several rows fit equally well, or a row that fits several files; names both.
    """
    return _Matcher(names, files, table, field).match()


class _Matcher:
    def __init__(self, names: Sequence[str], files: Sequence[str], table: str, field: str) -> None:
        self._names, self._files, self._table, self._field = names, files, table, field
        self._rows = np.full(len(files), -1, dtype=np.int64)
        self._taken: set[int] = set()
        self._folders: dict[str, str] = {}

    def match(self) -> Matches:
        place = {name: row for row, name in enumerate(self._names)}
        for k, file in enumerate(self._files):
            if (row := place.get(file, -1)) >= 0:
                self._take(k, row)
        if (self._rows < 0).any() and len(self._taken) < len(self._names):
            self._by_key()
        lost = np.setdiff1d(np.arange(len(self._names)), self._rows)
        return Matches(self._rows, lost, self._telling())

    def _take(self, k: int, row: int) -> None:
        self._rows[k] = row
        self._taken.add(row)

    def _by_key(self) -> None:
        keys = {row: name_key(name) for row, name in enumerate(self._names) if row not in self._taken}
        whole: dict[str, list[int]] = defaultdict(list)  # key -> rows
        ends: dict[str, list[int]] = defaultdict(list)  # every shorter end of a row's key -> rows
        for row, key in keys.items():
            whole[key].append(row)
            for end in _ends(key):
                ends[end].append(row)
        # How many parts agree -> file -> rows; whole names first, as all parts of both agree.
        found: dict[float, dict[int, list[int]]] = defaultdict(dict)
        for k in np.flatnonzero(self._rows < 0).tolist():
            key = name_key(self._files[k])
            if key in whole:
                found[np.inf][k] = whole[key]
            for end, rows in ((key, ends.get(key)), *((end, whole.get(end)) for end in _ends(key))):
                if rows:
                    found[end.count("/")][k] = rows
        for agreeing in sorted(found, reverse=True):
            self._level(found[agreeing])

    def _level(self, found: Mapping[int, Sequence[int]]) -> None:
        wanted: dict[int, int] = {}  # row -> file
        for k, fitting in found.items():
            if self._rows[k] >= 0 or not (free := [row for row in fitting if row not in self._taken]):
                continue
            if len(free) > 1:
                self._refuse(self._files[k], [self._names[row] for row in free])
            if (other := wanted.setdefault(free[0], k)) != k:
                self._refuse(self._names[free[0]], [self._files[other], self._files[k]])
        for row, k in wanted.items():
            self._take(k, row)
            self._note(name_key(self._names[row]), name_key(self._files[k]))

    def _note(self, name: str, file: str) -> None:
        for longer, shorter, where in ((name, file, IN_TABLE), (file, name, IN_FILES)):
            if len(longer) > len(shorter):
                self._folders.setdefault(longer.removesuffix(shorter), where)

    def _telling(self) -> dict[str, str]:
        """The folders, without one that all files lie in (``images/``): it tells none of them from another."""
        keys = [name_key(file) for file in self._files]
        return {
            folder: where
            for folder, where in self._folders.items()
            if where == IN_TABLE or not all(key.startswith(folder) for key in keys)
        }

    def _refuse(self, name: str, both: Sequence[str]) -> NoReturn:
        raise DataError(
            f"{self._table}: {name!r} may be {both[0]} or {both[1]}; write the names with their folders.",
            field=self._field,
            value=name,
        )


def _ends(key: str) -> Iterable[str]:
    """ "a/b/c" -> "b/c", "c"."""
    while "/" in key:
        key = key.partition("/")[2]
        yield key
