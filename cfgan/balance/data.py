"""The labelled images that are to be balanced: a packed store, a CelebA folder, or a folder with a label table."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.labelled_images import SPLITS
from cfgan.data.left_out import LeftOut
from cfgan.data.read.splits import Shares
from cfgan.data.source import open_source
from cfgan.data.sources.base import Options, require_folder
from cfgan.errors import DataError

_TRAIN = SPLITS["train"]


@dataclass(frozen=True)
class BalanceData:
    """Labels of real images.

    Args:
        files: N names, relative to ``folder``, with POSIX separators.
        labels: float32 (N, A); 1 has it, -1 has it not, NaN unknown.
        split: uint8 (N,); 0 train, 1 validation, 2 test.
        vocabulary: the A attributes.
        folder: where the files lie; None for a packed store, which holds pixels and no files.
        left_out: what the table or the folder has and the balance does not use.
    """

    files: tuple[str, ...]
    labels: npt.NDArray[np.float32]
    split: npt.NDArray[np.uint8]
    vocabulary: Vocabulary
    folder: Path | None
    left_out: LeftOut = field(default_factory=LeftOut)

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
        data: any source with images, such as a packed store, a CelebA folder, or a folder of images with a label
            table; see :func:`cfgan.data.source.open_source`.
        vocabulary: of the model; of a label table, only its attributes are read.
        labels: the label table of a folder, by default ``labels.csv``, ``metadata.csv`` or the like in it. Images
            whose split it does not say are training images.

    Raises:
        DataError: none of these, damaged, a table that cannot be used, an image that is named but not there.
    """
    require_folder(data, "DATA")
    source = open_source(data, Options(labels=labels, vocabulary=vocabulary, field="DATA"))
    if source.requested:
        raise DataError(f"{(labels or data).name} belongs to a batch of generated images.", field="--labels")
    split = source.parts(Shares(0, 0))
    found = BalanceData(source.files or (), source.labels, split, source.vocabulary, source.folder, source.left_out)
    if found.folder is not None:
        _require_files(found.folder, found.files)
    return found


def _require_files(folder: Path, files: tuple[str, ...]) -> None:
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(files):,} images that have labels are not there, the first is {missing[0]!r}.",
            field="DATA",
            value=missing[0],
        )
