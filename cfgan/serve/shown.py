"""Batches, test sets and reports that lie on the disk: a list of them, and the regular files inside, nothing else."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from cfgan.errors import InputError
from cfgan.io.files import real_path
from cfgan.serve.render import render

router = APIRouter(include_in_schema=False)

_KINDS = (
    ("report.html", "A report"),
    ("protocol.json", "A test set"),
    ("pairs.csv", "A test set"),
    ("batch.json", "A batch of generated faces"),
)
"""A file that a finished folder holds, and what the folder is."""
_LISTED, _FOLDERS = 60, 500  # files of one folder, and folders of a folder, that are listed
_CHUNK = 1 << 18

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
"""Of a file: the styles that a report carries, no script whatever it holds, and no part in this site."""
_TEXT = "text/plain; charset=utf-8"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    **dict.fromkeys((".csv", ".md", ".txt", ".yaml", ".sha256", ".jsonl"), _TEXT),
}


@dataclass(frozen=True)
class Folder:
    """A folder that the page lists.

    Args:
        title: its name.
        address: of the folder, below which its files are.
        kind: what it is.
        files: names of the files in it, the report first.
        more: how many are not listed.
    """

    title: str
    address: str
    kind: str
    files: list[str]
    more: int

    @property
    def sheet(self) -> bool:
        """Whether there is a picture of the faces."""
        return "contact_sheet.png" in self.files


def check_shown(folders: Sequence[Path]) -> list[Path]:
    """The folders, resolved. Raises InputError: one is none."""
    for path in folders:
        if not path.is_dir():
            raise InputError(f"{path} is not a folder.", field="--show", value=path)
    return [real_path(path) for path in folders]


@router.get("/shown")
def shown_page(request: Request) -> Response:
    """What there is to see, as it is now."""
    folders: list[Folder] = []
    for place, root in enumerate(request.app.state.shown):
        with contextlib.suppress(OSError):  # gone since the start, or while it is listed
            folders += _found(place, root)
    return HTMLResponse(render("shown.html.j2", here="shown", query="", error=None, folders=folders))


@router.get("/shown/{place}/{inner:path}")
def shown_file(request: Request, place: int, inner: str) -> Response:
    """One file of a folder."""
    roots: Sequence[Path] = request.app.state.shown
    try:
        if not 0 <= place < len(roots):
            raise FileNotFoundError
        root, parts = roots[place], inner.split("/")
        top = [] if _kind(root) else [parts[0]]  # of a folder of folders only those that are listed
        if top and not (is_plain(parts[0]) and len(parts) > 1 and _kind(root / parts[0])):
            raise FileNotFoundError
        handle = open_inside(root, inner)
    except (OSError, ValueError):
        raise HTTPException(404, "there is no such file.") from None
    kind = _TYPES.get(Path(inner).suffix.lower())
    headers = {"content-security-policy": _POLICY}
    if kind is None:
        headers["content-disposition"] = "attachment"
    return StreamingResponse(_chunks(handle), media_type=kind or "application/octet-stream", headers=headers)


def is_plain(name: str) -> bool:
    """Whether a part of an address is the name of a file or folder that may be shown: not hidden, no way out."""
    return bool(name) and not name.startswith(".") and not set(name) & set('/\\:\0"')


def open_inside(root: Path, inner: str) -> BinaryIO:
    """Open a regular file below a folder, going through no link on the way.

    Args:
        root: the folder, resolved.
        inner: the way to the file, with slashes.

    Raises:
        OSError: there is none, or it is hidden, a link, or no regular file.
    """
    parts = inner.split("/")
    if not all(is_plain(part) for part in parts):
        raise FileNotFoundError(inner)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if os.open not in os.supports_dir_fd:  # Windows: looked at first
        if any(root.joinpath(*parts[: n + 1]).is_symlink() for n in range(len(parts))):
            raise FileNotFoundError(inner)
        return _regular(os.open(root.joinpath(*parts), flags))
    # Step by step from one open folder to the next: what is exchanged for a link meanwhile is not followed.
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inside = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inside
        return _regular(os.open(parts[-1], flags, dir_fd=folder))
    finally:
        os.close(folder)


def _regular(descriptor: int) -> BinaryIO:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError
    return os.fdopen(descriptor, "rb")


def _chunks(handle: BinaryIO) -> Iterator[bytes]:
    with handle:
        while chunk := handle.read(_CHUNK):
            yield chunk


def _found(place: int, root: Path) -> Iterator[Folder]:
    """The folder itself if it is a finished one, else those directly in it that are."""
    if _kind(root):
        yield _folder(root, f"/shown/{place}")
        return
    names = sorted(entry.name for entry in os.scandir(root) if is_plain(entry.name))
    for name in names[:_FOLDERS]:
        if _kind(root / name):
            yield _folder(root / name, f"/shown/{place}/{quote(name)}")


def _kind(path: Path) -> str | None:
    """What a folder is; None for a link, a file, and whatever is not finished."""
    if path.is_symlink() or not path.is_dir():
        return None
    return next((kind for file, kind in _KINDS if (path / file).is_file()), None)


def _folder(path: Path, address: str) -> Folder:
    entries = [
        entry.name for entry in os.scandir(path) if is_plain(entry.name) and entry.is_file(follow_symlinks=False)
    ]
    names = sorted(entries, key=lambda name: (name != "report.html", not name.endswith(".html"), name))
    return Folder(path.name, address, _kind(path) or "", names[:_LISTED], max(0, len(names) - _LISTED))
