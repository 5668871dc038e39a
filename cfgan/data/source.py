"""What a person may point at for a look: a packed store, a CelebA folder, a folder with a label table, a table."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.image_files import find_images, suffix_counts
from cfgan.data.labelled_images import SPLITS, LabelledImages
from cfgan.data.profile.image_scan import MISSING, ArrayPictures, FilePictures, Pictures
from cfgan.data.read.celeba import read_celeba
from cfgan.data.read.label_columns import LabelColumns, read_label_columns
from cfgan.data.read.label_files import LabelTable
from cfgan.data.store import open_store
from cfgan.errors import DataError, InputError
from cfgan.io.files import user_path

KINDS = ("store", "celeba", "folder", "table")

_ORDER = {word: k for k, word in enumerate(("train", "training", "valid", "validation", "val", "dev", "test"))}


@dataclass(frozen=True)
class Source:
    """A data set for looking at, before any image is opened.

    Args:
        kind: one of :data:`KINDS`.
        name: last part of its path.
        vocabulary: A attributes.
        labels: float32 (N, A), -1..1, NaN unknown.
        files: N names, or None.
        split: int64 (N,), places in ``splits``, -1 unknown; None without splits.
        splits: "train", ...
        person: int64 (N,), the same number for the same person, -1 unknown; None where nothing says so.
        pictures: the images, or None.
        unlabelled: image files beside the labelled ones.
        ignored: other files in the folder, by suffix.
    """

    kind: str
    name: str
    vocabulary: Vocabulary
    labels: npt.NDArray[np.float32]
    files: tuple[str, ...] | None = None
    split: npt.NDArray[np.int64] | None = None
    splits: tuple[str, ...] = ()
    person: npt.NDArray[np.int64] | None = None
    pictures: Pictures | None = None
    unlabelled: int = 0
    ignored: Counter[str] | None = None

    @property
    def digest(self) -> str:
        """sha256 over names, labels, files and splits: the same data set, wherever it lies."""
        found = hashlib.sha256(json.dumps([self.vocabulary.names, self.files, self.splits]).encode())
        for part in (self.labels, self.split, self.person):
            found.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
        return found.hexdigest()


@dataclass(frozen=True)
class Columns:
    """Which columns of a label table are what; see :func:`cfgan.data.read.label_columns.read_label_columns`."""

    labels: Sequence[str] = ()
    file: str | None = None
    split: str | None = None
    person: str | None = None

    def any(self) -> bool:
        return bool(self.labels or self.file or self.split or self.person)


def open_source(
    path: str | Path, *, labels: str | Path | None = None, columns: Columns | None = None, identity: Path | None = None
) -> Source:
    """Find out what lies at a path, and read its labels.

    Args:
        path: a packed store, a CelebA folder, a folder of images, or a label table.
        labels: the label table of a folder of images.
        columns: of a table.
        identity: a file of lines "file person" as ``identity_CelebA.txt``, which is taken from a CelebA folder by
            itself.

    Raises:
        InputError: options that do not fit what lies there; a path that is not there.
        DataError: what lies there cannot be read.
    """
    path = user_path(path, field="SOURCE")
    given = columns or Columns()
    if (path / "store.json").exists() or (path / "progress.json").exists():
        source = _store(path)
    elif (path / "list_attr_celeba.txt").exists() and labels is None:
        source = labelled_source("celeba", _name(path), read_celeba(path))
        official = path / "identity_CelebA.txt"
        identity = identity or (official if official.is_file() else None)
    elif path.is_dir():
        return _with_persons(_folder(path, labels, given), identity)
    else:
        if labels is not None:
            raise InputError("means nothing beside a label table.", field="--labels", value=labels)
        return _with_persons(_table(path, given), identity)
    if labels is not None or given.any():
        what = "a packed store" if source.kind == "store" else "a CelebA folder"
        raise InputError(f"{path} is {what}, which has its own labels.", field="--labels", value=labels)
    return _with_persons(source, identity)


def _store(path: Path) -> Source:
    store = open_store(path)
    pictures = ArrayPictures(store.files, store.images)
    split = store.split.astype(np.int64)
    return Source(
        "store", _name(path), store.vocabulary, store.labels, store.files, split, tuple(SPLITS), pictures=pictures
    )


def labelled_source(kind: str, name: str, table: LabelledImages) -> Source:
    """A data set whose images and labels were read already.

    Args:
        kind: one of :data:`KINDS`.
        name: of the data set.
        table: of :func:`cfgan.data.read.celeba.read_celeba` and the like.
    """
    known = set(table.files)
    beside = [entry.name for entry in table.folder.iterdir() if entry.name not in known]
    paths = [table.folder / file for file in table.files]
    return Source(
        kind,
        name,
        table.vocabulary,
        table.labels,
        table.files,
        table.split.astype(np.int64),
        tuple(SPLITS),
        pictures=FilePictures(table.files, paths, np.arange(len(paths)), table.crop, table.image_size),
        unlabelled=sum(suffix_counts(entry) for entry in beside),
    )


def _table(path: Path, columns: Columns) -> Source:
    return _from_columns("table", path, _read(path, columns, "SOURCE"))


def _read(path: str | Path, columns: Columns, field: str) -> LabelColumns:
    return read_label_columns(
        path,
        columns=columns.labels,
        file_column=columns.file,
        split_column=columns.split,
        person_column=columns.person,
        field=field,
    )


def _from_columns(kind: str, path: Path, read: LabelColumns) -> Source:
    split, splits = _numbered(read.split)
    return Source(
        kind,
        _name(path),
        read.vocabulary,
        read.labels,
        read.files,
        split,
        splits,
        _numbered(read.person)[0],
    )


def _folder(path: Path, labels: str | Path | None, columns: Columns) -> Source:
    if labels is None:
        there = sorted(p for p in path.iterdir() if p.suffix in (".csv", ".tsv", ".parquet", ".gz"))
        raise InputError(f"{path} is a folder of images: name its label table.", field="--labels", nearest=there[:3])
    read = _read(labels, columns, "--labels")
    if read.files is None:
        raise DataError(
            f"{Path(labels).name} has no column of file names; --file-column names it.", field="--labels", value=labels
        )
    found = find_images([path])
    table = LabelTable(
        Path(labels),
        read.vocabulary.names,
        {name: row for row, name in enumerate(read.files)},
        np.zeros((len(read.files), 0), dtype=np.int8),
    )
    names = [file.name for file in found.files]
    rows = table.match(names)
    # Rows without an image are looked for under their names all the same, so that they are counted as missing.
    lost = np.setdiff1d(np.arange(len(read.files)), rows)
    problems = {k: file.problem for k, file in enumerate(found.files) if file.problem is not None}
    pictures = FilePictures(
        [*names, *(read.files[row] for row in lost)],
        [*(file.path for file in found.files), *(path for _ in lost)],
        np.concatenate([rows, lost]),
        known={**problems, **{len(names) + k: MISSING for k in range(len(lost))}},
    )
    source = _from_columns("folder", path, read)
    return replace(source, pictures=pictures, unlabelled=int((rows < 0).sum()), ignored=found.ignored)


def _with_persons(source: Source, identity: Path | None) -> Source:
    if identity is None:
        return source
    if source.files is None:
        raise InputError("means nothing without file names.", field="--identity", value=identity)
    persons = read_identities(identity)
    words = [persons.get(name) or persons.get(name.rpartition("/")[2], "") for name in source.files]
    if not any(words):
        raise DataError(f"{identity.name} names none of the images.", field="--identity", value=identity)
    return replace(source, person=_numbered(words)[0])


def read_identities(path: Path) -> dict[str, str]:
    """File name -> person, from lines of the two, separated by blanks (``identity_CelebA.txt``) or a comma.

    Raises:
        DataError: missing, or a line that is not such; names it.
    """
    path = user_path(path, field="--identity")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path} cannot be read ({reason}).", field="--identity", value=path) from None
    persons: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        parts = line.replace(",", " ").split()
        if not parts:
            continue
        if len(parts) != 2 or persons.get(parts[0], parts[1]) != parts[1]:
            what = "one person a file" if len(parts) == 2 else "a file name and a person"
            raise DataError(f"{path.name} line {number}: {what} is expected.", field="--identity", value=line[:80])
        persons[parts[0]] = parts[1]
    return persons


def _numbered(words: Sequence[str] | None) -> tuple[npt.NDArray[np.int64] | None, tuple[str, ...]]:
    """Equal words get equal numbers, "" gets -1; and the words in order, the splits' own before that of letters."""
    if words is None:
        return None, ()
    known = tuple(sorted(set(words) - {""}, key=lambda word: (_ORDER.get(word.casefold(), len(_ORDER)), word)))
    number = {"": -1, **{word: k for k, word in enumerate(known)}}
    return np.fromiter((number[word] for word in words), dtype=np.int64, count=len(words)), known


def _name(path: Path) -> str:
    return path.resolve().name
