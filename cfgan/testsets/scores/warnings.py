"""What has to be said before any figure: scores the wrong way round, thresholds beyond them, circular figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cfgan.testsets.folder import Testset
from cfgan.testsets.scores.comparisons import Comparisons
from cfgan.testsets.scores.curves import StratumCurve
from cfgan.testsets.scores.operating_points import OperatingPoint
from cfgan.testsets.scores.rates import Floats

CIRCULAR = 0.98
"""Rank correlation with the similarities of the recogniser that chose the pairs from which a system is taken for it."""

_FEW = 20  # scores below which a correlation says nothing


def score_warnings(
    testset: Testset, comparisons: Comparisons, curves: Sequence[StratumCurve], points: Sequence[OperatingPoint]
) -> list[str]:
    """Sentences, the gravest first."""
    return [*_direction(comparisons, curves), *_outside(comparisons, points), *_circular(testset, comparisons)]


def _direction(comparisons: Comparisons, curves: Sequence[StratumCurve]) -> list[str]:
    if not curves or min(curve.curve.eer for curve in curves) <= 0.5:
        return []
    best = min(curve.curve.eer for curve in curves)
    how = "leave --distance out" if comparisons.distance else "are these distances? Then give --distance"
    what = (
        "attacks score lower than bona fide faces"
        if comparisons.detection
        else "mated faces are less alike than others"
    )
    return [f"The equal error rate is {100 * best:.1f} % and more: {what}; {how}. All figures are reversed."]


def _outside(comparisons: Comparisons, points: Sequence[OperatingPoint]) -> list[str]:
    known = comparisons.score[comparisons.scored]
    found = []
    for point in points:
        here = comparisons.own(point.threshold)
        if point.fixed == "threshold" and not known.min() < here <= known.max():
            ends = sorted(comparisons.own(float(end)) for end in (known.min(), known.max()))
            every = "no comparison matches" if here > known.max() else "every comparison matches"
            found.append(
                f"Your threshold {point.threshold:g} lies outside all scores ({ends[0]:g} to {ends[1]:g}): {every}."
            )
    return found


def _circular(testset: Testset, comparisons: Comparisons) -> list[str]:
    if not testset.pairs:
        return []
    sides: dict[str, Floats] = {
        "embedder": np.asarray([np.nan if p.similarity is None else p.similarity for p in testset.pairs]),
        "control": np.asarray([np.nan if p.control is None else p.control for p in testset.pairs]),
    }
    found = []
    for key, similarity in sides.items():
        if (correlation := _rank_correlation(comparisons.score, similarity)) > CIRCULAR:
            about = testset.manifest.get(key)
            name = about.get("name", key) if isinstance(about, dict) else key
            what = (
                f"the recogniser that chose and screened these comparisons ({name}): that it fails on the hardest, and "
                "on none that were screened out, is by construction"
                if key == "embedder"
                else f"the recogniser that controlled them ({name}), which had a say in which changed faces were kept"
            )
            found.append(f"The scores follow those of {what} (rank correlation {correlation:.3f}).")
    return found


def _rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's, over what both know; 0 where that is too little."""
    from scipy.stats import rankdata

    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < _FEW:
        return 0.0
    one, other = (rankdata(values[both]) for values in (first, second))
    if not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
