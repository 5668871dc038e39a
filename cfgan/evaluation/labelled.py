"""How well a reader's word on images agrees with labels, beside its own figures on real faces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.data.left_out import LISTED, LeftOut
from cfgan.data.table import LabelTable
from cfgan.errors import InputError
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import expected_calibration_error
from cfgan.stats.intervals import wilson_interval
from cfgan.verify.images import Columns, Readings
from cfgan.verify.labelled_readings import LabelledReadings


class LabelScore:
    """Collects readings of labelled images; a sink of :func:`cfgan.verify.images.verify_images`.

    Memory grows by four bytes an attribute and labelled image.

    Args:
        bundle: whose reader reads.
        columns: what is read; only attributes that are among the labels too are scored.
        labels: what is known.
        files: names of all images, in order.

    Raises:
        DataError: labels and images do not fit together; see :meth:`cfgan.data.table.LabelTable.match`.
        InputError: no attribute is both read and labelled.
    """

    def __init__(self, bundle: Bundle, columns: Columns, labels: LabelTable, files: Sequence[str]) -> None:
        known = labels.vocabulary.names
        self.names = tuple(name for name in columns.names if name in known)
        if not self.names:
            raise InputError(
                f"none of {', '.join(columns.names[:5])} is among the labels of {labels.path.name} "
                f"({', '.join(known[:5])}{', ...' if len(known) > 5 else ''}).",
                field="--labels",
                value=labels.path,
            )
        self._labels = labels
        self._matches = labels.match(files)
        self._rows = self._matches.rows
        self._files = files
        self._figures = bundle.config[columns.reader].get("figures", {})
        self._read = LabelledReadings(self._rows, [columns.names.index(name) for name in self.names])

    def add(self, readings: Readings) -> None:
        self._read.add(readings)

    def report(self) -> dict[str, Any]:
        """Plain figures of all readings so far; NaN where there is nothing to measure.

        Returns:
            ``labels`` (name of the file), ``requested`` (whether it says what was asked for), ``images`` (read and
            labelled), ``without_labels`` and ``without_image`` (``count`` and the first few ``names``),
            ``ignored_columns``, ``left_out`` (sentences on columns, and on folders that names were compared without),
            ``attributes`` (see :func:`accuracy_by_attribute`) and ``mean`` over them, each beside
            the mean of the same attributes on real faces.
        """
        rows = self._read.rows
        columns = [self._labels.vocabulary.names.index(name) for name in self.names]
        values = self._labels.labels[rows][:, columns]
        if self._labels.requested:
            values = np.where(np.abs(values) == 1, values, np.nan)  # a graded request is neither yes nor no
        table = accuracy_by_attribute(
            self.names,
            np.sign(np.nan_to_num(values)).astype(np.int8),
            self._read.probability,
            self._read.seen,
            self._figures,
        )
        files = self._labels.files or ()
        return {
            "labels": self._labels.path.name,
            "requested": self._labels.requested,
            "images": len(rows),
            "without_labels": _some([self._files[k] for k in np.flatnonzero(self._rows < 0).tolist()]),
            "without_image": _some([files[row] for row in self._matches.lost.tolist()]),
            "ignored_columns": list(self._labels.left_out.columns),
            "left_out": (self._labels.left_out | LeftOut(folders=self._matches.folders)).lines(),
            "attributes": table,
            "mean": {key: _mean(table, key) for key in ("accuracy", "balanced_accuracy", "auc", "calibration_error")},
        }


def accuracy_by_attribute(
    names: Sequence[str],
    labels: npt.NDArray[np.int8],
    probability: npt.NDArray[np.float32],
    seen: npt.NDArray[np.bool_],
    figures: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Figures of each attribute over the images where it is known.

    Args:
        names: k attributes.
        labels: int8 (n, k); 1, -1, 0 unknown.
        probability: float32 (n, k), calibrated.
        seen: bool (n, k), at the reader's thresholds.
        figures: the reader's own on held-out real faces, as a bundle's config keeps them.

    Returns:
        name -> n, positives, accuracy, balanced_accuracy, recall, recall_interval, specificity, specificity_interval
        (Wilson 95 %), auc (ROC), calibration_error (expected, 15 bins), and ``real``: the same of real faces without
        the intervals, accuracy at the same threshold; None where the bundle does not say. What needs both values of an
        attribute is NaN where only one is there.
    """
    from sklearn.metrics import roc_auc_score

    table: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(names):
        known = labels[:, k] != 0
        truth, guess, p = labels[known, k] > 0, seen[known, k], probability[known, k]
        positives, negatives = int(truth.sum()), int((~truth).sum())
        hits, passes = int((guess & truth).sum()), int((~guess & ~truth).sum())
        recall = hits / positives if positives else math.nan
        specificity = passes / negatives if negatives else math.nan
        table[name] = {
            "n": len(truth),
            "positives": positives,
            "accuracy": (hits + passes) / len(truth) if len(truth) else math.nan,
            "balanced_accuracy": (recall + specificity) / 2,
            "recall": recall,
            "recall_interval": list(wilson_interval(hits, positives)),
            "specificity": specificity,
            "specificity_interval": list(wilson_interval(passes, negatives)),
            "auc": float(roc_auc_score(truth, p)) if positives and negatives else math.nan,
            "calibration_error": expected_calibration_error(p, truth) if len(truth) else math.nan,
            "real": _on_real_faces(figures.get(name)),
        }
    return table


def _on_real_faces(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    keys = ("n", "positives", "balanced_accuracy", "recall", "specificity", "auc", "calibration_error")
    found: dict[str, Any] = {key: row.get(key) for key in keys}
    accuracy = None
    # The bundle's own "accuracy" is at another threshold; this one is what recall and specificity come to.
    if all(found[key] is not None for key in ("n", "positives", "recall", "specificity")) and found["n"]:
        positives, n = found["positives"], found["n"]
        accuracy = (found["recall"] * positives + found["specificity"] * (n - positives)) / n
    return {**found, "accuracy": accuracy}


def _mean(table: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, float]:
    """Mean over the attributes that have the figure, and over those of them that have it on real faces."""
    rows = [row for row in table.values() if math.isfinite(row[key])]
    real = [row["real"][key] for row in rows if row["real"] is not None and row["real"][key] is not None]
    return {
        "here": float(np.mean([row[key] for row in rows])) if rows else math.nan,
        "real": float(np.mean(real)) if real else math.nan,
        "attributes": len(rows),
    }


def _some(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "names": list(names[:LISTED])}
