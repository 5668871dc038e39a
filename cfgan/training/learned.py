"""What a classifier has learned, by the validation images of its own run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cfgan.errors import DataError
from cfgan.io.files import read_json_object
from cfgan.io.reading import library_errors, load_arrays
from cfgan.model.calibration import classifier_figures

_Z = 1.96  # 95 %


@dataclass(frozen=True)
class Learned:
    """How well one attribute is read.

    Args:
        positives, negatives: validation images that are known to have it, and not to have it.
        balanced_accuracy: mean of recall and specificity at the best threshold, cross-fitted; NaN: a value is missing.
        auc: area under the ROC curve; NaN: one value is missing.
    """

    positives: int
    negatives: int
    balanced_accuracy: float
    auc: float

    @property
    def problem(self) -> str | None:
        """Why nothing shows that the attribute was learned; None where something does.

        Where the lower end of the area's 95 % interval (Hanley and McNeil, Radiology 1982) is not above 0.5, the
        readings may as well be chance.
        """
        n, m, auc = self.positives, self.negatives, self.auc
        if not n or not m:
            return f"all {n + m} validation images {'carry' if n else 'lack'} it" if n + m else "no validation image"
        first, second = auc / (2 - auc), 2 * auc * auc / (1 + auc)
        variance = (auc * (1 - auc) + (n - 1) * (first - auc * auc) + (m - 1) * (second - auc * auc)) / (n * m)
        if auc - _Z * math.sqrt(max(0.0, variance)) > 0.5:
            return None
        return f"not told from chance, ROC AUC {auc:.2f} of {n} images with it and {m} without"


def what_was_learned(run: Path) -> Mapping[str, Learned]:
    """Attribute -> how well a finished run's classifier reads it; empty where there were no validation images.

    Raises:
        DataError: the run's files are damaged.
    """
    path = run / "validation.npz"
    if not path.exists():
        return {}
    with library_errors(path, lambda text: DataError(text, field="run", value=path)):
        names = read_json_object(run / "model.json")["vocabulary"]["names"]
        kept = load_arrays(path)
        figures = classifier_figures(kept["logits"], kept["labels"], names)
    return {
        name: Learned(int(row["positives"]), int(row["n"] - row["positives"]), row["balanced_accuracy"], row["auc"])
        for name, row in figures.items()
    }
