"""An append-only journal of a folder that is being made: what is in it stands, whenever the process was killed.

``journal.jsonl`` holds a line with a header that identifies the work, then a line for each step, appended and flushed
only after all that the step speaks of is on the disk. Each line is sealed, so that one that was changed is noticed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cfgan.errors import FolderError
from cfgan.io.files import storage_errors, write_text
from cfgan.io.reading import library_errors, open_regular
from cfgan.io.seal import check_seal, sealed

NAME = "journal.jsonl"

# What malformed entries raise where they are taken apart.
_DAMAGED = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)

Entry = dict[str, Any]


def read_header(folder: Path) -> Entry:
    """The header of the unfinished work in a folder.

    Raises:
        FolderError: there is none, or its journal is damaged.
    """
    path = folder / NAME
    if not path.exists():
        raise FolderError(f"{folder} holds no unfinished work.", field="folder", value=folder)
    with library_errors(path, lambda text: FolderError(text, field="folder", value=folder)), open_regular(path) as file:
        entry = json.loads(file.readline())
        check_seal(entry)
        return dict(entry["header"])


class Journal:
    """The journal of one folder.

    Args:
        folder: that is being made.
        header: JSON-ready; a folder whose journal has another one holds other work.
        other: how to say so, such as "another batch (other request, settings or bundle)".
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], other: str) -> None:
        self.folder, self.path, self._other = folder, folder / NAME, other
        self.header: Entry = json.loads(json.dumps(header))

    def require_same(self, header: Any) -> None:
        """Raise FolderError unless a header is this journal's."""
        if header != self.header:
            raise FolderError(
                f"{self.folder} holds {self._other}; choose another --out.", field="out", value=self.folder
            )

    def exists(self) -> bool:
        """Whether the folder is unfinished work."""
        return self.path.exists()

    def start(self) -> None:
        """Write the header. Raises StorageError."""
        write_text(self.path, json.dumps(sealed({"header": self.header})) + "\n")

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a step and flush it to the disk. Raises StorageError."""
        with storage_errors(self.path), self.path.open("r+b") as handle:  # never makes a journal without a header
            handle.seek(0, os.SEEK_END)
            handle.write((json.dumps(sealed(entry)) + "\n").encode())
            handle.flush()
            os.fsync(handle.fileno())

    def replay(self, take: Callable[[Entry], None], stands: Callable[[Entry], bool] | None = None) -> None:
        """Go through the steps in order, up to the last whole line.

        Args:
            take: called with each step.
            stands: for repairing: whether all that a step speaks of is there as it was stored. The journal is cut off
                before the first step of which it is not, so that those from there on are done again.

        Raises:
            FolderError: the journal is damaged, or of other work.
            StorageError: the disk refused.
        """
        whole = 0
        try:
            with storage_errors(self.path), open_regular(self.path) as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    entry = json.loads(line)
                    check_seal(entry)
                    if whole == 0:
                        self.require_same(entry.get("header"))
                    elif stands is not None and not stands(entry):
                        break
                    else:
                        take(entry)
                    whole += len(line)
        except _DAMAGED:
            whole = 0
        if whole == 0:
            raise FolderError(
                f"{self.path} is damaged; choose another --out.", field="out", value=self.folder
            ) from None
        if stands is not None and whole != self.path.stat().st_size:
            with storage_errors(self.path):
                os.truncate(self.path, whole)

    def remove(self) -> None:
        """The work is finished."""
        with contextlib.suppress(OSError):
            self.path.unlink()
