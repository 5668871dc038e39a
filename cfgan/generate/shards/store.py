"""Where shards go: a folder, or any address that fsspec opens (s3://, gs://, abfs://, sftp://, memory://).

A file is there under its name only when all of it is: folders by renaming, buckets because an upload, in parts or not,
shows only when it is complete.
"""

from __future__ import annotations

import contextlib
import importlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from cfgan.errors import CfganError, FolderError, InputError, StorageError
from cfgan.io.extras import require_package
from cfgan.io.files import make_folder, remove_partials, user_path, write_bytes
from cfgan.io.folders import lock_folder, refuse_inside
from cfgan.io.reading import open_regular, said

_BUCKETS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "memory"}  # where a renaming would be a copy


class ShardStore(Protocol):
    """A place of named files. It can be handed to another process, which opens the same place."""

    @property
    def where(self) -> str:
        """The place, as a person gave it."""

    def sizes(self) -> dict[str, int]:
        """Name -> bytes of every whole file. Raises StorageError, FolderError."""

    def read(self, name: str) -> bytes:
        """All of a file. Raises StorageError, FileNotFoundError."""

    def write(self, name: str, data: bytes) -> None:
        """A file, all or nothing; an older one is replaced. Raises StorageError."""

    def remove(self, name: str) -> None:
        """No longer have a file. Raises StorageError."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep the place to oneself where it can be kept. Raises FolderError, StorageError."""


def open_shard_store(where: str | Path) -> ShardStore:
    """A folder, or an address with ``://``.

    Raises:
        InputError: the address cannot be opened; or a package that it needs is missing.
    """
    text = str(where)
    scheme, found, rest = text.partition("://")
    if not found:
        return FolderStore(user_path(where, field="--out"))
    if scheme == "file":
        return FolderStore(user_path(rest, field="--out"))
    require_package("fsspec", "buckets", f"{scheme}://", field="--out", value=text)
    return BucketStore(text)


class FolderStore:
    """A folder of this machine, or one that it shares with others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        refuse_inside(folder)

    @property
    def where(self) -> str:
        return str(self.folder)

    def sizes(self) -> dict[str, int]:
        if self.folder.exists() and not self.folder.is_dir():
            raise FolderError(f"{self.folder} is a file, not a folder.", field="--out", value=self.folder)
        if not self.folder.exists():
            return {}
        with _errors(self.where):
            # A folder in it counts as a file that is not ours.
            return {path.name: path.stat().st_size for path in self.folder.iterdir() if path.suffix != ".partial"}

    def read(self, name: str) -> bytes:
        with _errors(self.where, may_be_missing=True), open_regular(self.folder / name) as handle:
            return handle.read()

    def write(self, name: str, data: bytes) -> None:
        write_bytes(self.folder / name, data)

    def remove(self, name: str) -> None:
        with _errors(self.where):
            (self.folder / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        make_folder(self.folder)
        with lock_folder(self.folder):
            remove_partials(self.folder)
            try:
                yield
            finally:
                remove_partials(self.folder)  # of workers that died


class BucketStore:
    """What fsspec opens. Nothing keeps two jobs from writing to the same place; they would write the same bytes."""

    def __init__(self, address: str) -> None:
        self.where = address.rstrip("/")
        fsspec: Any = importlib.import_module("fsspec")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.where)
        except Exception as error:  # whatever a file system makes of its address, a missing package too
            raise InputError(f"{address} cannot be opened ({said(error)}).", field="--out", value=address) from error
        self._renames = address.partition("://")[0] not in _BUCKETS

    def __reduce__(self) -> tuple[Callable[[str], BucketStore], tuple[str]]:
        return BucketStore, (self.where,)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def sizes(self) -> dict[str, int]:
        with _errors(self.where):
            self._files.invalidate_cache()
            if not self._files.exists(self._root):
                return {}
            rows = self._files.ls(self._root, detail=True)
            listed = {str(row["name"]).rstrip("/").rpartition("/")[2]: int(row.get("size") or 0) for row in rows}
            return {name: size for name, size in listed.items() if name and not name.endswith(".partial")}

    def read(self, name: str) -> bytes:
        with _errors(self.where, may_be_missing=True):
            return bytes(self._files.cat_file(self._path(name)))

    def write(self, name: str, data: bytes) -> None:
        with _errors(self.where):
            if not self._renames:
                self._files.pipe_file(self._path(name), data)
                return
            self._files.makedirs(self._root, exist_ok=True)
            temporary = self._path(f"{name}.{uuid.uuid4().hex}.partial")
            self._files.pipe_file(temporary, data)
            self._files.mv(temporary, self._path(name))

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), _errors(self.where, may_be_missing=True):
            self._files.rm_file(self._path(name))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        yield
        if self._renames:
            with _errors(self.where):
                for path in self._files.glob(f"{self._root}/*.partial"):  # of workers that died
                    self._files.rm_file(path)


@contextlib.contextmanager
def _errors(where: str, *, may_be_missing: bool = False) -> Iterator[None]:
    """Whatever a file system says, in one sentence; a file that may be missing is left to be told apart."""
    try:
        yield
    except (CfganError, MemoryError):
        raise
    except Exception as error:  # libraries of buckets raise their own
        if may_be_missing and isinstance(error, FileNotFoundError):
            raise
        raise StorageError(f"{where}: {said(error)}.") from error
