"""Thresholds and probabilities learnt on a user's own labelled images, where those that a bundle ships do not fit.

What a classifier is sure of moves with the camera, the crop and the people; which of two images is surer moves much
less. So a few labelled images, some ten of each value, are enough to find the threshold again, and too few to learn
more. Per attribute two numbers are fitted on the logit of the bundle's own probability, the slope held near 1 (Platt
1999; temperature scaling, Guo et al. 2017), and the threshold is where both values would be equally likely if they
were equally common.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.table import LabelTable
from cfgan.errors import DataError, InputError
from cfgan.io.files import read_json_object
from cfgan.io.folders import starts_with
from cfgan.io.outputs import OutputFile
from cfgan.io.seal import sealed
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import Calibration, balanced_accuracy
from cfgan.verify.images import Columns, Readings
from cfgan.verify.labelled_readings import LabelledReadings

FORMAT = "cfgan-calibration/1"

LEAST = 10
"""Images of each value that an attribute must have."""
FEW = 25
"""Images of a value under which a threshold is rough."""

TOO_FEW, NO_BETTER = "too few images of a value", "no better than as shipped"
"""Why an attribute stays as the bundle has it."""

_START = json.dumps({"format": FORMAT}, indent=2)[:-2].encode()  # how a file begins
_SLOPE = 4.0  # weight of the squared logarithm of the slope against the loss of so many images
_FOLDS = 5
_EDGE = 1e-6  # probabilities nearer to 0 or 1 are taken for so near

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fitted:
    """One attribute: p = sigmoid(slope * logit(p of the bundle) + intercept), seen from ``threshold`` on.

    Args:
        images, positives: that it was learnt on.
        before, after: balanced accuracy on them, as shipped, and with what was learnt on the others (five folds).
    """

    slope: float
    intercept: float
    threshold: float
    images: int
    positives: int
    before: float
    after: float

    @property
    def is_rough(self) -> bool:
        """Whether more labels would move the threshold much."""
        return min(self.positives, self.images - self.positives) < FEW


@dataclass(frozen=True)
class UserCalibration:
    """What was learnt for one reader of one bundle.

    Args:
        bundle: its digest.
        reader: "verifier" or "judge".
        framing: how the images were made square: "align", or the crop.
        attributes: name -> what was fitted.
        left: name -> why it stays as shipped.
    """

    bundle: str
    reader: str
    framing: str
    attributes: Mapping[str, Fitted]
    left: Mapping[str, str] = field(default_factory=dict)

    def applied(self, calibration: Calibration, vocabulary: Vocabulary) -> Calibration:
        """The bundle's calibration with what was learnt in its place; generated faces are gated as before."""
        slope, intercept = calibration.slope.copy(), calibration.intercept.copy()
        threshold = calibration.threshold.copy()
        for name, fitted in self.attributes.items():
            k = vocabulary.index(name)
            slope[k] *= fitted.slope
            intercept[k] = fitted.slope * intercept[k] + fitted.intercept
            threshold[k] = fitted.threshold
        return replace(calibration, slope=slope, intercept=intercept, threshold=threshold)

    def require(self, bundle: Bundle, reader: str, framing: str, *, path: Path) -> None:
        """Raise InputError unless it was learnt for this reader of this bundle, on images framed in this way."""
        for what, mine, wanted in (
            ("for another bundle than", self.bundle, bundle.digest),
            (f"for the {self.reader}, not", self.reader, reader),
            (f"with {_option(self.framing)}, not", self.framing, framing),
        ):
            if mine != wanted:
                shown = {bundle.digest: bundle.name, framing: _option(framing)}.get(wanted, f"the {wanted}")
                raise InputError(f"{path.name} was learnt {what} {shown}.", field="--calibration", value=path)

    def to_bytes(self) -> bytes:
        """The file's content."""
        fields = ("slope", "intercept", "threshold", "before", "after")
        attributes = {
            name: {
                **{key: round(float(getattr(fitted, key)), 6) for key in fields},
                "images": fitted.images,
                "positives": fitted.positives,
            }
            for name, fitted in self.attributes.items()
        }
        about = {"format": FORMAT, "bundle": self.bundle, "reader": self.reader, "framing": self.framing}
        whole = sealed({**about, "attributes": attributes, "left": dict(self.left)})
        return (json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _option(framing: str) -> str:
    return "--align" if framing == "align" else f"--crop {framing}"


def calibration_file(path: Path, *, force: bool = False) -> OutputFile:
    """A file that a calibration may be written to. Raises InputError as :class:`~cfgan.io.outputs.OutputFile`."""
    return OutputFile(path, lambda found: starts_with(found, _START), force=force, field="--calibration")


def read_user_calibration(path: Path, vocabulary: Vocabulary) -> UserCalibration:
    """Read a file that :meth:`UserCalibration.to_bytes` made.

    Raises:
        InputError: missing, of another kind, changed since, or of attributes that the vocabulary does not have.
    """
    try:
        data = read_json_object(path)
        if data.get("format") != FORMAT:
            raise ValueError(f"{path.name} has format {data.get('format')!r}, not {FORMAT}")
        attributes = {str(name): Fitted(**values) for name, values in data["attributes"].items()}
        for name, fitted in attributes.items():
            figures = (fitted.slope, fitted.intercept, fitted.threshold)
            if vocabulary.canonical(name) != name or not np.isfinite(figures).all() or fitted.slope <= 0:
                raise ValueError(f"{path.name}: {name} does not validate")
        return UserCalibration(
            str(data["bundle"]), str(data["reader"]), str(data["framing"]), attributes, dict(data["left"])
        )
    except InputError as error:
        raise InputError(f"{path.name}: {error}", field="--calibration", value=path) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: {error}.", field="--calibration", value=path) from None


class CalibrationFit:
    """Collects readings of labelled images and learns from them; a sink of :func:`~cfgan.verify.images.verify_images`.

    Args:
        bundle: whose reader reads, as shipped.
        columns: what is read; only attributes that are among the labels too are learnt.
        labels: what is known.
        files: names of all images, in order.
        framing: how they are made square.

    Raises:
        DataError: labels and images do not fit together; see :meth:`cfgan.data.table.LabelTable.match`.
        InputError: no attribute is both read and labelled, or the labels are requests.
    """

    def __init__(
        self, bundle: Bundle, columns: Columns, labels: LabelTable, files: Sequence[str], framing: str
    ) -> None:
        known = labels.vocabulary.names
        self.names = tuple(name for name in columns.names if name in known)
        if not self.names or labels.requested:
            what = "says what was asked for, not what is there" if labels.requested else "has no attribute that is read"
            raise InputError(f"{labels.path.name} {what}.", field="--calibrate", value=labels.path)
        self._bundle, self._columns, self._framing = bundle, columns, framing
        rows = labels.match(files, field="--calibrate").rows
        self._labels = labels.labels[:, [known.index(name) for name in self.names]]
        self._places = [columns.names.index(name) for name in self.names]
        self._read = LabelledReadings(rows, self._places)

    def add(self, readings: Readings) -> None:
        self._read.add(readings)

    def learnt(self) -> UserCalibration:
        """What the images so far say. Raises DataError where no attribute has enough of them."""
        labels, probability = self._labels[self._read.rows], self._read.probability
        found: dict[str, Fitted] = {}
        left: dict[str, str] = {}
        for k, name in enumerate(self.names):
            p = probability[:, k].astype(np.float64)
            known = np.isfinite(labels[:, k]) & (labels[:, k] != 0)
            truth = labels[known, k] > 0
            if min(truth.sum(), (~truth).sum()) < LEAST:
                left[name] = TOO_FEW
                continue
            fitted = fit(p[known], truth, float(self._columns.threshold[self._places[k]]))
            if fitted.after < fitted.before:
                left[name] = NO_BETTER
            else:
                found[name] = fitted
        if not found and NO_BETTER not in left.values():
            raise DataError(
                f"no attribute has {LEAST} labelled images of each value among the {len(labels):,} that could be read.",
                field="--calibrate",
            )
        return UserCalibration(self._bundle.digest, self._columns.reader, self._framing, found, left)


def fit(probability: Floats, truth: Bools, threshold: float) -> Fitted:
    """Learn one attribute.

    Args:
        probability: (n,), the bundle's.
        truth: (n,), both values among them.
        threshold: the bundle's.
    """
    p = np.clip(probability, _EDGE, 1 - _EDGE)
    logit = np.log(p) - np.log1p(-p)
    # Which fold an image is in goes by its rank within its value, so that each fold has some of both.
    fold = np.zeros(len(truth), np.int64)
    for value in (True, False):
        places = np.flatnonzero(truth == value)
        fold[places] = np.random.default_rng(0).permutation(len(places)) % _FOLDS
    seen = np.zeros(len(truth), bool)
    for k in range(_FOLDS):
        seen[fold == k] = logit[fold == k] >= _boundary(logit[fold != k], truth[fold != k])
    slope, intercept = _line(logit, truth, np.ones(len(truth)))
    found = 1 / (1 + np.exp(-np.clip(slope * _boundary(logit, truth) + intercept, -60, 60)))
    return Fitted(
        slope,
        intercept,
        float(np.clip(found, _EDGE, 1 - _EDGE)),
        len(truth),
        int(truth.sum()),
        balanced_accuracy(probability >= threshold, truth),
        balanced_accuracy(seen, truth),
    )


def _boundary(logit: Floats, truth: Bools) -> float:
    """The logit at which both values are equally likely where they are equally common.

    Of a fitted line, not the best of all cuts: that one is as good as it gets on these images, and worse on others.
    """
    weights = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum()) * len(truth)
    slope, intercept = _line(logit, truth, weights)
    return -intercept / slope


def _line(logit: Floats, truth: Bools, weights: Floats) -> tuple[float, float]:
    """Slope, above 0 and near 1, and intercept of least weighted log loss."""
    from scipy.optimize import minimize

    sign = np.where(truth, 1.0, -1.0)

    def loss(values: Floats) -> tuple[float, Floats]:
        slope = np.exp(values[0])
        margin = -sign * (slope * logit + values[1])
        pull = weights * sign / (1 + np.exp(-np.clip(margin, -60, 60)))
        total = float(weights @ np.logaddexp(0, margin)) + _SLOPE * values[0] ** 2
        return total, np.asarray([-(pull @ logit) * slope + 2 * _SLOPE * values[0], -pull.sum()])

    best = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=((-4, 4), (-60, 60)))
    return float(np.exp(best.x[0])), float(best.x[1])
