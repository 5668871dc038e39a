"""Error against discard: does a measure of image quality say which comparisons will fail?

The comparisons of the lowest quality are left out step by step, and the error rate of the rest is looked at (Grother
and Tabassi, PAMI 29, 2007; ISO/IEC 29794-1:2024). A measure that predicts errors makes it fall; one that knows nothing
leaves it where it was. The quality of a comparison is that of its worse image.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cfgan.testsets.folder import ATTRIBUTES, Testset
from cfgan.testsets.scores.comparisons import Comparisons, Kind
from cfgan.testsets.scores.rates import Bools, Floats, threshold_at_fnmr, typed
from cfgan.testsets.tables import attribute_columns, attribute_rows

DISCARDS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of the comparisons that are left out."""

AT = 0.1
"""False non-match rate before anything is left out: every system gets the threshold that gives it, so that there are
errors to predict; at an operating point a set of presumed mated pairs may have none."""

_AREA = 0.3  # the area under the curve is taken up to this discard: nobody throws more away
_PREFIX = "quality."


def pair_qualities(testset: Testset) -> dict[str, Floats]:
    """Measure -> the quality of each comparison (n,), that of its worse image; NaN where one of the two is unknown.

    Empty where the table of images has no columns ``quality.*``, and for detection sets.

    Raises:
        FolderError: the table of images cannot be read.
    """
    if not testset.pairs or not (testset.path / ATTRIBUTES).is_file():
        return {}
    titles = attribute_columns(testset.path)
    columns = {title.removeprefix(_PREFIX): k for k, title in enumerate(titles) if title.startswith(_PREFIX)}
    if not columns:
        return {}
    of: dict[str, list[float]] = {}
    for row in attribute_rows(testset.path):
        of[row.file] = [_number(row.cells[k]) for k in columns.values()]
    unknown = [math.nan] * len(columns)
    both = np.asarray([[of.get(pair.a, unknown), of.get(pair.b, unknown)] for pair in testset.pairs]).min(axis=1)
    return {name: both[:, k] for k, name in enumerate(columns)}


def _number(cell: str) -> float:
    try:
        value = float(cell) if cell else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def error_against_discard(comparisons: Comparisons, qualities: dict[str, Floats]) -> list[dict[str, Any]]:
    """The curve of each measure, for each kind of comparison that ought to match.

    Returns:
        For each kind: its threshold, in the system's direction, and ``measures``, the best first: the error rate at
        each of :data:`DISCARDS`, and ``area``, the mean of the rate over discards up to 30 %, as a share of the rate
        before: 1 for a measure that knows nothing; ``ideal`` for one that puts every error first.
    """
    found = []
    for kind in comparisons.kinds:
        rows = comparisons.of(kind) & comparisons.scored
        if not kind.positive or not rows.any():
            continue
        measures = []
        threshold = math.nan
        for name, quality in qualities.items():
            known = rows & np.isfinite(quality)
            if not known.any() or np.ptp(quality[known]) == 0:
                continue
            threshold = typed(threshold_at_fnmr(comparisons.score[rows], AT), comparisons.score[rows])
            measures.append(_measure(name, quality[known], comparisons.score[known] < threshold))
        if measures:
            measures.sort(key=lambda each: (math.isnan(each["area"]), each["area"]))
            found.append(_of_kind(kind, comparisons.own(threshold), measures))
    return found


def _of_kind(kind: Kind, threshold: float, measures: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": kind.key, "error": kind.error, "threshold": threshold, "measures": measures}


def _measure(name: str, quality: Floats, error: Bools) -> dict[str, Any]:
    rates = discard_curve(quality, error)
    n = len(error)
    upto = int(_AREA * n)
    before = float(rates[0])
    ideal = np.maximum(0.0, error.sum() - np.arange(n)) / np.arange(n, 0, -1)
    return {
        "measure": name,
        "n": n,
        "errors": int(error.sum()),
        "discards": list(DISCARDS),
        "rates": [float(rates[min(n - 1, math.floor(share * n + 1e-9))]) for share in DISCARDS],
        "area": float(rates[: upto + 1].mean() / before) if before else math.nan,
        "ideal": float(ideal[: upto + 1].mean() / before) if before else math.nan,
    }


def discard_curve(quality: Floats, error: Bools) -> Floats:
    """The error rate of the rest after 0, 1, ... n - 1 of n comparisons were left out, the worst quality first.

    Comparisons of one quality are left out in an order that no one knows: each counts as their mean.

    Args:
        quality: (n,), finite.
        error: (n,).
    """
    order = np.argsort(quality, kind="stable")
    _, place, count = np.unique(quality[order], return_inverse=True, return_counts=True)
    errors = (np.bincount(place, weights=error[order]) / count)[place]
    rest = errors[::-1].cumsum()[::-1]
    return np.asarray(rest / np.arange(len(error), 0, -1), dtype=np.float64)
