"""Folders that say themselves what is in them: one folder a class, and Hugging Face's ``imagefolder``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cfgan.data.image_files import find_images
from cfgan.data.labelled_images import LabelledImages
from cfgan.data.read.splits import WORDS, Shares
from cfgan.data.read.table import KINDS, Columns, from_frame, read_frame
from cfgan.errors import DataError

METADATA = tuple(f"metadata{kind}" for kind in KINDS)
"""What the label table of an ``imagefolder`` is called, beside the images or in each split folder."""

_CLASS = ("label", "labels", "class")  # a column of an imagefolder's metadata that holds classes


def read_class_folders(folder: Path, shares: Shares) -> LabelledImages:
    """One folder a class, as torchvision's ``ImageFolder`` has it; folders train, validation and test may lie above.

    Raises:
        DataError: an image that lies in no class folder, or fewer than two classes.
    """
    import pandas as pd

    files = [image.name for image in find_images([folder]).files]
    parts = [file.split("/") for file in files]
    above = int(all(path[0].casefold() in WORDS for path in parts))
    for file, path in zip(files, parts, strict=True):
        if len(path) < above + 2:
            raise DataError(f"{file} lies in no class folder.", field="SOURCE", value=file)
    frame = pd.DataFrame({"file": files, "class": [path[above] for path in parts]})
    return from_frame(folder, frame, Columns("file", (), ("class",)), shares, name=folder.name)


def find_metadata(folder: Path) -> list[Path]:
    """The label tables of an ``imagefolder``: one in the folder itself, or one in each split folder that has one."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.name.casefold() in WORDS and path.is_dir())]
    found = [next((place / name for name in METADATA if (place / name).is_file()), None) for place in places]
    return [found[0]] if found[0] is not None else [path for path in found if path is not None]


def read_imagefolder(folder: Path, columns: Columns, shares: Shares) -> LabelledImages:
    """Images with ``metadata.csv`` (or .parquet, .jsonl), in one folder or in train, validation and test.

    A column ``label`` of classes is read as such unless columns are named.

    Raises:
        DataError: there is no metadata, or it has no column ``file_name``; also as :func:`read_table`.
    """
    import pandas as pd

    tables = find_metadata(folder)
    if not tables:
        raise DataError(f"{folder} holds none of {', '.join(METADATA)}.", field="SOURCE", value=folder)
    frames = []
    for path in tables:
        frame = read_frame(path)
        name = columns.file or "file_name"
        if name not in frame.columns:
            raise DataError(f"{path.name} has no column {name!r}.", field="--file-column", value=name)
        if path.parent != folder:
            frame[name] = [f"{path.parent.name}/{cell}" for cell in frame[name]]
        frames.append(frame)
    frame = pd.concat(frames, ignore_index=True)
    columns = replace(columns, file=columns.file or "file_name")
    if columns.attributes is None and not columns.classes:
        columns = replace(columns, classes=tuple(title for title in frame.columns if title.casefold() in _CLASS))
    return from_frame(folder, frame, columns, shares, name=tables[0].name)
