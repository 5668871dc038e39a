"""The labelled images that are to be balanced: a packed store, a CelebA folder, or a folder with a label table."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.labelled_images import SPLITS
from cfgan.data.read.celeba import read_celeba
from cfgan.data.read.label_files import read_label_file
from cfgan.data.store import open_store
from cfgan.errors import DataError, nearest

TABLES = ("labels.csv", "metadata.csv")
"""Label tables that are looked for in a folder of images when none is named."""

_TRAIN = SPLITS["train"]
_SPLIT_WORDS = {"": _TRAIN, "val": SPLITS["validation"], "valid": SPLITS["validation"]}
_SPLIT_WORDS |= {**SPLITS, **{str(number): number for number in SPLITS.values()}}


@dataclass(frozen=True)
class BalanceData:
    """Labels of real images.

    Args:
        files: N names, relative to ``folder``, with POSIX separators.
        labels: float32 (N, A); 1 has it, -1 has it not, NaN unknown.
        split: uint8 (N,); 0 train, 1 validation, 2 test.
        vocabulary: the A attributes.
        folder: where the files lie; None for a packed store, which holds pixels and no files.
        ignored: columns of the table that were left out because the model does not know them.
    """

    files: tuple[str, ...]
    labels: npt.NDArray[np.float32]
    split: npt.NDArray[np.uint8]
    vocabulary: Vocabulary
    folder: Path | None
    ignored: tuple[str, ...] = ()

    @property
    def train(self) -> npt.NDArray[np.float32]:
        """Labels of the train split."""
        rows: npt.NDArray[np.float32] = self.labels[self.split == _TRAIN]
        return rows

    @property
    def digest(self) -> str:
        """sha256 over names, labels and split, wherever the images lie; these themselves are not read."""
        digest = hashlib.sha256(json.dumps([self.files, self.vocabulary.names, self.folder is None]).encode())
        digest.update(self.labels.tobytes() + self.split.tobytes())
        return digest.hexdigest()


def open_balance_data(data: Path, vocabulary: Vocabulary, labels: Path | None = None) -> BalanceData:
    """Read the labels of a data set; no image is opened.

    Args:
        data: a packed store, a CelebA folder in the official layout, or any folder of images.
        vocabulary: of the model; of a label table, only its attributes are read.
        labels: the label table of a folder (see :func:`cfgan.data.read.label_files.read_label_file`), by default
            ``labels.csv`` or ``metadata.csv`` in it. A column ``split`` says train, validation or test (empty, or no
            such column: train).

    Raises:
        DataError: none of these, damaged, a table that cannot be used, an image that is named but not there.
    """
    if not data.is_dir():
        beside = [p.name for p in data.parent.iterdir()] if data.parent.is_dir() else []
        raise DataError(
            f"there is no folder {str(data)!r}.", field="DATA", value=data, nearest=nearest(data.name, beside)
        )
    packed = (data / "store.json").exists() or (data / "images.npy").exists()
    official = (data / "list_attr_celeba.txt").exists()
    if labels is not None and (packed or official):
        raise DataError(f"{data} has its own labels.", field="--labels", value=labels)
    if packed:
        store = open_store(data)
        return BalanceData(store.files, np.asarray(store.labels), np.asarray(store.split), store.vocabulary, None)
    if official:
        table = read_celeba(data)
        found = BalanceData(table.files, table.labels, table.split, table.vocabulary, table.folder)
    else:
        found = _with_table(data, vocabulary, labels)
    _require_files(found.folder or data, found.files)
    return found


def _with_table(data: Path, vocabulary: Vocabulary, labels: Path | None) -> BalanceData:
    path = labels or next((data / name for name in TABLES if (data / name).is_file()), None)
    if path is None:
        raise DataError(
            f"{data} is no packed store, no CelebA folder and has no {' or '.join(TABLES)}; name its table with "
            "--labels.",
            field="DATA",
            value=data,
        )
    table = read_label_file(path, vocabulary, ignore_unknown=True)
    if table.requested:
        raise DataError(f"{path.name} belongs to a batch of generated images.", field="--labels", value=path)
    files = tuple(table.rows)
    for name in files:
        if not is_inside(name):
            raise DataError(f"{name[:60]!r} is no file inside the folder.", field="--labels", value=name)
    values = table.values.astype(np.float32)
    values[values == 0] = np.nan
    ignored = tuple(title for title in table.ignored if title.casefold() != "split")
    return BalanceData(files, values, _split(path, len(files)), Vocabulary.of(table.names), data, ignored)


def is_inside(name: str) -> bool:
    """Whether a name from a table stays inside the folder of its images."""
    path = PurePosixPath(name)
    plain = bool(name) and not re.search(r"[\x00-\x1f\x7f]", name)
    return plain and not path.is_absolute() and ".." not in path.parts and not re.match(r"[A-Za-z]:", name)


def _split(path: Path, count: int) -> npt.NDArray[np.uint8]:
    """The ``split`` column of a table that was read already; all train where there is none."""
    import pandas as pd

    with path.open(encoding="utf-8-sig") as handle:
        first = handle.readline()
    separator = next((mark for mark in "\t;" if mark in first and "," not in first), ",")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, sep=separator, encoding="utf-8-sig", index_col=False)
    column = next((title for title in frame.columns if str(title).strip().casefold() == "split"), None)
    if column is None:
        return np.full(count, _TRAIN, dtype=np.uint8)
    words = [str(cell).strip().casefold() for cell in frame[column]]
    for row, word in enumerate(words, start=1):
        if word not in _SPLIT_WORDS:
            raise DataError(
                f"{path.name} row {row}: split is {word[:40]!r}; train, validation or test is expected.",
                field="--labels",
                value=word,
                nearest=nearest(word, SPLITS),
            )
    return np.asarray([_SPLIT_WORDS[word] for word in words], dtype=np.uint8)


def _require_files(folder: Path, files: tuple[str, ...]) -> None:
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(files):,} images that have labels are not there, the first is {missing[0]!r}.",
            field="DATA",
            value=missing[0],
        )
