"""What StyleGAN's ``dataset_tool.py`` writes: ``dataset.json`` beside the images (Karras et al., NeurIPS 2020)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.classes import class_vocabulary, one_hot
from cfgan.data.read.names import plain_name
from cfgan.data.sources.base import Options, Source, refuse_table
from cfgan.data.sources.tables import with_images
from cfgan.data.table import LabelTable
from cfgan.errors import DataError
from cfgan.io.files import read_json_object

NAME = "dataset.json"


def has_dataset_json(folder: Path, options: Options) -> bool:
    """Whether a folder has the file, and no other table is named."""
    return options.labels is None and (folder / NAME).is_file()


def read_stylegan(folder: Path, options: Options) -> Source:
    """Classes by number, or rows of 0 and 1, from ``{"labels": [["00000/img00000000.png", 3], ...]}``.

    Classes are called ``class_0`` and so on, columns ``attribute_0``: the file has no names.

    Raises:
        DataError: it is not that, or has no labels.
        InputError: columns of a table are named.
    """
    refuse_table(options, f"{folder} has a {NAME}")
    path = folder / NAME
    try:
        labels = read_json_object(path)["labels"]
        files = tuple(plain_name(str(name)) for name, _ in labels)
        rows = [value for _, value in labels]
        vocabulary, values = _values(rows)
    except (ValueError, KeyError, TypeError) as error:
        said = error if isinstance(error, ValueError) else "it has no list of labels, each a name and a class"
        raise DataError(f"{path.name}: {said}.", field="SOURCE", value=path) from None
    if len(set(files)) != len(files):
        raise DataError(f"{NAME} lists a file twice.", field="SOURCE", value=path)
    return with_images("stylegan", folder, LabelTable(path, vocabulary, values, files))


def _values(rows: list[object]) -> tuple[Vocabulary, np.ndarray]:
    if all(isinstance(row, int) and not isinstance(row, bool) and 0 <= row < 10_000 for row in rows):
        numbers = [int(str(row)) for row in rows]
        names = [f"class_{k}" for k in range(max(numbers) + 1)]
        return class_vocabulary({"class": names}), one_hot(numbers, len(names))
    values = np.asarray(rows, dtype=np.float32)
    if values.ndim != 2 or not np.isin(values, (0, 1)).all():
        raise ValueError("its labels are neither class numbers nor rows of 0 and 1")
    return Vocabulary.of([f"attribute_{k}" for k in range(values.shape[1])]), 2 * values - 1
