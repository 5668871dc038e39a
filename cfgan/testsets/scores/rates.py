"""Error rates over scores: at a threshold, over all thresholds, and where both errors are equal.

Scores say how much alike two faces are (or how much an attack a face looks); a comparison is a *match* at threshold t
if its score is t or more. Of *negatives* (non-mated comparisons, bona fide faces) matches are errors, the false match
rate; of *positives* (mated comparisons, attacks) the others are, the false non-match rate (ISO/IEC 19795-1:2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_ROUNDING = 1e-9  # 0.29 x 100 is 28.999...: twenty-nine errors of a hundred are allowed at 29 %


def false_match_rate(negatives: Floats, threshold: float) -> float:
    """Share of ``negatives`` at or above the threshold; NaN where there are none."""
    return float((negatives >= threshold).mean()) if len(negatives) else math.nan


def false_non_match_rate(positives: Floats, threshold: float) -> float:
    """Share of ``positives`` below the threshold; NaN where there are none."""
    return float((positives < threshold).mean()) if len(positives) else math.nan


def threshold_at_fmr(negatives: Floats, target: float) -> float:
    """The lowest threshold at which the false match rate is at most ``target``.

    Args:
        negatives: (n,), n at least 1.
        target: 0..1; 1 not included.
    """
    allowed = math.floor(target * len(negatives) + _ROUNDING)
    first_refused = np.partition(negatives, len(negatives) - 1 - allowed)[len(negatives) - 1 - allowed]
    return float(np.nextafter(first_refused, math.inf))


def threshold_at_fnmr(positives: Floats, target: float) -> float:
    """The highest threshold at which the false non-match rate is at most ``target``; as :func:`threshold_at_fmr`."""
    allowed = math.floor(target * len(positives) + _ROUNDING)
    return float(np.partition(positives, allowed)[allowed])


def typed(threshold: float, scores: Floats) -> float:
    """The shortest decimal number that decides every one of some scores as a threshold does.

    So a threshold that is printed and typed in again gives the same rates: 51 for 50.00000000000001 among scores in
    steps of five.

    Args:
        threshold: finite.
        scores: (n,); NaN is no score.
    """
    known = scores[np.isfinite(scores)]
    below, above = known[known < threshold], known[known >= threshold]
    if not len(below):
        return threshold
    low = float(below.max())
    high = float(above.min()) if len(above) else math.inf
    for digits in range(1, 17):
        found = _ceiling(low, digits)
        if low < found <= high:
            return found
    return threshold


def _ceiling(value: float, digits: int) -> float:
    """The lowest number of some significant digits above a value."""
    exact = Decimal(value)
    step = Decimal(10) ** ((exact.adjusted() if exact else 0) - digits + 1)
    rounded = (exact / step).to_integral_value(ROUND_FLOOR) * step + step
    return float(rounded)


@dataclass(frozen=True)
class Curve:
    """Both error rates at every threshold at which one of them changes (a DET curve, Martin et al. 1997).

    Args:
        threshold: (k,) rising; the last is infinite.
        fmr: (k,), falling from 1 to 0.
        fnmr: (k,), rising from 0 to 1.
    """

    threshold: Floats
    fmr: Floats
    fnmr: Floats

    @property
    def eer(self) -> float:
        """The equal error rate, see :func:`equal_error_rates`."""
        return _crossing(self.fmr, self.fnmr)

    def thinned(self, most: int) -> list[dict[str, Any]]:
        """At most ``most`` corners for a plot, evenly along the curve as a DET plot draws it, on normal deviates; the
        first and the last are among them."""
        from scipy.special import ndtri

        smallest = 0.5 * min((rate[rate > 0].min() for rate in (self.fmr, self.fnmr) if (rate > 0).any()), default=1.0)
        x, y = (ndtri(np.clip(rate, smallest, 1 - smallest)) for rate in (self.fmr, self.fnmr))
        along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        keep = np.searchsorted(along, np.linspace(0, along[-1], most))
        keep = np.unique(np.clip([0, *keep.tolist()[1:-1], len(along) - 1], 0, len(along) - 1))
        return [
            {"threshold": t if math.isfinite(t) else None, "fmr": fmr, "fnmr": fnmr}
            for t, fmr, fnmr in zip(
                self.threshold[keep].tolist(), self.fmr[keep].tolist(), self.fnmr[keep].tolist(), strict=True
            )
        ]


def det_curve(positives: Floats, negatives: Floats) -> Curve:
    """The curve of both error rates, exact; neither may be empty."""
    threshold = np.append(np.unique(np.concatenate([positives, negatives])), math.inf)
    below = np.searchsorted(np.sort(positives), threshold, side="left")
    rejected = np.searchsorted(np.sort(negatives), threshold, side="left")
    return Curve(threshold, 1 - rejected / len(negatives), below / len(positives))


def equal_error_rates(score: Floats, positive: Bools, weights: Floats) -> Floats:
    """Equal error rates of weighted comparisons: where FMR and FNMR cross, straight lines between their steps.

    Args:
        score: (n,).
        positive: (n,).
        weights: (B, n), at least 0: one row a resample.

    Returns:
        (B,); NaN where all positives or all negatives have weight 0.
    """
    order = np.argsort(score, kind="stable")
    ordered, negative = score[order], ~positive[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)  # of each run of equal scores
    drawn = weights[:, order]
    of_negatives = drawn @ negative.astype(np.float64)
    of_positives = drawn.sum(axis=1) - of_negatives
    found = np.full(len(weights), math.nan)
    for row in np.flatnonzero((of_negatives > 0) & (of_positives > 0)):
        # FNMR - FMR just above each score, plus 1: one running sum instead of two takes half the time.
        gap = np.cumsum(drawn[row] * np.where(negative, 1 / of_negatives[row], 1 / of_positives[row]))[last]
        after = int(np.searchsorted(gap, 1 - _ROUNDING))
        ends = [0, *(last[max(after - 1, 0) : after + 1] + 1)][-2:]
        refused = np.cumsum([drawn[row, a:b] @ negative[a:b] for a, b in zip([0, *ends], ends, strict=False)])
        fmr = 1 - refused / of_negatives[row]
        left, right = [-1.0, *(gap[max(after - 1, 0) : after + 1] - 1)][-2:]
        found[row] = _between(fmr[0], fmr[1], left, right)
    return found


def _crossing(fmr: Floats, fnmr: Floats) -> float:
    """Where fmr (k,), falling from 1, meets fnmr (k,), rising from 0."""
    after = int(np.argmax(fnmr >= fmr))
    before = max(after - 1, 0)
    return _between(fmr[before], fmr[after], fnmr[before] - fmr[before], fnmr[after] - fmr[after])


def _between(before: float, after: float, left: float, right: float) -> float:
    """The rate where a gap that goes from ``left`` to ``right`` is 0, on a straight line."""
    rate = before + (after - before) * (-left / (right - left) if right > left else 0.0)
    return min(max(float(rate), 0.0), 1.0)  # rounding
