"""One output file that a person names: never written over what is theirs, never into a folder that is ours.

A file may be replaced if its content says that this program wrote one of the same kind there, or if the person says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import IO

from cfgan.errors import InputError
from cfgan.io.files import atomic_write, make_folder, remove_stale_partials
from cfgan.io.folders import folder_of_ours


def nothing_is_ours(path: Path) -> bool:
    """Of formats that other programs write too: no file is taken for one of ours."""
    return False


@dataclass(frozen=True)
class OutputFile:
    """A file that may be written; making one checks it, so make it before the work begins.

    Args:
        path: as a person gave it.
        ours: whether a regular file that stands there was written by this program, as an output of this kind.
        force: replace a file that was not. It never lets anything into a folder of ours.
        field: the option, for messages.

    Raises:
        InputError: a folder, a pipe or a device, a file that is not ours, a place inside a folder of ours.
    """

    path: Path
    ours: Callable[[Path], bool] = nothing_is_ours
    _: KW_ONLY
    force: bool
    field: str = "--out"

    def __post_init__(self) -> None:
        out = self.path
        if out.is_dir():
            raise self._error(f"{out} is a folder, not a file.")
        if (owner := folder_of_ours(out)) is not None:
            what, folder = owner
            raise self._error(f"{out} lies inside {folder}, {what}: nothing else is written there.")
        if not os.path.lexists(out):
            return
        if out.exists() and not out.is_file():
            raise self._error(f"{out} is a pipe or a device, not a regular file.")
        if not self.force and not self._is_ours():
            raise self._error(f"{out} is there already and no earlier output of this command; --force replaces it.")

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The file for writing; it appears under its name only when the block ends without an error.

        Raises:
            InputError: something else has come to stand there meanwhile.
            FolderError, StorageError: it cannot be written.
        """
        self.__post_init__()
        make_folder(self.path.parent)
        remove_stale_partials(self.path)
        with atomic_write(self.path) as handle:
            yield handle

    def write(self, data: bytes) -> None:
        """Write all of it. Raises as :meth:`open`."""
        with self.open() as handle:
            handle.write(data)

    def _is_ours(self) -> bool:
        try:
            return self.path.is_file() and self.ours(self.path)
        except (OSError, ValueError):
            return False

    def _error(self, message: str) -> InputError:
        return InputError(message, field=self.field, value=self.path)
