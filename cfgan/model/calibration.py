"""From a classifier's logits on held-out real images to calibrated probabilities, thresholds and honest figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]


GATE_RECALL = 0.8
"""Share of real faces with a value for which the verifier is at least as sure as it must be of a generated one.

The threshold of best balanced accuracy tells real faces apart. Generated faces that miss what was asked for are nearer
to it than real faces without the attribute are, and for rare attributes it is so low that they pass.
"""


SUREST = 0.999
"""The most that a gate asks for. A classifier that makes no mistake in the held-out faces is sure of them to the last
digit, and a generated face that is as plain to see may still be a little short of that."""


@dataclass(frozen=True)
class Calibration:
    """Per attribute: p = sigmoid(slope * logit + intercept), and the probability from which it counts as present.

    Args:
        slope, intercept: float64 (A,), Platt's two parameters (Platt 1999); intercept 0 is temperature scaling (Guo et
            al. 2017).
        threshold: float64 (A,), calibrated probability of best balanced accuracy.
        method: "platt" or "temperature", A of them: whichever left the smaller error; empty where that is not known.
        gate_yes, gate_no: float64 (A,), the probability of the value that a generated face must reach when
            the attribute was asked for, and when it was asked away: what :data:`GATE_RECALL` of the real faces with it
            reach, at the least the threshold. Empty in bundles made before there was such a gate.
    """

    slope: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]
    method: tuple[str, ...] = ()
    gate_yes: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    gate_no: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def probabilities(self, logits: Floats) -> npt.NDArray[np.float32]:
        """Logits (N, A) to calibrated probabilities (N, A)."""
        scaled = np.clip(logits * self.slope + self.intercept, -60, 60)
        return (1 / (1 + np.exp(-scaled))).astype(np.float32)

    def to_dict(self) -> dict[str, list[Any]]:
        names = ("slope", "intercept", "threshold", "gate_yes", "gate_no")
        figures: dict[str, list[Any]] = {name: [round(float(v), 6) for v in getattr(self, name)] for name in names}
        return {**figures, "method": list(self.method)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Sequence[Any]]) -> Calibration:
        """Inverse of :meth:`to_dict`. Raises KeyError, TypeError or ValueError on malformed content."""
        slope, intercept, threshold = (
            np.asarray(data[name], dtype=np.float64) for name in ("slope", "intercept", "threshold")
        )
        gates = (np.minimum(np.asarray(data.get(name, ()), np.float64), SUREST) for name in ("gate_yes", "gate_no"))
        return cls(slope, intercept, threshold, tuple(str(name) for name in data.get("method", ())), *gates)


def fit_calibration(logits: Floats, labels: Floats) -> Calibration:
    """Fit scaling and the threshold of best balanced accuracy for every attribute.

    Of Platt scaling and temperature scaling the one with the smaller expected calibration error is taken, fitted on one
    half of the rows and measured on the other, both ways round.

    Args:
        logits: (N, A) on images that the classifier was not trained on.
        labels: (N, A); above 0 present, below 0 absent, NaN or 0 unknown.

    Raises:
        DataError: shapes differ, or there are no rows.
    """
    if logits.shape != labels.shape or not len(logits):
        raise DataError(f"logits {logits.shape} and labels {labels.shape} do not fit.", field="labels")
    a = logits.shape[1]
    slope, intercept, threshold = np.ones(a), np.zeros(a), np.full(a, 0.5)
    gate_yes, gate_no = np.full(a, 0.5), np.full(a, 0.5)
    method = ["temperature"] * a
    for i in range(a):
        known = is_known(labels[:, i])
        x, y = logits[known, i].astype(np.float64), labels[known, i] > 0
        if 0 < y.sum() < len(y):
            errors = {name: _held_out_error(x, y, name) for name in ("platt", "temperature")}
            method[i] = min(errors, key=lambda name: errors[name])
            slope[i], intercept[i] = _scaling(x, y, method[i])
            p = _sigmoid(slope[i] * x + intercept[i])
            threshold[i] = best_threshold(p, y)
            gate_yes[i] = min(SUREST, max(threshold[i], np.quantile(p[y], 1 - GATE_RECALL)))
            gate_no[i] = min(SUREST, max(1 - threshold[i], np.quantile(1 - p[~y], 1 - GATE_RECALL)))
    return Calibration(slope, intercept, threshold, tuple(method), gate_yes, gate_no)


def is_known(labels: Floats) -> Bools:
    """Where a label says yes or no: neither unknown (NaN) nor, of a graded one, exactly in between (0)."""
    return np.asarray(np.isfinite(labels) & (labels != 0))


def _scaling(x: Floats, y: Bools, method: str) -> tuple[float, float]:
    """Slope and intercept by maximum likelihood; 1 and 0 where that would turn the classifier round."""
    from sklearn.linear_model import LogisticRegression

    if not 0 < y.sum() < len(y):
        return 1.0, 0.0
    model = LogisticRegression(C=1e3, fit_intercept=method == "platt").fit(x[:, None], y)
    slope = float(model.coef_[0, 0])
    # A negative slope means that the attribute is not readable: keep the logits.
    return (slope, float(np.ravel(model.intercept_)[0])) if slope > 0 else (1.0, 0.0)


def _held_out_error(x: Floats, y: Bools, method: str) -> float:
    """Expected calibration error of a method, fitted on one half and measured on the other, both ways round."""
    half = np.random.default_rng(1).permutation(len(x)) % 2 == 0
    probabilities = np.zeros(len(x))
    for fit, use in ((half, ~half), (~half, half)):
        slope, intercept = _scaling(x[fit], y[fit], method)
        probabilities[use] = _sigmoid(slope * x[use] + intercept)
    return expected_calibration_error(probabilities, y)


def _sigmoid(x: Floats) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), dtype=np.float64)


def best_threshold(scores: Floats, truth: Bools) -> float:
    """The score at which balanced accuracy is highest, halfway between two neighbouring scores."""
    order = np.argsort(-scores, kind="stable")
    s, t = scores[order].astype(np.float64), truth[order]
    gain = np.cumsum(t) / max(1, t.sum()) - np.cumsum(~t) / max(1, (~t).sum())
    last = np.append(s[1:] != s[:-1], True)  # only after a run of equal scores can a threshold lie
    best = int(np.argmax(np.where(last, gain, -np.inf)))
    below = s[best + 1] if best + 1 < len(s) else 0.0
    return float(np.clip((s[best] + below) / 2, 1e-6, 1 - 1e-6))


def balanced_accuracy(predicted: Bools, truth: Bools) -> float:
    """Mean of sensitivity and specificity; NaN if one of the two classes is missing."""
    if not truth.any() or truth.all():
        return math.nan
    return float((predicted[truth].mean() + (~predicted[~truth]).mean()) / 2)


def expected_calibration_error(probabilities: Floats, truth: Bools, bins: int = 15) -> float:
    """Mean |confidence - frequency| over equal-width bins, weighted by size (Guo et al. 2017); NaN for no rows."""
    if not len(truth):
        return math.nan
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    confidence = np.bincount(place, weights=probabilities, minlength=bins)
    frequency = np.bincount(place, weights=truth.astype(float), minlength=bins)
    return float(np.abs(confidence - frequency).sum() / count.sum())


def classifier_figures(logits: Floats, labels: Floats, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Per attribute figures of a classifier on held-out real images.

    ``accuracy`` is at logit 0, which nothing here was fitted to. ``balanced_accuracy``, ``recall``, ``specificity``
    (at the threshold of best balanced accuracy) and ``calibration_error`` are cross-fitted: calibration and threshold
    come from one half of the rows and are measured on the other, both ways round.

    Returns:
        name -> accuracy, majority (of always guessing the commoner value), balanced_accuracy, recall, specificity,
        auc (ROC), calibration_error, positives (count), n.
    """
    from sklearn.metrics import roc_auc_score

    half = np.random.default_rng(0).permutation(len(logits)) % 2 == 0
    probabilities = np.zeros(logits.shape)
    predicted = np.zeros(logits.shape, dtype=bool)
    for fit, use in ((half, ~half), (~half, half)):
        calibration = fit_calibration(logits[fit], labels[fit])
        probabilities[use] = calibration.probabilities(logits[use])
        predicted[use] = probabilities[use] >= calibration.threshold
    figures = {}
    for i, name in enumerate(names):
        known = is_known(labels[:, i])
        truth = labels[known, i] > 0
        both = 0 < truth.sum() < len(truth)
        guess = predicted[known, i]
        figures[name] = {
            "accuracy": _share((logits[known, i] > 0) == truth),
            "majority": max(_share(truth), _share(~truth)),
            "balanced_accuracy": balanced_accuracy(guess, truth),
            "recall": _share(guess[truth]) if both else math.nan,
            "specificity": _share(~guess[~truth]) if both else math.nan,
            "auc": float(roc_auc_score(truth, logits[known, i])) if both else math.nan,
            "calibration_error": expected_calibration_error(probabilities[known, i], truth),
            "positives": int(truth.sum()),
            "n": int(known.sum()),
        }
    return figures


def _share(flags: Bools) -> float:
    """Mean of flags; NaN for none."""
    return float(flags.mean()) if len(flags) else math.nan
