"""Finding the images that a person names: files, folders, batch folders."""

from __future__ import annotations

import csv
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cfgan.data.archives import PARQUET, Span, holds_images, members, read_span, reads_parquet
from cfgan.data.archives import SUFFIXES as ARCHIVES
from cfgan.data.decode import MAX_BYTES
from cfgan.errors import FolderError, InputError, nearest
from cfgan.io.files import is_safe_name, user_path
from cfgan.io.reading import open_text, reason

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp"})
"""What a file in a folder must end in to be taken for an image. A file that is named itself is always tried."""

MANIFEST_START = ["file", "draw", "seed", "sha256"]
"""How the header of a batch's manifest begins."""

HIDDEN, LINKED_FOLDER, SUBFOLDER, UNLISTED = "hidden", "link to a folder", "subfolder", "not in manifest.csv"
WITHOUT_PYARROW = "Parquet (pip install 'cfgan[parquet]' reads it)"
"""Reasons other than a suffix for which something in a folder is not read; keys of :attr:`Found.ignored`."""

_SIBLINGS = 2000  # names looked through for one like a path that is not there


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image to read.

    Args:
        name: as it stands in the output: relative to the folder that was given, with POSIX separators; as it was
            given where a file or several paths were.
        root: the folder it was found below.
        inner: where it lies below ``root``.
        problem: why it cannot be read, where that is known already.
        span: where it lies in the tar or Parquet file that ``inner`` names; None for a file of its own.
    """

    name: str
    root: Path
    inner: str
    problem: str | None = None
    span: Span | None = None

    @property
    def path(self) -> Path:
        """The file that it is, or lies in."""
        return self.root / self.inner

    def content(self) -> Path | bytes:
        """What a decoder is given: a path, or bytes of an image in another file. Raises DataError: that is damaged."""
        return self.path if self.span is None else read_span(self.path, self.span, MAX_BYTES)


@dataclass
class Found:
    """The images, in order, and what was met beside them.

    Args:
        files: each once.
        ignored: suffix (or a reason such as :data:`HIDDEN`) -> how many things were left out for it.
        repeated: how often an image was given again; it is read once.
    """

    files: list[ImageFile] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    repeated: int = 0


def find_images(
    paths: Sequence[str | Path], *, recursive: bool = True, required: bool = True, archives: bool = False
) -> Found:
    """List the images below some paths, each once, without opening any.

    A folder gives its images in the order of their names, then those of its subfolders. A batch folder, wherever it is
    met, gives the images of its manifest in that order. Links to files are followed; links to folders inside a folder
    are not, so that no loop is walked and nothing outside is read. Hidden names are left out.

    Args:
        paths: files and folders.
        recursive: whether subfolders are gone into.
        required: whether it is an error that there is no image.
        archives: whether images in tar and Parquet files count too, for whoever reads them by
            :meth:`ImageFile.content`. A Parquet file in a folder that has none is left out.

    Raises:
        InputError: a path that is not there, with the nearest names beside it; a folder that cannot be read; no image.
        FolderError: a batch folder whose manifest is damaged.
        DataError: a tar or Parquet file that is damaged, or was named and has no images.
    """
    finder = _Finder(recursive, archives)
    for given in paths:
        path = user_path(given, field="PATHS")
        if path.is_dir():
            prefix = "" if len(paths) == 1 or path.as_posix() == "." else f"{path.as_posix().rstrip('/')}/"
            finder.add_folder(path, prefix)
        elif os.path.lexists(path):
            finder.add_file(path)
        else:
            raise InputError(
                f"there is no file and no folder {str(path)!r}.",
                field="PATHS",
                value=given,
                nearest=nearest(path.name, _names_beside(path)),
            )
    if required and not finder.found.files:
        beside = f"; {listed_counts(finder.found.ignored)} left out" if finder.found.ignored else ""
        raise InputError(
            f"there is no image in {', '.join(str(path) for path in paths[:3])}{beside}.",
            field="PATHS",
            value=paths[0] if paths else None,
        )
    return finder.found


def listed_counts(counts: Counter[str], most: int = 6) -> str:
    """ "3 .txt, 1 hidden", the commonest first; what is beyond ``most`` kinds is summed up."""
    parts = [f"{count:,} {what or 'without a suffix'}" for what, count in counts.most_common(most)]
    rest = counts.total() - sum(count for _, count in counts.most_common(most))
    return ", ".join([*parts, *([f"{rest:,} others"] if rest else [])])


def shown_name(name: str) -> str:
    """A file name as text that can be written: bytes that are no UTF-8 become ``\\xff`` and the like."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_manifest(header: Sequence[str]) -> bool:
    """Whether a CSV header is that of a batch's manifest."""
    return list(header[: len(MANIFEST_START)]) == MANIFEST_START


class _Finder:
    def __init__(self, recursive: bool, archives: bool) -> None:
        self.found = Found()
        self._recursive, self._archives = recursive, archives
        self._seen: set[tuple[str, str]] = set()  # real folder, name: a link beside its target is another image

    def add_file(self, path: Path) -> None:
        if self._is_archive(path.name):
            self._add_archive(path.as_posix(), path.parent, path.name, os.path.realpath(path.parent))
            return
        self._add(path.as_posix(), path.parent, path.name, os.path.realpath(path.parent), _problem(path))

    def add_folder(self, root: Path, prefix: str) -> None:
        stack = [""]
        while stack:
            inner = stack.pop()
            folder = root / inner
            real = os.path.realpath(folder)
            try:
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                reason = f"the folder cannot be read ({error.strerror})."
                if not inner:
                    raise InputError(reason, field="PATHS", value=root) from None
                self._add(prefix + inner, root, inner, real, reason)
                continue
            if _is_batch(folder, entries):
                self._add_batch(root, inner, prefix)
                continue
            folders = []
            for entry in entries:
                linked = entry.is_symlink()
                if entry.name.startswith("."):
                    self.found.ignored[HIDDEN] += 1
                elif Path(entry.path).is_dir() if linked else entry.is_dir():
                    if linked:
                        self.found.ignored[LINKED_FOLDER] += 1
                    elif self._recursive:
                        folders.append(f"{inner}{entry.name}/")
                    else:
                        self.found.ignored[SUBFOLDER] += 1
                elif self._is_archive(entry.name) and holds_images(Path(entry.path)):
                    self._add_archive(prefix + inner + entry.name, root, inner + entry.name, real)
                elif suffix_counts(entry.name):
                    problem = None if entry.is_file(follow_symlinks=False) else _problem(Path(entry.path))
                    self._add(prefix + inner + entry.name, root, inner + entry.name, real, problem)
                else:
                    self.found.ignored[self._left_out(entry.name)] += 1
            stack += reversed(folders)

    def _add_batch(self, root: Path, inner: str, prefix: str) -> None:
        images = root / inner / "images"
        real = os.path.realpath(images)
        try:
            with os.scandir(images) as listing:
                present = {entry.name for entry in listing}
        except OSError as error:
            raise FolderError(f"{images} cannot be read ({error.strerror}).", field="PATHS", value=root) from None
        listed = set()
        for name in _manifest_names(root / inner):
            listed.add(name)
            problem = _problem(images / name) if name in present else "the file is missing."
            self._add(f"{prefix}{inner}images/{name}", root, f"{inner}images/{name}", real, problem)
        if extra := sum(suffix_counts(name) for name in present - listed):
            self.found.ignored[UNLISTED] += extra

    def _is_archive(self, name: str) -> bool:
        return self._archives and name.casefold().endswith(ARCHIVES)

    def _left_out(self, name: str) -> str:
        """Under what a file counts that is not read."""
        suffix = Path(name).suffix.casefold()
        return WITHOUT_PYARROW if self._is_archive(name) and suffix == PARQUET and not reads_parquet() else suffix

    def _add_archive(self, name: str, root: Path, inner: str, real: str) -> None:
        key = (real, inner.rpartition("/")[2])
        if key in self._seen:
            self.found.repeated += 1
            return
        self._seen.add(key)
        for member, span in members(root / inner):
            if suffix_counts(member) or inner.casefold().endswith(PARQUET):
                self.found.files.append(ImageFile(shown_name(f"{name}/{member}"), root, inner, None, span))
            elif not member.endswith(".json"):  # what WebDataset's shards say of an image
                self.found.ignored[Path(member).suffix.casefold()] += 1

    def _add(self, name: str, root: Path, inner: str, real: str, problem: str | None) -> None:
        key = (real, inner.rpartition("/")[2])
        if key in self._seen:
            self.found.repeated += 1
        else:
            self._seen.add(key)
            self.found.files.append(ImageFile(shown_name(name), root, inner, problem))


def suffix_counts(name: str) -> bool:
    """Whether a file of this name in a folder is taken for an image."""
    return os.path.splitext(name)[1].casefold() in SUFFIXES  # noqa: PTH122 - a Path a file costs more than the rest


def _problem(path: Path) -> str | None:
    """Why a path must not be opened: a pipe or a device would block the reader for ever."""
    return "not a regular file." if path.exists() and not path.is_file() else None


def _is_batch(folder: Path, entries: Sequence[os.DirEntry[str]]) -> bool:
    kinds = {entry.name: entry.is_dir() for entry in entries if entry.name in ("manifest.csv", "images")}
    if kinds != {"manifest.csv": False, "images": True}:
        return False
    try:
        with open_text(folder / "manifest.csv") as handle:
            return is_manifest(next(csv.reader(handle), []))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False  # somebody else's manifest.csv


def _manifest_names(folder: Path) -> Iterator[str]:
    """Names in ``images/`` in the order of the manifest. Raises FolderError where it is damaged."""
    try:
        with open_text(folder / "manifest.csv") as handle:
            rows = csv.reader(handle)
            next(rows)
            for row in rows:
                place, _, name = (row[0] if row else "").rpartition("/")
                if place != "images" or not is_safe_name(name):
                    raise FolderError(
                        f"{folder}/manifest.csv line {rows.line_num} names no image of the batch.",
                        field="PATHS",
                        value=folder,
                    )
                yield name
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FolderError(f"{folder}/manifest.csv {reason(error)}.", field="PATHS", value=folder) from None


def _names_beside(path: Path) -> list[str]:
    try:
        with os.scandir(path.parent) as listing:
            return [entry.name for entry in itertools.islice(listing, _SIBLINGS)]
    except OSError:
        return []
