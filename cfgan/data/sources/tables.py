"""A label table alone, or with the folder of the images that it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cfgan.data.decode import read_picture
from cfgan.data.image_files import Found, find_images
from cfgan.data.left_out import LeftOut
from cfgan.data.profile.image_scan import MISSING, FilePictures
from cfgan.data.read.frames import read_frame
from cfgan.data.read.label_values import words
from cfgan.data.read.names import Matches, is_inside, match_names
from cfgan.data.read.splits import FOLDERS, common_words
from cfgan.data.sources.base import NO_IMAGE, NOT_IN_TABLE, Options, Source, numbered
from cfgan.data.table import LabelTable, frame_labels, read_labels
from cfgan.errors import DataError, InputError
from cfgan.io.files import real_path

_KAGGLE = "list_attr_celeba.csv", "list_eval_partition.csv"  # CelebA as Kaggle has it: labels, official splits
BESIDE = ("labels.csv", "labels.csv.gz", "labels.tsv", "labels.parquet", "labels.jsonl", _KAGGLE[0])
"""What the label table of a folder is called that is found without being named."""


def read_table(path: Path, options: Options) -> Source:
    """Labels alone. Raises as :func:`cfgan.data.table.read_labels`; InputError where a second table is given."""
    if options.labels is not None:
        raise InputError("cannot be combined with a label table.", field="--labels", value=options.labels)
    return _from_table("table", path, _read(path, options, options.field))


def has_table(folder: Path, options: Options) -> bool:
    """Whether a folder of images has a label table, in it or named."""
    return options.labels is not None or _beside(folder) is not None


def _beside(folder: Path) -> Path | None:
    return next((folder / name for name in BESIDE if (folder / name).is_file()), None)


def read_folder(folder: Path, options: Options) -> Source:
    """A folder of images with its label table.

    Raises:
        DataError: there is no table, or it has no file names; also as :func:`cfgan.data.table.read_labels` and
            :func:`with_images`.
    """
    path = options.labels or _beside(folder)
    if path is None:
        raise DataError("name the label table.", field="--labels", value=folder)
    return with_images("folder", folder, _read(path, options, "--labels"))


def _read(path: Path, options: Options, field: str) -> LabelTable:
    if path.name == _KAGGLE[0] and (path.parent / _KAGGLE[1]).is_file():
        return _with_official_splits(path, options, field)
    return read_labels(path, options.columns, options.vocabulary, ignore_unknown=options.ignore_unknown, field=field)


def _with_official_splits(path: Path, options: Options, field: str) -> LabelTable:
    """Labels with the splits of a second table beside them, image by image."""
    frame, beside = (read_frame(place, field=field) for place in (path, path.parent / _KAGGLE[1]))
    official = dict(zip(words(beside.iloc[:, 0].tolist()), words(beside.iloc[:, 1].tolist()), strict=True))
    frame = frame.assign(partition=[official.get(name, "") for name in words(frame.iloc[:, 0].tolist())])
    return frame_labels(
        frame, path, options.columns, options.vocabulary, ignore_unknown=options.ignore_unknown, field=field
    )


def _from_table(kind: str, path: Path, table: LabelTable) -> Source:
    split, splits = numbered(table.split)
    person, persons = numbered(table.person)
    return Source(
        kind,
        real_path(path).name,
        table.vocabulary,
        table.labels,
        table.files,
        split,
        splits,
        person,
        persons,
        left_out=table.left_out,
        requested=table.requested,
        synthetic=table.synthetic,
    )


def with_images(kind: str, folder: Path, table: LabelTable) -> Source:
    """A table's rows with the images below a folder, which are not opened.

    Rows without an image stay, and are missing images to whoever opens them; images without a row are left out.

    Raises:
        DataError: no file names, one that leaves the folder, or one that may be either of two images; no row names
            any image.
        InputError: the folder cannot be read.
    """
    name = table.path.name
    if table.files is None:
        raise DataError(
            f"{name} has no column of file names; --file-column names it.", field="--labels", value=table.path
        )
    found = find_images([folder], required=False)
    inner = [file.inner for file in found.files]
    matches = match_names(table.files, inner, table=name, field="--labels")
    files = list(table.files)
    for place, row in enumerate(matches.rows.tolist()):
        if row >= 0:
            files[row] = inner[place]
    for row, file in enumerate(files, start=1):
        if not is_inside(file):
            said = f"{name} row {row}: {file[:60]!r} is not a file inside the folder."
            raise DataError(said, field="--file-column", value=file)
    # A file that no listing shows, for its name or place, is there all the same when it is named.
    lost = [row for row in matches.lost.tolist() if not _is_file(folder / files[row])]
    if inner and len(lost) == len(files):
        table.match(inner)  # says that nothing fits
    unlabelled = [inner[k] for k in np.flatnonzero(matches.rows < 0).tolist()]
    left_out = LeftOut(
        rows=dict.fromkeys([files[row] for row in lost], NO_IMAGE),
        images=dict.fromkeys(unlabelled, NOT_IN_TABLE),
        folders=matches.folders,
    )
    if table.split is None:
        table = replace(table, split=_split_of_folders(files))
    return replace(
        _from_table(kind, folder, replace(table, files=tuple(files))),
        pictures=_pictures(folder, found, files, matches, set(lost)),
        unlabelled=len(unlabelled),
        ignored=found.ignored,
        left_out=table.left_out | left_out,
        folder=folder,
        opener=lambda inner: read_picture(folder / inner),
    )


def _pictures(folder: Path, found: Found, files: list[str], matches: Matches, missing: set[int]) -> FilePictures:
    """The images that were found, then those that are looked for under their names, so that missing ones count."""
    others = matches.lost.tolist()
    problems = {k: file.problem for k, file in enumerate(found.files) if file.problem is not None}
    problems |= {len(found.files) + k: MISSING for k, row in enumerate(others) if row in missing}
    return FilePictures(
        [*(file.name for file in found.files), *(files[row] for row in others)],
        [*(file.path for file in found.files), *(folder / files[row] for row in others)],
        np.concatenate([matches.rows, matches.lost]),
        known=problems,
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the system takes
        return False


def _split_of_folders(files: list[str]) -> tuple[str, ...] | None:
    """The first folder of every name, below ``data/`` if all lie there, where all of them are called as splits are."""
    if all(file.startswith("data/") for file in files):
        files = [file.removeprefix("data/") for file in files]
    first = [file.partition("/")[0] if "/" in file else "" for file in files]
    return common_words(first) if all(word.casefold() in FOLDERS for word in first) else None
