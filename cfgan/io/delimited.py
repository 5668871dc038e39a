"""Tables of text that people give: with commas, semicolons or tabs, compressed or not."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from cfgan.io.reading import MAX_TEXT, open_regular, too_large

_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?")  # what Excel writes, and reads, before the titles


@contextlib.contextmanager
def open_plain(path: Path, most: int = MAX_TEXT) -> Iterator[IO[str]]:
    """A regular UTF-8 text file, also ``.gz``, without its byte order mark, line ends as they stand.

    Args:
        path: the file.
        most: bytes that it may have, also when unpacked.

    Raises:
        OSError: missing, no regular file, too large; ``strerror`` says which.
    """
    with open_regular(path, most) as file:
        if path.name.casefold().endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as unpacked:
                limited = cast("IO[bytes]", io.BufferedReader(_Limited(unpacked, path, most), 1 << 16))
                yield io.TextIOWrapper(limited, encoding="utf-8-sig", newline="")
        else:
            yield io.TextIOWrapper(file, encoding="utf-8-sig", newline="")


@contextlib.contextmanager
def open_delimited(path: Path, most: int = MAX_TEXT) -> Iterator[tuple[IO[str], str]]:
    """A table's text from its titles on, and what separates its cells. Raises as :func:`open_plain`."""
    with open_plain(path, most) as handle:
        first = handle.readline()
        if said := _SEPARATOR_LINE.fullmatch(first):
            yield handle, said[1]
            return
        handle.seek(0)
        yield handle, next((mark for mark in "\t;" if mark in first and "," not in first), ",")


class _Limited(io.RawIOBase):
    """What is unpacked, up to so many bytes: a small archive may hold any number of them."""

    def __init__(self, unpacked: gzip.GzipFile, path: Path, most: int) -> None:
        self._unpacked, self._path, self._most = unpacked, path, most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        return self._unpacked.seek(place, whence)

    def tell(self) -> int:
        return self._unpacked.tell()

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._unpacked.read(len(view))
        if self._unpacked.tell() > self._most:
            raise too_large(self._path, self._most)
        view[: len(data)] = data
        return len(data)
