"""Output folders: whose a folder is, keeping it to oneself, and replacing it all or nothing.

A folder that a person names is written into if it is new, empty, or holds an earlier output of the same kind and
nothing else; never inside a folder that is checked as a whole.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from cfgan.errors import FolderError, InputError
from cfgan.io.files import OURS, TEMPORARY, is_running, make_folder, storage_errors

# What stands in a folder of ours, finished or not. All names of a row together make it one.
_FOLDERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a bundle", ("manifest.json", "config.json")),
    ("a packed store", ("store.json",)),
    ("a packed store", ("progress.json", "images.npy")),
    ("a batch", ("batch.json",)),
    ("a batch", ("manifest.csv", "images")),
    ("a test set", ("manifest.json", "protocol.json")),
    ("an unfinished batch, test set or alignment", ("journal.jsonl",)),
    ("a balance", ("balance.json",)),
    ("a folder of shards", ("shards.json",)),
    ("a folder of aligned faces", ("faces.json", "faces.csv")),
    ("a run", ("model.json",)),
)
_OPEN = ("a run", "a balance")  # whose folder nothing counts
_RUN = "config.yaml", b"kind: "  # the file and the start of it that a run has from its first minute on


Foreign = Callable[[Path], str | None]
"""Names the first thing in a folder that an output of some kind did not put there; None if there is nothing."""


def anything(folder: Path) -> str | None:
    """Of work that replaces nothing: whatever stands in the folder is somebody else's."""
    return next(iter(sorted(path.name for path in folder.iterdir() if not OURS.fullmatch(path.name))), None)


def require_ours(out: Path, foreign: Foreign = anything, *, field: str = "--out") -> None:
    """Refuse an output folder unless it is new, empty, or holds what ``foreign`` finds nothing in.

    Raises:
        InputError: it lies inside a folder that is checked as a whole.
        FolderError: it holds something else, or is a file.
    """
    refuse_inside(out, field)
    if is_unused(out):
        return
    if (what := foreign(out)) is not None:
        raise something_else(out, what, field=field)


def something_else(out: Path | str, what: str | None = None, *, field: str = "--out") -> FolderError:
    """The error that a folder is not for this work, and what stands there."""
    named = f": {what}" if what else ""
    return FolderError(f"{out} already holds something else{named}.", field=field, value=out)


def refuse_inside(out: Path, field: str = "--out") -> None:
    """Refuse a new folder inside one that is checked as a whole: a bundle, store, batch, test set or alignment.

    Raises:
        InputError: it lies in one.
    """
    owner = folder_of_ours(out)
    if owner is not None and owner[0] not in _OPEN:
        what, folder = owner
        raise InputError(f"{out} lies inside {folder}, {what}: nothing else is written there.", field=field, value=out)


def folder_of_ours(path: Path) -> tuple[str, Path] | None:
    """What folder of ours a path lies in, at whatever depth, and where it is; None if in none."""
    for folder in Path(os.path.realpath(path)).parents:
        with contextlib.suppress(OSError):
            for what, names in _FOLDERS:
                if all((folder / name).exists() for name in names):
                    return what, folder
            if (folder / _RUN[0]).is_file() and starts_with(folder / _RUN[0], _RUN[1]):
                return "a run", folder
    return None


def starts_with(path: Path, start: bytes) -> bool:
    """Whether a file begins with these bytes."""
    with path.open("rb") as handle:
        return handle.read(len(start)) == start


def is_unused(folder: Path) -> bool:
    """Whether a folder may be written into: not there, or holding nothing but what a killed start of ours leaves.

    Raises:
        FolderError: a file has that name.
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        raise FolderError(f"{folder} is a file, not a folder.", field="out", value=folder)
    with storage_errors(folder):
        return all(
            (OURS.fullmatch(path.name) and path.is_file())
            or (path.name == "images" and path.is_dir() and not any(path.iterdir()))
            for path in folder.iterdir()
        )


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep every other process from working in the same folder; the lock goes with the process.

    Raises:
        FolderError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    with storage_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderError(f"another process is writing into {folder}.", field="out", value=folder) from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def _take_up_killed(out: Path) -> None:
    """Undo what killed replacements of a folder left: put back the old one where none stands, remove the rest."""
    for word in ("old", "new"):
        for left in out.parent.glob(f"{glob.escape(f'.{out.name}.{word}')}.*{TEMPORARY}"):
            match = OURS.fullmatch(left.name)
            if match is None or (is_running(int(match[1])) and int(match[1]) != os.getpid()):
                continue
            if word == "old" and not out.exists():
                left.rename(out)
            else:
                shutil.rmtree(left, ignore_errors=True)


def replace_folder(
    out: Path, fill: Callable[[Path], None], foreign: Foreign = anything, *, field: str = "--out"
) -> None:
    """Write a folder beside its place, then move it there: all or nothing.

    Args:
        out: the folder, resolved; what stands there is replaced.
        fill: writes the content into the new folder that it is given.
        foreign: as for :func:`require_ours`; asked before and after.

    Raises:
        StorageError: the disk refused; what stood there stays.
        Whatever ``fill`` raises, and :func:`require_ours`.
    """
    fresh, old = (out.with_name(f".{out.name}.{word}.{os.getpid()}{TEMPORARY}") for word in ("new", "old"))
    with storage_errors(out):
        _take_up_killed(out)
        require_ours(out, foreign, field=field)
        shutil.rmtree(fresh, ignore_errors=True)
        make_folder(fresh)
        try:
            fill(fresh)
            require_ours(out, foreign, field=field)  # somebody may have saved a file there meanwhile
            if out.exists():
                out.rename(old)
            try:
                fresh.rename(out)
            except OSError:
                if old.exists():
                    old.rename(out)
                raise
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
