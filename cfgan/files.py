"""Writing files so that a reader never sees half of one, and hashing them.

Every write goes to a temporary name in the same folder, is flushed to the disk and then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from cfgan.errors import FolderError, StorageError

_TEMPORARY = ".partial"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+\-]{0,127}")
_DEVICES = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))}


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says of ``path`` into one clear sentence.

    Raises:
        StorageError: no space, read-only, no permission, or any other failure of the disk.
    """
    try:
        yield
    except OSError as error:
        what = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EROFS: "the file system is read-only",
            errno.EACCES: "there is no permission to write there",
            errno.EPERM: "there is no permission to write there",
            errno.ENOTDIR: "a part of the path is a file, not a folder",
        }.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"cannot write {path}: {what}.") from error


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open ``path`` for binary writing; it appears under its name only when the block ends without an error.

    Raises:
        StorageError: the disk refused; the temporary file is removed.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{_TEMPORARY}")
    with storage_errors(path):
        try:
            with temporary.open("wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically. Raises StorageError."""
    with atomic_write(path) as handle:
        handle.write(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file atomically. Raises StorageError."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically. Raises StorageError."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def make_folder(path: Path) -> None:
    """Create a folder and its parents. Raises StorageError, or FolderError where a file has that name."""
    if path.exists() and not path.is_dir():
        raise FolderError(f"{path} is a file, not a folder.", field="out", value=path)
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries (renames) to the disk; a no-op where the system cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_partials(folder: Path) -> None:
    """Remove temporary files that a killed process left in a folder of ours."""
    for path in folder.glob(f"*{_TEMPORARY}"):
        with contextlib.suppress(OSError):
            path.unlink()


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, as hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def is_safe_name(name: str) -> bool:
    """Whether a name from outside may become a file name: no separators, ``..``, NUL or device names."""
    return bool(_SAFE_NAME.fullmatch(name)) and ".." not in name and name.split(".")[0].casefold() not in _DEVICES
