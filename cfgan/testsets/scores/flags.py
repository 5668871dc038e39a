"""Which kinds of comparison have another error rate than the rest, with a stated chance of saying so wrongly.

A stratum is compared with all other comparisons of its kind. An attribute value is compared inside strata, with those
of the same stratum that have it not, wherever strata hold both (Mantel and Haenszel, Journal of the National Cancer
Institute 22, 1959): else every value that hard strata have in common would seem to be what makes them hard. Two tests
are made, and the larger p-value counts:

- Fisher's exact test (over strata: its exact conditional extension, Gart, Biometrika 57, 1970), which holds for however
  few errors, but takes comparisons for independent;
- the difference of both rates over its dyadic cluster-robust standard error, which holds for comparisons that share
  subjects, but needs errors: it is taken to be no smaller than the binomial error, and for a rate below the rest's no
  smaller than that times how much sharing inflates the error of the rate over all.

Holm's correction ("A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6,
1979) then keeps the chance that anything at all is flagged in a system without a difference at the stated rate. Both
tests together are on the safe side of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.testsets.scores.bootstrap import Subjects
from cfgan.testsets.scores.rates import Bools, Floats

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AgainstRest:
    """The rate of errors in some comparisons against that in the rest.

    Args:
        rest: error rate in those it is compared with; NaN where there are none.
        gap: error rate minus ``rest``, over the same strata.
        p: two-sided; NaN where there are no others.
        in_strata: whether it was compared inside strata.
    """

    rest: float = math.nan
    gap: float = math.nan
    p: float = math.nan
    in_strata: bool = False


@dataclass(frozen=True)
class _Layers:
    """A part and its rest, stratum by stratum; one stratum where nothing is stratified. Arrays (S,)."""

    size: Floats
    size_all: Floats
    hits: Floats
    hits_all: Floats

    @classmethod
    def of(cls, part: Bools, of: Bools, wrong: Floats, label: Labels) -> _Layers:
        count = int(label.max()) + 1
        inside = part & of

        def counts(mask: Bools, weights: Floats | None = None) -> Floats:
            weight = None if weights is None else weights[mask]
            return np.bincount(label[mask], weight, minlength=count).astype(np.float64)

        return cls(counts(inside), counts(of), counts(inside, wrong), counts(of, wrong))

    @property
    def both(self) -> Bools:
        """Strata in which there is something to compare."""
        result: Bools = (self.size > 0) & (self.size_all > self.size)
        return result


def against_rest(
    error: Bools, parts: Sequence[Bools], of: Bools, subjects: Subjects, label: Labels | None = None
) -> list[AgainstRest]:
    """Test every part of a population against the rest of it.

    Args:
        error: (n,) whether a comparison was decided wrongly.
        parts: R masks (n,).
        of: mask (n,), the population.
        subjects: of the comparisons.
        label: (n,) number of the stratum inside which to compare where strata hold both; None: never.
    """
    if not of.any():
        return [AgainstRest() for _ in parts]
    wrong = (error & of).astype(np.float64)
    one = np.zeros(len(error), dtype=np.int64)
    inflation = {False: _inflation(wrong, of, subjects, one)}
    if label is not None:
        inflation[True] = _inflation(wrong, of, subjects, label)
    found = []
    for part in parts:
        stratified = label is not None
        layers = _Layers.of(part, of, wrong, one if label is None else label)
        if label is not None and not layers.both.any():
            stratified, layers = False, _Layers.of(part, of, wrong, one)
        if not layers.both.any():
            found.append(AgainstRest())
            continue
        labels = label if stratified and label is not None else one
        found.append(_compare(layers, part, of, wrong, labels, subjects, inflation[stratified], stratified))
    return found


def _compare(
    layers: _Layers,
    part: Bools,
    of: Bools,
    wrong: Floats,
    label: Labels,
    subjects: Subjects,
    inflation: float,
    stratified: bool,
) -> AgainstRest:
    from scipy.stats import norm

    both = layers.both
    size, rest = np.where(both, layers.size, 1), np.where(both, layers.size_all - layers.size, 1)
    weight = np.where(both, size * rest / (size + rest), 0.0)
    weight = weight / weight.sum()
    others = weight @ ((layers.hits_all - layers.hits) / rest)
    gap = float(weight @ (layers.hits / size) - others)
    pooled = layers.hits_all / np.maximum(layers.size_all, 1)
    # A part with few errors shows little of how they cluster: then the clusters of all others speak for it.
    least = (inflation if gap < 0 else 1.0) * float(weight**2 @ (pooled * (1 - pooled) * (1 / size + 1 / rest)))
    contrast = np.where(part, (weight / size)[label], -(weight / rest)[label]) * of
    robust = float(subjects.standard_errors((contrast * (wrong - pooled[label]))[:, None])[0])
    spread = max(robust, math.sqrt(least))
    normal = 2 * float(norm.sf(abs(gap) / spread)) if spread > 0 else 1.0
    return AgainstRest(float(others), gap, min(1.0, max(normal, _exact(layers))), stratified)


def _exact(layers: _Layers) -> float:
    """Two-sided p of the errors in the part, given all margins of every stratum: twice the smaller tail."""
    from scipy.stats import hypergeom

    chance, lowest = np.ones(1), 0
    for k in np.flatnonzero(layers.both):
        n, size, hits = (int(values[k]) for values in (layers.size_all, layers.size, layers.hits_all))
        least, most = max(0, hits - (n - size)), min(hits, size)
        chance = np.convolve(chance, hypergeom.pmf(np.arange(least, most + 1), n, hits, size))
        lowest += least
    seen = int(layers.hits[layers.both].sum()) - lowest
    return float(2 * min(chance[: seen + 1].sum(), chance[seen:].sum()))


def _inflation(wrong: Floats, of: Bools, subjects: Subjects, label: Labels) -> float:
    """How many times larger shared subjects make the variance of the rate over all; at least 1."""
    layers = _Layers.of(of, of, wrong, label)
    pooled = layers.hits_all / np.maximum(layers.size_all, 1)
    binomial = float((layers.size_all * pooled * (1 - pooled)).sum())
    if not binomial:
        return 1.0
    return max(1.0, float(subjects.standard_errors(((wrong - pooled[label]) * of)[:, None])[0]) ** 2 / binomial)


def inflation(error: Bools, of: Bools, subjects: Subjects, label: Labels) -> float:
    """How many times larger shared subjects make the variance of an error rate inside strata; at least 1.

    Args:
        error: (n,) whether a comparison was decided wrongly.
        of: (n,) the comparisons that the rate is over.
        subjects: of the comparisons.
        label: (n,) number of the stratum of each.
    """
    return _inflation((error & of).astype(np.float64), of, subjects, label)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; NaNs are no tests and stay."""
    values: Floats = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(values), math.nan)
    order = [k for k in np.argsort(values, kind="stable") if not math.isnan(values[k])]
    highest = 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * float(values[k])))
        adjusted[k] = highest
    return [float(value) for value in adjusted]
