"""DET curves and equal error rates, stratum by stratum.

Where a set holds several strata on purpose, imposters of graded hardness say, nothing is pooled over them: an equal
error rate over as many random as hand-picked imposters is that of a mixture which only the spec of the set has chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cfgan.testsets.scores.comparisons import PRESUMED, Comparisons, Kind
from cfgan.testsets.scores.operating_points import RANDOM
from cfgan.testsets.scores.rates import Bools, Curve, Floats, det_curve, equal_error_rates


@dataclass(frozen=True)
class StratumCurve:
    """The curve of a stratum.

    A stratum that has comparisons of one kind only is set against those of the other kind from all strata, where it has
    no negatives against those of the stratum "random" if there is one.

    Args:
        stratum: its name; empty for all.
        kind: of the positives.
        positives_from, negatives_from: "stratum", "random" or "all".
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
    """Curves of each stratum, and of all comparisons where they are no mixture; presumed mated apart from mated ones.

    Strata without positives of their own are shown against the presumed ones only where there are no others, and not at
    all where every stratum with positives has negatives too: the rest would be a mixture, of changes of capture say.
    """
    scored, negative = comparisons.scored, comparisons.negative
    strata = {name: mask for (family, name), mask in comparisons.parts.items() if family == "stratum"}
    positives = [kind for kind in comparisons.kinds if kind.positive and (comparisons.of(kind) & scored).any()]
    all_negatives = negative & scored
    with_negatives = [name for name, mask in strata.items() if (mask & all_negatives).any()]
    usual, usual_name = all_negatives, "all"
    if RANDOM in with_negatives and not comparisons.detection:
        usual, usual_name = all_negatives & strata[RANDOM], RANDOM
    found = []
    for name, mask in [("", np.ones_like(negative)), *strata.items()]:
        for kind in positives:
            all_positives = comparisons.of(kind) & scored
            with_positives = [each for each, its in strata.items() if (its & all_positives).any()]
            if not name and not comparisons.detection and max(len(with_negatives), len(with_positives)) > 1:
                continue
            own_positives, own_negatives = all_positives & mask, all_negatives & mask
            borrowed = kind == PRESUMED and len(positives) > 1
            borrowed |= len(with_positives) > 1 and set(with_positives) <= set(with_negatives)
            if not all_negatives.any() or not (own_positives.any() or (own_negatives.any() and not borrowed)):
                continue
            mine = own_positives.any(), own_negatives.any()
            used = (own_positives if mine[0] else all_positives) | (own_negatives if mine[1] else usual)
            places = np.flatnonzero(used)
            score, positive = comparisons.score[places], ~negative[places]
            own = "stratum" if name else "all"
            sources = own if mine[0] else "all", own if mine[1] else usual_name
            curve = det_curve(score[positive], score[~positive])
            found.append(StratumCurve(name, kind, sources[0], sources[1], places, positive, score, curve))
    return found
