"""Labelled images by number, as ``torch.utils.data.DataLoader`` takes them; torch is not needed for it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.data.labelled_images import SPLITS
from cfgan.data.read.columns import Columns
from cfgan.data.read.splits import Shares
from cfgan.data.source import open_source
from cfgan.data.sources.base import Options
from cfgan.data.sources.stores import is_store
from cfgan.data.store import PackedDataset, open_store
from cfgan.errors import DataError, nearest
from cfgan.io.reading import open_text

_OWN_TABLES = ("manifest.csv", "attributes.csv")  # of a batch, of a test set
_REQUESTED = "requested."

Transform = Callable[[Any], Any]


class ImageDataset:
    """A packed store, a batch, a test set or any labelled images as a data set that PyTorch's loaders take.

    It has a length and gives ``(image, labels)`` by number: a Pillow image, RGB and as large as it is, and float32
    (A,), 1 has it, -1 has it not, NaN unknown. Of a batch and a test set the labels are what was asked for. Transforms,
    those of ``torchvision.transforms.v2`` say, turn both into what is to be learnt from. Worker processes open the
    files anew.

    Args:
        path: anything that ``cfgan data import`` takes, a packed store, a batch, or a test set.
        split: train, validation or test; None: all. Images of which nothing is said are for training.
        labels: the label table of a folder; by default the one in it.
        columns: which of its columns mean what.
        attributes: only these, in this order; None: all.
        transform: of an image.
        target_transform: of its labels.

    Raises:
        DataError: nothing says what the images show; there is no such split or attribute.
        InputError: columns that the table does not have.

    Example:
        >>> faces = model.generate("Round", count=4, out="round")
        >>> data = cfgan.ImageDataset("round", attributes=["Round"])
        >>> image, labels = data[0]
        >>> len(data), image.mode, labels.tolist()
        (4, 'RGB', [1.0])
    """

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        *,
        labels: str | Path | None = None,
        columns: Columns | None = None,
        attributes: list[str] | tuple[str, ...] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        self._given = (path, split, labels, columns, attributes, transform, target_transform)
        if split is not None and split not in SPLITS:
            raise DataError(f"{split!r} is not a split.", field="split", value=split, nearest=nearest(split, SPLITS))
        self.transform, self.target_transform = transform, target_transform
        opened = _open(path, labels, columns)
        self._opened = opened
        names = opened.vocabulary.names
        self.attributes: tuple[str, ...] = names if attributes is None else tuple(attributes)
        """Names of the labels, A of them."""
        for name in self.attributes:
            if name not in names:
                close = nearest(name, names)
                raise DataError(f"there is no label {name!r}.", field="attributes", value=name, nearest=close)
        rows = np.arange(len(opened.files))
        self._rows = rows if split is None else rows[opened.split == SPLITS[split]]
        self.labels: npt.NDArray[np.float32] = np.asarray(opened.labels)[self._rows][
            :, [names.index(name) for name in self.attributes]
        ]
        """float32 (N, A) of all images, without opening one."""
        self.files: tuple[str, ...] = tuple(opened.files[row] for row in self._rows.tolist())
        """N names."""

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> tuple[Any, Any]:
        """An image and its labels, transformed. Raises DataError where the image cannot be read; IndexError."""
        row = int(self._rows[place])
        if isinstance(self._opened, PackedDataset):
            image: Any = Image.fromarray(np.ascontiguousarray(self._opened.images[row].transpose(1, 2, 0)))
        else:
            image = self._opened.open(row)
        target: Any = self.labels[place].copy()
        return (
            image if self.transform is None else self.transform(image),
            target if self.target_transform is None else self.target_transform(target),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, self._given

    def __repr__(self) -> str:
        return f"ImageDataset({str(self._given[0])!r}: {len(self):,} images, {', '.join(self.attributes[:8])})"


def _again(path: str | Path, split: str | None, labels: Any, columns: Any, *rest: Any) -> ImageDataset:
    attributes, transform, target_transform = rest
    return ImageDataset(
        path,
        split,
        labels=labels,
        columns=columns,
        attributes=attributes,
        transform=transform,
        target_transform=target_transform,
    )


def _open(path: str | Path, labels: str | Path | None, columns: Columns | None) -> Any:
    """What has ``files``, ``labels``, ``split`` and ``vocabulary``: a store, or a table whose images can be opened."""
    folder = Path(path)
    if is_store(folder):
        return open_store(folder)
    table = None if labels is None else Path(labels)
    if table is None and (table := next((folder / name for name in _OWN_TABLES if (folder / name).is_file()), None)):
        with open_text(table) as handle:
            asked = [title for title in next(csv.reader(handle), []) if title.startswith(_REQUESTED)]
        columns = columns or Columns(labels=asked or None)
    source = open_source(path, Options(labels=table, columns=columns or Columns()))
    return source.labelled(Shares(0, 0))
