"""Writing files so that a reader never sees half of one, and hashing them.

Every write goes to a temporary name in the same folder, is flushed to the disk and then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from cfgan.errors import FolderError, InputError, StorageError
from cfgan.io.reading import open_regular, read_regular
from cfgan.io.seal import check_seal, sealed

TEMPORARY = ".partial"
OURS = re.compile(r".+\.(\d+)\.partial")  # name, process number, ending: what atomic_write leaves when it is killed
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
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
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
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Indented JSON as it is written. Raises ValueError for NaN."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as JSON with its seal, which :func:`read_json_object` compares. Raises StorageError."""
    write_json(path, sealed(value))


def make_folder(path: Path) -> None:
    """Create a folder and its parents. Raises StorageError, or FolderError where a file has that name."""
    for part in (path, *path.parents):
        if part.exists():
            if not part.is_dir():
                raise FolderError(f"{part} is a file, not a folder.", field="out", value=path)
            break
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def holds(path: Path, data: bytes) -> bool:
    """Whether a file is there and holds these bytes."""
    try:
        return read_regular(path) == data
    except OSError:
        return False


def holds_exactly(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether a folder holds these files, by their names relative to it, and nothing else."""
    try:
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    except OSError:
        return False
    return found == {*files} and all(holds(folder / name, data) for name, data in files.items())


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object. One that is sealed must be as it was written.

    Raises:
        ValueError: missing, unreadable, not JSON, not an object or changed; the text says which.
    """
    try:
        data = read_regular(path)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror}") from None
    return json_object(data, path.name)


def json_object(data: bytes, name: str) -> dict[str, Any]:
    """A JSON object out of a file's bytes. One that is sealed must be as it was written.

    Raises:
        ValueError: not JSON, not an object or changed; the text begins with the file's name.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError(f"{name} is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a JSON object")
    try:
        check_seal(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return value


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
    for path in folder.glob(f"*{TEMPORARY}"):
        if OURS.fullmatch(path.name):
            with contextlib.suppress(OSError):
                path.unlink()


def remove_stale_partials(path: Path) -> None:
    """Remove the temporary files of one file that killed processes left, in a folder that others write into too."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*{TEMPORARY}"):
        match = OURS.fullmatch(left.name)
        if match and left.name == f"{path.name}.{match[1]}{TEMPORARY}" and not is_running(int(match[1])):
            with contextlib.suppress(OSError):
                left.unlink()


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def sha256_of(path: Path, most: int | None = None) -> str:
    """sha256 of a regular file's bytes, as hex. Raises OSError, also if it has more than ``most``."""
    with open_regular(path, most) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def is_published(path: Path, digest: str, most: int = 1 << 30) -> bool:
    """Whether a file is the published one with this sha256; what cannot be read, or is far too large, is not."""
    try:
        return sha256_of(path, most) == digest
    except OSError:
        return False


def user_path(text: str | Path, *, field: str) -> Path:
    """A path as a person wrote it, with ``~`` expanded.

    Raises:
        InputError: an unknown user, or a name longer than the system takes.
    """
    try:
        path = Path(text).expanduser()
        path.exists()
    except RuntimeError:
        raise InputError(f"{str(text)!r}: there is no such user.", field=field, value=text) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{str(text)[:60]!r} is not a usable path ({reason}).", field=field, value=text) from None
    return path


def real_path(path: Path) -> Path:
    """A path without links; of a link that leads to itself the path as it stands, which is then not there."""
    return Path(os.path.realpath(path))


def is_safe_name(name: str) -> bool:
    """Whether a name from outside may become a file name: no separators, ``..``, NUL or device names."""
    return bool(_SAFE_NAME.fullmatch(name)) and ".." not in name and name.split(".")[0].casefold() not in _DEVICES
