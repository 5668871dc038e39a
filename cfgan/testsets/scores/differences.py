"""The figures of paired contrasts: mean score, and error rate at each operating point, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgan.testsets.scores.bootstrap import Means, intervals
from cfgan.testsets.scores.comparisons import Comparisons
from cfgan.testsets.scores.operating_points import OperatingPoint
from cfgan.testsets.scores.paired import PairedContrast
from cfgan.testsets.scores.rates import Floats
from cfgan.testsets.scores.rows import FEW


def difference_sides(
    comparisons: Comparisons, points: Sequence[OperatingPoint], contrasts: Sequence[PairedContrast]
) -> tuple[list[Any], list[Any]]:
    """Weights and values of the means that differences are made of: there, other; score, then each point."""
    measured = [comparisons.score, *(point.error for point in points)]
    pairs = [(side, value) for c in contrasts for value in measured for side in (c.there, c.other)]
    return [side for side, _ in pairs], [value for _, value in pairs]


def make_differences(
    comparisons: Comparisons,
    points: Sequence[OperatingPoint],
    contrasts: Sequence[PairedContrast],
    means: Means,
    resampled: Floats,
    start: int,
) -> list[dict[str, Any]]:
    """There minus other, largest difference of scores first; the score in the system's own direction.

    Args:
        comparisons: the scores.
        points: the operating points.
        contrasts: what to compare.
        means: among them, from ``start`` on, those of :func:`difference_sides`.
        resampled: (B, F) of all of them.
        start: where they begin.

    Returns:
        Rows; a difference of error rates that rests on fewer than 10 errors has no interval.
    """
    there, other = slice(start, None, 2), slice(start + 1, None, 2)
    if not contrasts:
        return []
    influence = means.influence
    error = comparisons.subjects.standard_errors(influence[:, there] - influence[:, other])
    found = intervals(means.values[there] - means.values[other], resampled[:, there] - resampled[:, other], error)
    rows: list[dict[str, Any]] = []
    each = 1 + len(points)
    for k, contrast in enumerate(contrasts):
        figures: list[dict[str, Any]] = [
            {"value": float(found.value[j]), "interval": [float(found.low[j]), float(found.high[j])]}
            for j in range(k * each, (k + 1) * each)
        ]
        score = figures[0]
        if comparisons.distance:
            score = {"value": -score["value"], "interval": [-score["interval"][1], -score["interval"][0]]}
        rows.append(
            {
                "kind": contrast.kind.key,
                "stratum": contrast.stratum,
                "against": contrast.against,
                "groups": contrast.groups,
                "score": score,
                "rates": [_rate(p, contrast, f) for p, f in zip(points, figures[1:], strict=True)],
            }
        )
    return sorted(rows, key=lambda row: -abs(row["score"]["value"]))


def _rate(point: OperatingPoint, contrast: PairedContrast, figure: dict[str, Any]) -> dict[str, Any]:
    errors = [int((point.error & (side > 0)).sum()) for side in (contrast.there, contrast.other)]
    interval = figure["interval"] if sum(errors) >= FEW else [np.nan, np.nan]
    return {"point": point.name, "errors": errors, "value": figure["value"], "interval": interval}
