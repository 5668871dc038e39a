"""Folders that say themselves what is in them: one folder a class, and Hugging Face's ``imagefolder``."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from cfgan.data.decode import read_picture
from cfgan.data.image_files import find_images
from cfgan.data.left_out import LeftOut
from cfgan.data.profile.image_scan import FilePictures
from cfgan.data.read.classes import attribute_name, class_numbers, class_vocabulary, one_hot
from cfgan.data.read.columns import FILE_COLUMNS
from cfgan.data.read.frames import plain_title, read_frame
from cfgan.data.read.label_values import words
from cfgan.data.read.splits import FOLDERS, common_words
from cfgan.data.sources.base import Options, Source, numbered, refuse_table
from cfgan.data.sources.tables import with_images
from cfgan.data.table import frame_labels
from cfgan.errors import DataError
from cfgan.io.files import real_path

METADATA = ("metadata.csv", "metadata.tsv", "metadata.parquet", "metadata.jsonl")
"""What the label table of an ``imagefolder`` is called, beside the images or in each split folder."""

_CLASS = ("label", "labels", "class")  # a column of an imagefolder's metadata that holds classes


def has_class_folders(folder: Path, options: Options) -> bool:
    """Whether a folder has others in it, and no image beside them."""
    return loose_image(folder) is None and bool(find_images([folder], required=False).files)


def loose_image(folder: Path) -> str | None:
    """The first image that lies in no subfolder."""
    found = find_images([folder], recursive=False, required=False).files
    return found[0].name if found else None


def read_class_folders(folder: Path, options: Options) -> Source:
    """One folder a class, as torchvision's ``ImageFolder`` has it; folders train, validation and test may lie above.

    Raises:
        DataError: an image that does not lie in a class folder, or fewer than two classes.
        InputError: there is no image.
    """
    fold = options.columns.fold_case
    refuse_table(
        replace(options, columns=replace(options.columns, fold_case=False)), f"{folder} has a folder for each class"
    )
    found = find_images([folder])
    files = [image.inner for image in found.files]
    parts = [file.split("/") for file in files]
    above = int(all(path[0].casefold() in FOLDERS for path in parts))
    for file, path in zip(files, parts, strict=True):
        if len(path) < above + 2:
            raise DataError(f"{file} does not lie in a class folder.", field="SOURCE", value=file)
    classes, titles = class_numbers([path[above] for path in parts], fold_case=fold)
    vocabulary = class_vocabulary({"class": [attribute_name(title) for title in titles]})
    split, splits = numbered(common_words([path[0] for path in parts]) if above else None)
    left_out = {
        title: f"read as an unknown label, not as a class: {count:,} image{'' if count == 1 else 's'}"
        for title, count in Counter(path[above] for path, k in zip(parts, classes, strict=True) if k < 0).items()
    }
    deeper = sorted({"/".join(path[above + 1 : -1]) for path in parts if len(path) > above + 2})
    return Source(
        "classes",
        real_path(folder).name,
        vocabulary,
        one_hot(classes, len(titles)),
        tuple(files),
        split,
        splits,
        pictures=FilePictures(
            [file.name for file in found.files],
            [file.path for file in found.files],
            np.arange(len(files)),
            known={k: file.problem for k, file in enumerate(found.files) if file.problem is not None},
        ),
        ignored=found.ignored,
        left_out=LeftOut(folders={**left_out, **dict.fromkeys(deeper, "below the class")}),
        folder=folder,
        opener=lambda inner: read_picture(folder / inner),
    )


def has_metadata(folder: Path, options: Options) -> bool:
    """Whether a folder is an ``imagefolder`` with metadata."""
    return bool(_find_metadata(folder))


def _find_metadata(folder: Path) -> list[Path]:
    """The label tables of an ``imagefolder``: one in the folder itself, or one in each split folder that has one; all
    that may also lie below ``data/``, as in data sets of the Hugging Face Hub."""
    for root in (folder, folder / "data"):
        if root.is_dir():
            inside = sorted(path for path in root.iterdir() if path.name.casefold() in FOLDERS and path.is_dir())
            tables = [path for place in (root, *inside) if (path := _metadata_in(place)) is not None]
            if tables:
                return tables[:1] if tables[0].parent == root else tables
    return []


def _metadata_in(folder: Path) -> Path | None:
    return next((folder / name for name in METADATA if (folder / name).is_file()), None)


def read_imagefolder(folder: Path, options: Options) -> Source:
    """Images with ``metadata.csv`` (or .parquet, .jsonl), in one folder or in train, validation and test.

    A column ``label`` of classes is read as such unless columns are named.

    Raises:
        DataError: there is no metadata; also as :func:`cfgan.data.table.read_labels` and
            :func:`cfgan.data.sources.tables.with_images`.
    """
    import pandas as pd

    tables = _find_metadata(folder)
    if not tables:
        raise DataError(f"{folder} holds none of {', '.join(METADATA)}.", field="SOURCE", value=folder)
    columns, frames = options.columns, []
    for path in tables:
        frame = read_frame(path, text=columns.text(), field="--labels")
        if path.parent != folder:
            title = _file_title(list(frame.columns), columns.file)
            names = words(frame[title].tolist())
            inner = path.parent.relative_to(folder).as_posix()
            frame[title] = [f"{inner}/{name}" if name else None for name in names]
        frames.append(frame)
    frame = pd.concat(frames, ignore_index=True)
    if columns.labels is None and not columns.classes:
        classes = tuple(title for title in frame.columns if plain_title(title) in _CLASS)
        columns = replace(columns, classes=classes)
    table = frame_labels(
        frame, tables[0], columns, options.vocabulary, ignore_unknown=options.ignore_unknown, field="--labels"
    )
    return with_images("imagefolder", folder, table)


def _file_title(titles: list[str], given: str | None) -> str:
    """The column of file names of one of several tables."""
    plain = {plain_title(title): title for title in reversed(titles)}
    wanted = FILE_COLUMNS if given is None else (plain_title(given),)
    return next((plain[title] for title in wanted if title in plain), titles[0])
