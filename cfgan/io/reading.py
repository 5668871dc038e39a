"""The door through which files come in: regular ones only, of bounded size, and every fault is one sentence.

What stands in a file may be anything, and libraries answer damage with whatever they please: assertions, end of file,
attributes of None. None of that leaves through here.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import CfganError

MAX_TEXT = 1 << 28
"""Bytes of the largest text, JSON or table that is read whole."""

_FORMATS = {"pyarrow": "Parquet", "safetensors": "safetensors"}
"""Library -> the format that it reads, where its own words would not help."""

_ECHO = 200  # characters of a library's own words that are repeated


def open_regular(path: Path, most: int | None = None) -> io.BufferedReader:
    """Open a file for reading without ever waiting for a pipe or reading a device.

    Args:
        path: the file; links are followed.
        most: bytes that it may have.

    Raises:
        OSError: missing, no regular file, too large; ``strerror`` says which.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "a pipe or a device"
            raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
        if most is not None and about.st_size > most:
            raise too_large(path, most)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def too_large(path: Path, most: int) -> OSError:
    """The error for a file of more than so many bytes."""
    return OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))


def read_regular(path: Path, most: int = MAX_TEXT) -> bytes:
    """All bytes of a regular file of at most ``most``. Raises OSError as :func:`open_regular`."""
    with open_regular(path, most) as handle:
        return handle.read(most)


def open_text(path: Path, most: int = MAX_TEXT, *, encoding: str = "utf-8") -> IO[str]:
    """A regular text file with its line ends as they are, as the csv module wants it. Raises OSError."""
    return io.TextIOWrapper(open_regular(path, most), encoding=encoding, newline="")


@contextlib.contextmanager
def library_errors(path: Path, fail: Callable[[str], CfganError]) -> Iterator[None]:
    """Turn whatever a library raises on a file into one of the project's own errors.

    Args:
        path: the file.
        fail: makes the error from a sentence that names the file.

    Raises:
        CfganError: as ``fail`` makes it; those of the block itself pass.
    """
    try:
        yield
    except (CfganError, MemoryError, ImportError):  # not the file's fault
        raise
    except Exception as error:  # libraries raise anything on damaged files, assertions too
        raise fail(f"{path} {reason(error)}.") from error


def reason(error: BaseException) -> str:
    """What went wrong with a file, to be said after its name, without line breaks and not longer than a line or two."""
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, UnicodeDecodeError):
        wide = bytes(error.object[:2]) in (b"\xff\xfe", b"\xfe\xff")
        kind = "UTF-16" if wide else "not UTF-8"  # the latter as a rule a spreadsheet's own code page
        return f"is {kind} text: save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
    if isinstance(error, EOFError):
        return "ends too early"
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON (line {error.lineno}, column {error.colno})"
    if isinstance(error, RecursionError):
        return "is nested too deep"
    if isinstance(error, csv.Error) and "unexpected end" in str(error):
        return "has a quotation mark that is never closed"
    if (form := _FORMATS.get(type(error).__module__.partition(".")[0])) is not None:
        return f"is damaged, or no {form} file"
    return f"cannot be read ({said(error)})"


def said(error: BaseException) -> str:
    """A library's own words on one line and cut to a bearable length; the kind of error where it has none."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = " ".join(words.split()).rstrip(".")
    return (words if len(words) <= _ECHO else words[:_ECHO] + "...") or type(error).__name__


def load_array(path: Path, *, mapped: bool = False) -> npt.NDArray[Any]:
    """The array of an ``.npy`` file, in memory or mapped read-only.

    Raises:
        ValueError: no such file; the text names it.
    """
    with _as_value_error(path):
        with open_regular(path) as handle:
            if handle.read(6) != np.lib.format.MAGIC_PREFIX:  # np.load would also open archives and pickles
                raise ValueError("no array")
        loaded: npt.NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        return loaded


def load_arrays(path: Path, most: int = 1 << 32) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an ``.npz`` file of at most ``most`` bytes when unpacked. Raises ValueError; the text names it."""
    with _as_value_error(path), open_regular(path, most) as handle:
        with zipfile.ZipFile(handle) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > most:
                raise ValueError(f"it is larger than {most:,} bytes")
        handle.seek(0)
        with np.load(handle, allow_pickle=False) as kept:
            return dict(kept)


def load_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a safetensors file. Raises ValueError; the text names it."""
    from safetensors.numpy import load_file

    with _as_value_error(path):
        open_regular(path).close()
        return load_file(path)


@contextlib.contextmanager
def _as_value_error(path: Path) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise
    except MemoryError:
        raise ValueError(f"{path.name} cannot be read (it asks for more memory than there is)") from None
    except Exception as error:  # see library_errors
        raise ValueError(f"{path.name} {reason(error)}") from error
