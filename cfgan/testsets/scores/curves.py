"""DET curves and equal error rates, over all comparisons and stratum by stratum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cfgan.testsets.scores.comparisons import PRESUMED, Comparisons, Kind
from cfgan.testsets.scores.rates import Bools, Curve, Floats, det_curve, equal_error_rates


@dataclass(frozen=True)
class StratumCurve:
    """The curve of a stratum.

    A stratum that has comparisons of one kind only is set against those of the other kind from all strata.

    Args:
        stratum: its name; empty for all.
        kind: of the positives.
        positives_from, negatives_from: "stratum" or "all".
        places: (k,) of the comparisons.
        positive: (k,).
        score: (k,).
        curve: both error rates.
    """

    stratum: str
    kind: Kind
    positives_from: str
    negatives_from: str
    places: np.ndarray[tuple[int], np.dtype[np.int64]]
    positive: Bools
    score: Floats
    curve: Curve

    def resampled(self, weights: Floats) -> Floats:
        """Equal error rates (B,) under weights (B, n) of all comparisons."""
        return equal_error_rates(self.score, self.positive, weights[:, self.places])


def score_curves(comparisons: Comparisons) -> list[StratumCurve]:
    """Curves of all comparisons and of each stratum; of presumed mated ones apart from mated ones.

    Strata without positives of their own are shown against the presumed ones only where there are no others.
    """
    scored, negative = comparisons.scored, comparisons.negative
    parts = [(name, mask) for (family, name), mask in comparisons.parts.items() if family in ("all", "stratum")]
    positives = [kind for kind in comparisons.kinds if kind.positive and (comparisons.of(kind) & scored).any()]
    found = []
    for name, mask in parts:
        for kind in positives:
            all_positives, all_negatives = comparisons.of(kind) & scored, negative & scored
            own_positives, own_negatives = all_positives & mask, all_negatives & mask
            borrowed = kind == PRESUMED and len(positives) > 1
            if not all_negatives.any() or not (own_positives.any() or (own_negatives.any() and not borrowed)):
                continue
            mine = own_positives.any(), own_negatives.any()
            used = (own_positives if mine[0] else all_positives) | (own_negatives if mine[1] else all_negatives)
            places = np.flatnonzero(used)
            score, positive = comparisons.score[places], ~negative[places]
            sources = ["stratum" if own and name else "all" for own in mine]
            curve = det_curve(score[positive], score[~positive])
            found.append(StratumCurve(name, kind, sources[0], sources[1], places, positive, score, curve))
    return found
