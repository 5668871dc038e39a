"""The merged label table of a balance: real rows as they were, then the synthetic ones.

Columns: ``file``, relative to the table; one an attribute, 1, 0 or empty where nothing is known; ``split``;
``synthetic``, 0 or 1; and of synthetic rows ``request``, what was asked for, and ``draw``, its number in its request.
"""

from __future__ import annotations

import csv
import importlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.request import Request, format_request
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.balance.data import BalanceData
from cfgan.data.labelled_images import SPLITS
from cfgan.errors import FolderError, VocabularyError
from cfgan.io.cells import CellWriter
from cfgan.io.extras import require_pyarrow
from cfgan.io.files import atomic_write, write_text
from cfgan.io.reading import open_text
from cfgan.model.bundle import Bundle

BATCH = "synthetic"
"""The batch's folder beside the table."""


@dataclass(frozen=True)
class SyntheticRow:
    """One generated face.

    Args:
        file: relative to the table.
        request: what was asked for, and is known.
        draw: its number.
        labels: float32 (A,) over the data's vocabulary; NaN unknown.
    """

    file: str
    request: Request
    draw: int
    labels: npt.NDArray[np.float32]


def read_synthetic(batch: Path, bundle: Bundle, vocabulary: Vocabulary, free_labels: str) -> list[SyntheticRow]:
    """The faces of a finished batch with their labels.

    Requested values are labels as they are. What was not asked for is unknown; or, with ``free_labels`` "condition",
    what the generator was given, or, with "verifier", what the verifier sees at its thresholds: guesses both.

    Args:
        batch: its folder.
        bundle: that made it.
        vocabulary: of the real images (A attributes).
        free_labels: "unknown", "condition" or "verifier".

    Raises:
        FolderError: the batch's manifest is damaged.
    """
    columns = [(place, name) for place, name in enumerate(_spelled(vocabulary, bundle.vocabulary)) if name is not None]
    threshold = dict(zip(bundle.vocabulary.names, bundle.calibration.threshold.tolist(), strict=True))
    rows = []
    try:
        with open_text(batch / "manifest.csv") as handle:
            for row in csv.DictReader(handle):
                request = {
                    title.removeprefix("requested."): float(cell)
                    for title, cell in row.items()
                    if title.startswith("requested.") and cell
                }
                labels = np.full(len(vocabulary), np.nan, dtype=np.float32)
                for place, name in columns:
                    if name in request:
                        labels[place] = request[name]
                    elif free_labels == "condition":
                        labels[place] = np.sign(float(row[f"condition.{name}"])) or np.nan
                    elif free_labels == "verifier":
                        labels[place] = 1 if float(row[f"verifier.{name}"]) >= threshold[name] else -1
                rows.append(SyntheticRow(f"{BATCH}/{row['file']}", request, int(row["draw"]), labels))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError) as error:
        raise FolderError(f"{batch}/manifest.csv is damaged ({error}).", field="out", value=batch) from None
    return rows


def _spelled(vocabulary: Vocabulary, other: Vocabulary) -> list[str | None]:
    """Each name of a vocabulary as the other one spells it, or None."""
    found: list[str | None] = []
    for name in vocabulary.names:
        try:
            found.append(other.canonical(name))
        except VocabularyError:
            found.append(None)
    return found


def require_parquet() -> None:
    """Raise InputError where Parquet cannot be written."""
    require_pyarrow(field="--parquet")


def write_csv(out: Path, data: BalanceData, files: list[str], synthetic: list[SyntheticRow]) -> None:
    """Write the table as CSV; ``files`` are the real images' names in it, in order. Raises StorageError."""
    text = io.StringIO()
    writer = CellWriter(text, paths=1)
    writer.writerow(["file", *data.vocabulary.names, "split", "synthetic", "request", "draw"])
    words = {number: word for word, number in SPLITS.items()}
    for file, labels, split in zip(files, data.labels, data.split.tolist(), strict=True):
        writer.writerow([file, *_cells(labels), words[split], 0, "", ""])
    for row in synthetic:
        writer.writerow([row.file, *_cells(row.labels), "train", 1, format_request(row.request), row.draw])
    write_text(out, text.getvalue())


def _cells(labels: npt.NDArray[np.float32]) -> list[str]:
    """1, 0, empty where unknown; a label between -1 and 1 as the probability (1 + v) / 2 that it stands for."""
    return ["" if value != value else f"{(value + 1) / 2:g}" for value in labels.tolist()]


def write_parquet(out: Path, data: BalanceData, files: list[str], synthetic: list[SyntheticRow]) -> None:
    """The same as Parquet; labels are float32, null where unknown, ``synthetic`` a boolean. Raises StorageError."""
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    words = {number: word for word, number in SPLITS.items()}
    labels = np.concatenate([data.labels, *(row.labels[None] for row in synthetic)])
    none: list[Any] = [None] * len(files)
    columns = {"file": arrow.array([*files, *(row.file for row in synthetic)], arrow.string())}
    for name, column in zip(data.vocabulary.names, labels.T, strict=True):
        columns[name] = arrow.array((column + 1) / 2, arrow.float32(), mask=np.isnan(column))
    splits = [*(words[number] for number in data.split.tolist()), *("train" for _ in synthetic)]
    columns["split"] = arrow.array(splits, arrow.string())
    columns["synthetic"] = arrow.array([False] * len(files) + [True] * len(synthetic))
    columns["request"] = arrow.array([*none, *(format_request(row.request) for row in synthetic)], arrow.string())
    columns["draw"] = arrow.array([*none, *(row.draw for row in synthetic)], arrow.int64())
    with atomic_write(out) as handle:
        parquet.write_table(arrow.table(columns), handle)
