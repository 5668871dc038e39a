"""What one kind of comparison does to a score, everything else held: contrasts inside groups.

Comparisons of a group share their enrolled face, so what is peculiar to that face takes no part in their difference:
how far a changed attribute moves the score of a person, how far a harder imposter comes nearer than a random one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cfgan.errors import InputError, nearest
from cfgan.testsets.scores.comparisons import Comparisons, Kind
from cfgan.testsets.scores.operating_points import RANDOM
from cfgan.testsets.scores.rates import Floats


@dataclass(frozen=True)
class PairedContrast:
    """One stratum against others, inside the groups that hold both.

    Args:
        kind: of the comparisons on both sides.
        stratum: the one.
        against: the other; empty for all other strata of the kind.
        groups: G.
        there, other: (n,) weights of the comparisons on both sides, each summing to 1 in every group; else 0.
    """

    kind: Kind
    stratum: str
    against: str
    groups: int
    there: Floats
    other: Floats


def paired_contrasts(comparisons: Comparisons, baseline: str | None) -> list[PairedContrast]:
    """Each stratum against a baseline, kind by kind; those that share no group with it are left out.

    Args:
        comparisons: with their groups.
        baseline: a stratum; by default "random" for kinds that have it, else all other strata of the kind.

    Raises:
        InputError: no such stratum.
    """
    strata = {name: mask for (family, name), mask in comparisons.parts.items() if family == "stratum"}
    if baseline is not None and baseline not in strata:
        near = nearest(baseline, strata) or list(strata)[:3]
        raise InputError(f"there is no stratum {baseline!r}.", field="--baseline", value=baseline, nearest=near)
    groups, group = np.unique(np.asarray(comparisons.group, dtype=object).astype(str), return_inverse=True)
    grouped = np.asarray(comparisons.group, dtype=object) != ""
    found = []
    for kind in comparisons.kinds:
        usable = comparisons.of(kind) & comparisons.scored & grouped
        wanted = RANDOM if baseline is None else baseline
        against = wanted if wanted in strata and (strata[wanted] & usable).any() else ""
        for name, mask in strata.items():
            if name == against:
                continue
            there = usable & mask
            other = usable & (strata[against] if against else ~mask)
            counts = [np.bincount(group[side], minlength=len(groups)) for side in (there, other)]
            both = (counts[0] > 0) & (counts[1] > 0)
            if both.any():
                weights = [
                    np.where(side & both[group], 1 / np.maximum(count, 1)[group], 0.0)
                    for side, count in zip((there, other), counts, strict=True)
                ]
                found.append(PairedContrast(kind, name, against, int(both.sum()), *weights))
    return found
