"""A folder that is made step by step, can be killed at any moment and goes on where it was: batches and test sets.

While it is being made it holds a journal (:mod:`cfgan.io.journal`) and is locked; finished, it holds the file that says
so. Nothing is written before :meth:`ResumableFolder.begin`.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cfgan.errors import FolderError
from cfgan.io.files import is_unused, lock_folder, make_folder, remove_partials
from cfgan.io.journal import Journal

IMAGES = "images"


class ResumableFolder(ABC):
    """What such folders share. A subclass sets its own attributes first, for the journal is read at once.

    Args:
        out: the folder; new, empty, or holding this same work.
        header: what identifies the work; a folder with another header is never written into.
        other: how to say that it has another, such as "another batch (other request, settings or bundle)".
        finished: name of the file that a finished folder holds.

    Raises:
        FolderError: the folder holds something else, or is damaged.
        StorageError: the disk refused.
    """

    def __init__(self, out: Path, header: Mapping[str, Any], other: str, finished: str) -> None:
        self.out, self.complete = out, False
        self._journal, self._finished = Journal(out, header, other), out / finished
        self._open = contextlib.ExitStack()
        if self._journal.exists():
            self._replay(repair=False)
        elif self._finished.exists():
            self._take_finished()
            self.complete = True
        elif not is_unused(out):
            raise FolderError(f"{out} already holds something else.", field="out", value=out)

    @abstractmethod
    def _replay(self, *, repair: bool) -> None:
        """Take up what the journal says; when repairing, up to the first step whose images are not all there."""

    @abstractmethod
    def _take_finished(self) -> None:
        """Take up what a finished folder says. Raises FolderError: it is damaged, or other work."""

    def _folders(self) -> Iterable[Path]:
        """Folders in which a killed process may have left unfinished files."""
        return (self.out, self.out / IMAGES)

    def _make_folders(self) -> None:
        """Make the folders that images go into. Raises StorageError."""
        make_folder(self.out / IMAGES)

    def begin(self) -> None:
        """Make the folder and its journal, or repair what a killed process left; from here on the folder is locked.

        Raises:
            FolderError: another process is writing into the folder, or has just finished it.
            StorageError: the disk refused.
        """
        make_folder(self.out)
        self._open.enter_context(lock_folder(self.out))
        for folder in self._folders():
            remove_partials(folder)
        if self._journal.exists():
            self._replay(repair=True)
        elif self._finished.exists():
            raise FolderError(f"another process has just finished {self.out}.", field="out", value=self.out)
        else:
            self._journal.start()
        self._make_folders()

    @property
    def header(self) -> dict[str, Any]:
        """What identifies the work."""
        return self._journal.header

    def close(self) -> None:
        """Let go of the folder and of what works on it."""
        self._open.close()
