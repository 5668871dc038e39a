"""The one registry of sources: whatever a command is pointed at is opened here, and looks the same afterwards.

A new kind of source is a module of :mod:`cfgan.data.sources` and a line of :data:`KINDS` or :data:`PACKAGES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cfgan.data.read.names import match_names
from cfgan.data.sources.base import Options, Source, numbered, refuse_table, require_folder
from cfgan.data.sources.celeba import is_celeba, read_celeba_folder
from cfgan.data.sources.folders import (
    has_class_folders,
    has_metadata,
    loose_image,
    read_class_folders,
    read_imagefolder,
)
from cfgan.data.sources.packages import read_sklearn, read_torchvision
from cfgan.data.sources.patterns import has_pattern, read_pattern
from cfgan.data.sources.shards import has_shards, read_shards
from cfgan.data.sources.stores import is_store, read_store
from cfgan.data.sources.stylegan import has_dataset_json, read_stylegan
from cfgan.data.sources.tables import has_table, read_folder, read_table
from cfgan.errors import DataError, InputError, nearest
from cfgan.io.delimited import open_plain
from cfgan.io.files import user_path
from cfgan.io.reading import library_errors


@dataclass(frozen=True)
class Kind:
    """A kind of source that lies on the disk.

    Args:
        name: as figures call it.
        title: the same for people.
        layout: how `--layout` calls it; "" for what is not chosen by hand.
        fits: whether a path looks like one.
        read: opens it; raises DataError and InputError.
    """

    name: str
    title: str
    layout: str
    fits: Callable[[Path, Options], bool]
    read: Callable[[Path, Options], Source]


def _is_shard_file(path: Path, options: Options) -> bool:
    return not path.is_dir() and has_shards(path, options)


KINDS = (
    Kind("shards", "shards with labels", "shards", _is_shard_file, read_shards),
    Kind("table", "table", "", lambda path, options: not path.is_dir(), read_table),
    Kind("store", "packed store", "", lambda path, options: is_store(path), read_store),
    Kind("pattern", "labels in names", "pattern", has_pattern, read_pattern),
    Kind("celeba", "CelebA folder", "celeba", is_celeba, read_celeba_folder),
    Kind("stylegan", "StyleGAN's dataset.json", "stylegan", has_dataset_json, read_stylegan),
    Kind("folder", "folder with a label table", "table", has_table, read_folder),
    Kind("imagefolder", "Hugging Face's imagefolder", "imagefolder", has_metadata, read_imagefolder),
    Kind("shards", "shards with labels", "", has_shards, read_shards),
    Kind("classes", "a folder for each class", "classes", has_class_folders, read_class_folders),
)
"""Tried in this order."""

PACKAGES: dict[str, Callable[[str, Options], Source]] = {"sklearn": read_sklearn, "torchvision": read_torchvision}
"""Data sets that a Python package holds: what stands before the colon -> what reads the name after it."""

_TITLES = {kind.name: kind.title for kind in KINDS}

LAYOUTS = ("auto", *(kind.layout for kind in KINDS if kind.layout))
"""How a person may say what kind a folder is; "auto" looks."""


def kind_title(name: str) -> str:
    """What people call a kind of source."""
    return _TITLES.get(name, f"data set of {name}")


def open_source(path: str | Path, options: Options | None = None) -> Source:
    """Find out what lies at a path, and read its labels; no image is opened.

    Args:
        path: a packed store, a CelebA folder, a folder of images with a label table (named, or ``labels.csv``,
            ``metadata.csv`` and the like in it), a folder for each class, tar or Parquet files with images and
            labels, a label table, ``sklearn:digits``, or ``torchvision:NAME``.
        options: what is said about it.

    Raises:
        InputError: options that do not fit what lies there; a path that cannot be one.
        DataError: what lies there cannot be read, or nothing says what its images show.
    """
    given = options or Options()
    package, colon, name = str(path).partition(":")
    if colon and package in PACKAGES:
        if given.layout != "auto":
            raise DataError(f"{path} is not a folder, and has no layout.", field="--layout", value=given.layout)
        refuse_table(given, f"{path} is a data set of a package")
        return PACKAGES[package](name, given)
    place = user_path(path, field=given.field)
    source = _kind(place, given).read(place, given)
    identity = given.identity
    if identity is None and source.kind == "celeba" and (place / "identity_CelebA.txt").is_file():
        identity = place / "identity_CelebA.txt"
    return source if identity is None else _with_persons(source, identity)


def _kind(path: Path, options: Options) -> Kind:
    layout = options.layout
    if options.pattern is not None and layout not in ("auto", "pattern"):
        raise InputError(f"cannot be combined with --layout {layout}.", field="--pattern", value=options.pattern)
    if layout not in LAYOUTS:
        said, close = f"{layout!r} is not one of {', '.join(LAYOUTS)}.", nearest(layout, LAYOUTS)
        raise DataError(said, field="--layout", value=layout, nearest=close)
    if layout != "auto":
        require_folder(path, options.field)
        return next(kind for kind in KINDS if kind.layout == layout)
    if not path.exists():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        close = nearest(path.name, [*beside, "sklearn:digits", "torchvision:MNIST"])
        raise DataError(f"there is no folder or file {str(path)!r}.", field=options.field, value=path, nearest=close)
    found = next((kind for kind in KINDS if kind.fits(path, options)), None)
    if found is not None:
        return found
    loose = loose_image(path)
    without = f", and {loose} does not lie in a class folder" if loose else ""
    raise DataError(
        f"nothing says what the images in {path} show: it is not a packed store or a CelebA folder, it has no "
        f"labels.csv or metadata.csv{without}; name its label table, or say with --pattern how names tell it.",
        field="--labels",
        value=path,
    )


def _with_persons(source: Source, identity: Path) -> Source:
    if source.files is None:
        raise InputError("cannot be used without file names.", field="--identity", value=identity)
    known = read_identities(identity)
    found = match_names(list(known), source.files, table=identity.name, field="--identity")
    listed = [*known.values(), ""]  # the last is for -1, an image that has no line
    words = [listed[row] for row in found.rows.tolist()]
    if not any(words):
        raise DataError(f"{identity.name} names none of the images.", field="--identity", value=identity)
    person, persons = numbered(words)
    return replace(source, person=person, persons=persons)


def read_identities(path: Path) -> dict[str, str]:
    """File name -> person, from lines of the two, separated by blanks (``identity_CelebA.txt``) or a comma.

    Raises:
        DataError: missing, or a line that is not such; names it.
    """
    path = user_path(path, field="--identity")
    with (
        library_errors(path, lambda text: DataError(text, field="--identity", value=path)),
        open_plain(path) as handle,
    ):
        lines = handle.read().splitlines()
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
