"""Any labelled images by one name: a folder in one of several layouts, or a data set out of a package."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cfgan.data.labelled_images import LabelledImages
from cfgan.data.read.celeba import read_celeba
from cfgan.data.read.folders import find_metadata, read_class_folders, read_imagefolder
from cfgan.data.read.packages import sklearn_digits, torchvision_set
from cfgan.data.read.splits import Shares
from cfgan.data.read.table import Columns, read_table
from cfgan.errors import DataError, nearest
from cfgan.io.files import user_path

LAYOUTS = ("auto", "celeba", "table", "imagefolder", "classes")
"""How a folder says what is in it; "auto" looks."""


@dataclass(frozen=True)
class SourceOptions:
    """What is said about a source.

    Args:
        layout: of a folder, one of :data:`LAYOUTS`.
        labels: the label table of the layout "table".
        columns: of a table.
        shares: of what is held out where the source does not say.
        root: the folder that a class of torchvision reads.
        download: let torchvision fetch what is not there.
    """

    layout: str = "auto"
    labels: Path | None = None
    columns: Columns = field(default_factory=Columns)
    shares: Shares = field(default_factory=Shares)
    root: Path | None = None
    download: bool = False


def read_source(text: str, options: SourceOptions) -> LabelledImages:
    """Labels and split of ``sklearn:digits``, ``torchvision:NAME`` or a folder, before any image is opened.

    Raises:
        DataError: no such source, or one that does not fit the options; also as the readers say.
    """
    package, colon, name = text.partition(":")
    if colon and package in ("sklearn", "torchvision"):
        if options.labels is not None or options.layout != "auto":
            raise DataError(f"{text} brings its own labels.", field="--labels", value=options.labels)
        if package == "sklearn":
            return sklearn_digits(name, options.shares)
        return torchvision_set(name, options.root, options.shares, download=options.download)
    folder = user_path(text, field="SOURCE")
    if not folder.is_dir():
        beside = [path.name for path in folder.parent.glob("*") if path.is_dir()] if folder.parent.is_dir() else []
        close = nearest(folder.name, [*beside, "sklearn:digits", "torchvision:MNIST"])
        raise DataError(f"there is no folder {text!r}.", field="SOURCE", value=text, nearest=close)
    layout = options.layout
    if layout not in LAYOUTS:
        close = nearest(layout, LAYOUTS)
        raise DataError(f"{layout!r} is none of {', '.join(LAYOUTS)}.", field="--layout", value=layout, nearest=close)
    if layout == "auto":
        layout = _look(folder, options)
    if layout == "table":
        if options.labels is None:
            raise DataError("name the label table.", field="--labels")
        return read_table(folder, options.labels, options.columns, options.shares)
    if layout == "imagefolder":
        return read_imagefolder(folder, options.columns, options.shares)
    return read_celeba(folder) if layout == "celeba" else read_class_folders(folder, options.shares)


def _look(folder: Path, options: SourceOptions) -> str:
    """The layout that a folder has."""
    if options.labels is not None:
        return "table"
    if (folder / "list_attr_celeba.txt").is_file():
        return "celeba"
    if find_metadata(folder):
        return "imagefolder"
    if any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir()):
        return "classes"
    raise DataError(
        f"{folder} says nothing of what is in it: name a table with --labels, or put each class into its own folder.",
        field="SOURCE",
        value=folder,
    )
