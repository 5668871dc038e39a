"""Folders that are made step by step, can be killed at any moment and go on where they were.

While one is being made it is locked and says what work it is: in a journal with every step
(:class:`ResumableFolder`: batches and test sets), or in one file that says how far it is (:class:`StateFolder`: packed
stores and balanced sets). Finished, it holds the file that says so. Nothing is written into a folder that holds
anything else.
"""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cfgan.errors import FolderError
from cfgan.io.files import make_folder, read_json_object, remove_partials, storage_errors, write_sealed
from cfgan.io.folders import anything, is_unused, lock_folder, refuse_inside, require_ours, something_else
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
        InputError: it lies inside a folder of ours that is checked as a whole.
        StorageError: the disk refused.
    """

    def __init__(self, out: Path, header: Mapping[str, Any], other: str, finished: str) -> None:
        refuse_inside(out)
        self.out, self.complete = out, False
        self._journal, self._finished = Journal(out, header, other), out / finished
        self._open = contextlib.ExitStack()
        if self._journal.exists():
            self._replay(repair=False)
        elif self._finished.exists():
            self._take_finished()
            self.complete = True
        else:
            require_ours(out, field="out")

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


class StateFolder:
    """A folder whose unfinished work one sealed file describes: packed stores and balanced sets.

    Args:
        out: the folder; new, empty, or holding this same work.
        work: JSON-ready, what identifies the work; a folder with other work is never written into.
        other: how to say that it has other work, such as "the packing of other images".
        finished: name of the file that is written last, and that a finished folder holds.

    Raises:
        FolderError: the folder holds something else.
        InputError: it lies inside a folder of ours that is checked as a whole.
    """

    NAME = "progress.json"

    def __init__(self, out: Path, work: Mapping[str, Any], other: str, finished: str) -> None:
        refuse_inside(out)
        self.out, self._work, self._other = out, json.loads(json.dumps(work)), other
        self._finished, self._path = out / finished, out / self.NAME
        self.progress: dict[str, Any] | None = None
        self._look()

    @property
    def complete(self) -> bool:
        """Whether the work is finished there. Whether it is *this* work is for the caller to compare."""
        return self._finished.exists()

    def _look(self) -> None:
        if self.complete or is_unused(self.out):
            return
        try:
            found = read_json_object(self._path)
        except ValueError:
            raise something_else(self.out, anything(self.out), field="out") from None
        self.require_same(found.get("job"))
        self.progress = found

    def require_same(self, work: Any) -> None:
        """Raise FolderError unless this is the work that the folder is for."""
        if work != self._work:
            raise FolderError(f"{self.out} holds {self._other}; choose another --out.", field="out", value=self.out)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep it to oneself. What another process did there meanwhile counts: look at
        ``complete`` and ``progress`` again.

        Raises:
            FolderError: another process is writing into it, or has made something else of it.
            StorageError: the disk refused.
        """
        make_folder(self.out)
        with lock_folder(self.out):
            self._look()
            if not self.complete:
                remove_partials(self.out)
            yield

    def save(self, **progress: Any) -> None:
        """Say how far the work is. Raises StorageError."""
        write_sealed(self._path, {"job": self._work, **progress})

    def finish(self) -> None:
        """The file that says so is written: nothing is unfinished any more. Raises StorageError."""
        with storage_errors(self._path):
            self._path.unlink(missing_ok=True)
