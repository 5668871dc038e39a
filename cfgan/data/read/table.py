"""A folder of images and a table of their labels: CSV, Parquet or JSON lines, with columns chosen by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.decode import read_picture
from cfgan.data.labelled_images import LabelledImages
from cfgan.data.read.classes import attribute_name, class_vocabulary, one_hot
from cfgan.data.read.label_files import FILE_COLUMNS
from cfgan.data.read.label_values import NOTES, SPLIT, UNKNOWN, read_values
from cfgan.data.read.splits import WORDS, Shares, Splits, require_together, split_named
from cfgan.errors import DataError, VocabularyError, nearest

if TYPE_CHECKING:
    import pandas as pd

KINDS = (".csv", ".tsv", ".parquet", ".jsonl")
"""Tables that are read, by their suffix; CSV and TSV also compressed, as .csv.gz."""


@dataclass(frozen=True)
class Columns:
    """Which column of a table means what; names as they stand in its header.

    Args:
        file: file names, relative to the folder; None: the first that :data:`FILE_COLUMNS` knows, else the first.
        attributes: labels; None: all columns that nothing else is said of.
        classes: columns whose values are classes, one set each.
        split: train, validation or test; None: by the first folder of every name if those are such words, else by
            shares.
        group: what must stay in one split (a person, say), in place of the file name.
        values: what numbers mean, one of :data:`cfgan.data.read.label_values.SCALES`.
    """

    file: str | None = None
    attributes: tuple[str, ...] | None = None
    classes: tuple[str, ...] = ()
    split: str | None = None
    group: str | None = None
    values: str = "auto"


def read_table(folder: Path, path: Path, columns: Columns, shares: Shares) -> LabelledImages:
    """Images of a folder with the labels of a table.

    Raises:
        DataError: the table or a column is missing or malformed, a name leaves the folder or stands there twice, a
            group lies in two splits; names column and value.
        VocabularyError: two columns or classes of the same name.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {str(folder)!r}.", field="SOURCE", value=folder)
    return from_frame(folder, read_frame(path), columns, shares, name=path.name)


def read_frame(path: Path) -> pd.DataFrame:
    """A table with its cells as they stand. Raises DataError: missing, of another kind, or damaged."""
    import pandas as pd

    kind = next((kind for kind in KINDS if path.name.removesuffix(".gz").casefold().endswith(kind)), None)
    if kind is None:
        raise DataError(f"{path.name} is none of {', '.join(KINDS)}.", field="--labels", value=path)
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*") if p.suffix in KINDS] if path.parent.is_dir() else []
        close = nearest(path.name, beside)
        raise DataError(f"there is no file {str(path)!r}.", field="--labels", value=path, nearest=close)
    try:
        if kind == ".parquet":
            frame = pd.read_parquet(path)
        elif kind == ".jsonl":
            frame = pd.read_json(path, lines=True, dtype=False)
        else:
            separator = "\t" if kind == ".tsv" else _separator(path)
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, sep=separator, encoding="utf-8-sig")
    except ImportError:
        raise DataError(
            "Parquet needs the extra: pip install 'cfgan[parquet]'.", field="--labels", value=path
        ) from None
    except (OSError, ValueError, EOFError, LookupError) as error:
        raise DataError(f"{path.name} cannot be read as a table ({error}).", field="--labels", value=path) from None
    frame.columns = [str(title).strip() for title in frame.columns]
    if not len(frame) or not len(frame.columns):
        raise DataError(f"{path.name} has no rows.", field="--labels", value=path)
    if (repeated := frame.columns[frame.columns.duplicated()]).size:
        raise DataError(f"{path.name} has two columns {repeated[0]!r}.", field="--labels", value=path)
    return frame


def _separator(path: Path) -> str:
    import gzip

    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig") as handle:
        first = handle.readline()
    return next((mark for mark in "\t;" if mark in first and "," not in first), ",")


def from_frame(folder: Path, frame: pd.DataFrame, columns: Columns, shares: Shares, *, name: str) -> LabelledImages:
    """The same from a table that is read already; ``name`` is for messages. Raises as :func:`read_table`."""
    if columns.split is None and columns.attributes is None and SPLIT in frame.columns:
        columns = replace(columns, split=SPLIT)
    file = _file_column(frame, columns.file, name)
    stated = [(columns.split, "--split-column"), (columns.group, "--group-column")]
    stated += [(title, "--class-column") for title in columns.classes]
    taken = {file, *(_require(frame, title, field, name) for title, field in stated if title is not None)}
    chosen = columns.attributes
    if chosen is None:
        chosen = tuple(title for title in frame.columns if title not in taken | NOTES)
    for title in chosen:
        if _require(frame, title, "--columns", name) in taken:
            raise DataError(f"{title} is used for something else already.", field="--columns", value=title)
    if not chosen and not columns.classes:
        raise DataError(f"{name} has no column of labels.", field="--columns", value=name)
    files = _file_names(frame[file], name)
    vocabulary, labels = _labels(frame, chosen, columns, name)
    return LabelledImages(
        folder=folder,
        files=files,
        labels=labels,
        split=_split(frame, files, columns, shares, name),
        vocabulary=vocabulary,
        opener=lambda inner: read_picture(folder / inner),
    )


def _require(frame: pd.DataFrame, title: str, field: str, name: str) -> str:
    if title not in frame.columns:
        raise DataError(
            f"{name} has no column {title!r}.", field=field, value=title, nearest=nearest(title, frame.columns)
        )
    return title


def _file_column(frame: pd.DataFrame, title: str | None, name: str) -> str:
    if title is not None:
        return _require(frame, title, "--file-column", name)
    plain = {str(known).casefold().replace(" ", "_"): str(known) for known in reversed(list(frame.columns))}
    return next((plain[known] for known in FILE_COLUMNS if known in plain), str(frame.columns[0]))


def _file_names(cells: pd.Series[Any], name: str) -> tuple[str, ...]:
    files = tuple(str(cell).strip().replace("\\", "/").removeprefix("./") for cell in cells)
    seen: set[str] = set()
    for row, file in enumerate(files, start=1):
        where = f"{name} row {row}"
        if not is_inside(file):
            raise DataError(f"{where}: {file[:60]!r} is no file inside the folder.", field="--file-column", value=file)
        if file in seen:
            raise DataError(f"{where}: {file} stands there twice.", field="--file-column", value=file)
        seen.add(file)
    return files


def is_inside(name: str) -> bool:
    """Whether a name from outside stays inside the folder it is read from, and can be told apart in messages."""
    path = PurePosixPath(name)
    plain = bool(name) and not re.search(r"[\x00-\x1f\x7f]|: ", name)
    return plain and not path.is_absolute() and ".." not in path.parts and not re.match(r"[A-Za-z]:", name)


def _labels(
    frame: pd.DataFrame, chosen: Sequence[str], columns: Columns, name: str
) -> tuple[Vocabulary, npt.NDArray[np.float32]]:
    others = [attribute_name(title) for title in chosen]
    parts = [read_values(frame[list(chosen)], columns.values, name=name)] if chosen else []
    sets: dict[str, list[str]] = {}
    taken = {other.casefold() for other in others}
    for title in columns.classes:
        cells = [_class(cell) for cell in frame[title]]
        found = sorted({cell for cell in cells if cell is not None}, key=_natural)
        names = [attribute_name(cell) for cell in found]
        if any(each.casefold() in taken for each in names):  # two sets with a class "none", say
            names = [attribute_name(f"{title}_{cell}") for cell in found]
        taken |= {each.casefold() for each in names}
        number = {cell: k for k, cell in enumerate(found)}
        parts.append(one_hot([-1 if cell is None else number[cell] for cell in cells], len(found)))
        sets[title] = names
    try:
        vocabulary = class_vocabulary(sets, others) if sets else Vocabulary.of(others)
    except VocabularyError as error:
        raise VocabularyError(f"{name}: {error}", field="--columns") from None
    return vocabulary, np.concatenate(parts, axis=1)


def _class(cell: Any) -> str | None:
    """A class cell as text, whole numbers without a point; None where nothing is known."""
    text = re.sub(r"^(-?\d+)\.0+$", r"\1", str(cell).strip())
    return None if text.casefold() in UNKNOWN else text


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts "2" before "10"."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part)


def _split(frame: pd.DataFrame, files: Sequence[str], columns: Columns, shares: Shares, name: str) -> Splits:
    groups = [str(cell).strip() for cell in frame[columns.group]] if columns.group is not None else list(files)
    if columns.group is not None and any(group.casefold() in UNKNOWN for group in groups):
        raise DataError(f"{name} leaves the group of some images open.", field="--group-column", value=columns.group)
    first = {file.partition("/")[0].casefold() if "/" in file else "" for file in files}
    if columns.split is not None:
        split = np.asarray(
            [
                split_named(cell, field="--split-column", where=f"{name} row {row}")
                for row, cell in enumerate(frame[columns.split], start=1)
            ],
            dtype=np.uint8,
        )
    elif first <= WORDS.keys():
        words = [file.partition("/")[0] for file in files]
        split = np.asarray([split_named(word, field="SOURCE", where=name) for word in words], dtype=np.uint8)
    else:
        return shares.split(groups)
    if columns.group is not None:
        require_together(split, groups, field="--group-column")
    return split
