"""Thresholds at which a system is looked at: the user's own, and those of fixed error rates.

A threshold that was chosen on the comparisons on which it is then measured makes a system look better than it is. So
for each fold, in which no subject of another fold stands, the threshold is chosen on the other folds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cfgan.errors import InputError, nearest
from cfgan.testsets.scores.comparisons import Comparisons
from cfgan.testsets.scores.rates import Bools, Floats, threshold_at_fmr, threshold_at_fnmr, typed

RANDOM = "random"
"""The stratum that thresholds come from where there is one: pairs that nobody chose for being hard."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, or one a fold.

    Args:
        name: such as "FMR 1 %".
        fixed: "FMR", "BPCER" or "APCER", the error rate that is held; "threshold" for the user's own.
        target: that error rate; NaN for the user's own threshold.
        threshold: over all folds; what a person would set.
        by_fold: fold -> threshold chosen on the other folds; empty if ``threshold`` is used for all.
        supported: whether the comparisons are enough for the target, or for the rate seen at the user's own threshold;
            see :func:`smallest_rate`.
        error: (n,) whether the decision on a comparison is wrong; False without a score.
        plain: (n,) the same where ``threshold`` is used for all.
    """

    name: str
    fixed: Literal["threshold", "FMR", "BPCER", "APCER"]
    target: float
    threshold: float
    by_fold: dict[int, float]
    supported: bool
    error: Bools
    plain: Bools


@dataclass(frozen=True)
class Reference:
    """The comparisons that thresholds of fixed error rates are chosen on.

    Args:
        stratum: its name; empty for all strata.
        mask: (n,).
        independent: how many of them share no subject.
    """

    stratum: str
    mask: Bools
    independent: int


def choose_reference(comparisons: Comparisons, stratum: str | None, *, positive: bool = False) -> Reference:
    """The scored negatives (or positives) of a stratum; by default of "random" where it is there, else of all.

    Raises:
        InputError: no such stratum, or nothing with a score in it.
    """
    side = comparisons.scored & (comparisons.negative != positive)
    strata = {name: mask for (family, name), mask in comparisons.parts.items() if family == "stratum"}
    if stratum is None:
        usual = RANDOM in strata and not comparisons.detection and bool((strata[RANDOM] & side).any())
        stratum = RANDOM if usual else ""
    elif stratum not in strata:
        near = nearest(stratum, strata) or list(strata)[:3]
        raise InputError(f"there is no stratum {stratum!r}.", field="--threshold-from", value=stratum, nearest=near)
    mask = strata[stratum] & side if stratum else side
    if stratum and not mask.any():
        if comparisons.detection:
            what = "attack" if positive else "bona fide presentation"
        else:
            what = "mated comparison" if positive else "non-mated comparison"
        raise InputError(f"{stratum!r} has no {what} with a score.", field="--threshold-from", value=stratum)
    return Reference(stratum, mask, comparisons.subjects.independent(mask))


def smallest_rate(independent: int) -> float:
    """The smallest error rate that can be shown with that many independent comparisons: the rule of three.

    With no error among n the 95 % upper bound is 3 / n (Jovanovic and Levy 1997; ISO/IEC 19795-1, B.1.1). NaN for none.
    """
    return min(1.0, 3 / independent) if independent else math.nan


def rule_of_thirty(independent: int) -> float:
    """The smallest error rate that can be told to within 30 % of itself, with 90 % confidence: 30 errors are needed.

    Doddington et al., "The NIST speaker recognition evaluation", Speech Communication 31, 2000. NaN for none.
    """
    return min(1.0, 30 / independent) if independent else math.nan


def at_threshold(comparisons: Comparisons, threshold: float, reference: Reference | None = None) -> OperatingPoint:
    """The user's own threshold, in the system's direction.

    Args:
        comparisons: the scores.
        threshold: finite.
        reference: negatives on which to tell whether there are enough for the rate that is seen there.
    """
    error = _errors(comparisons, np.full(len(comparisons.names), comparisons.own(threshold)))
    mask = reference.mask if reference else ~comparisons.negative & comparisons.scored
    independent = reference.independent if reference else comparisons.subjects.independent(mask)
    supported = bool(mask.any()) and float(error[mask].mean()) >= smallest_rate(independent)
    return OperatingPoint("your threshold", "threshold", math.nan, threshold, {}, supported, error, error)


def at_rates(
    comparisons: Comparisons,
    reference: Reference,
    targets: Sequence[float],
    *,
    positive: bool = False,
) -> list[OperatingPoint]:
    """Points of fixed error rates: of false matches, or of false non-matches if ``positive``.

    The threshold of a fold is the lowest (highest) at which the error rate on the reference comparisons of all other
    folds is at most the target. If they all lie in one fold, that one threshold is used throughout, and ``by_fold`` is
    empty.

    Args:
        comparisons: the scores.
        reference: what to choose on; of positives if ``positive``.
        targets: error rates, 0..1.
        positive: hold the error rate of positives.
    """
    choose = threshold_at_fnmr if positive else threshold_at_fmr
    kind = next(kind for kind in comparisons.kinds if kind.positive == positive)
    points = []
    for target in targets:
        whole = typed(choose(comparisons.score[reference.mask], target), comparisons.score)
        chosen: dict[int, float] = {}
        if len(np.unique(comparisons.fold[reference.mask])) > 1:
            for fold in np.unique(comparisons.fold).tolist():
                found = choose(comparisons.score[reference.mask & (comparisons.fold != fold)], target)
                chosen[fold] = typed(found, comparisons.score)
        thresholds = np.asarray([chosen.get(fold, whole) for fold in comparisons.fold.tolist()], dtype=np.float64)
        points.append(
            OperatingPoint(
                name=f"{kind.error} {100 * target:g} %",
                fixed=kind.error,  # type: ignore[arg-type]
                target=target,
                threshold=comparisons.own(whole),
                by_fold={fold: comparisons.own(value) for fold, value in chosen.items()},
                supported=bool(target >= smallest_rate(reference.independent)),
                error=_errors(comparisons, thresholds),
                plain=_errors(comparisons, np.full(len(comparisons.names), whole)),
            )
        )
    return points


def _errors(comparisons: Comparisons, threshold: Floats) -> Bools:
    matches = comparisons.score >= threshold  # False without a score
    error: Bools = (matches == comparisons.negative) & comparisons.scored
    return error
