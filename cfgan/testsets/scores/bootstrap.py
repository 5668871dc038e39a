"""How sure a figure over comparisons is, when comparisons share people.

Two comparisons that show the same subject are not independent: a face that is like many others makes many false
matches. So subjects are drawn again, not comparisons: in a resample a comparison counts as often as the product of the
times that its two subjects were drawn (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007; for
biometrics, the subsets bootstrap of Bolle, Ratha and Pankanti, CVIU 93, 2004, and Poh and Bengio, ICASSP 2007).

That product is known to overstate the noise that belongs to a single comparison: up to threefold in variance where no
two comparisons share a subject. Where the figure is a mean, or a difference of means, the distances of the resampled
values from the estimate are therefore scaled so that their spread is the dyadic cluster-robust standard error (Aronow,
Samii and Assenova, Political Analysis 23, 2015), which counts each shared subject once; never widened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.testsets.scores.rates import Bools, Floats

_CHUNK = 50  # resamples held at a time: 10,000 comparisons need 4 MB of weights
_QUANTILES = (0.025, 0.975)


class Subjects:
    """Which subjects stand in which of n comparisons.

    Args:
        first, second: n names of subjects; the same twice where a comparison has one subject, as mated ones have.
    """

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        from scipy import sparse

        names, both = np.unique(np.asarray([*first, *second], dtype=object).astype(str), return_inverse=True)
        self.count, n = len(names), len(first)
        self.first, self.second = both[:n].astype(np.int64), both[n:].astype(np.int64)
        self.single: Bools = self.first == self.second
        once, rows = np.ones(n), np.arange(n)
        two = ~self.single
        self._incidence = sparse.csr_array(
            (np.append(once, once[two]), (np.append(self.first, self.second[two]), np.append(rows, rows[two]))),
            shape=(self.count, n),
        )
        low, high = np.minimum(self.first, self.second)[two], np.maximum(self.first, self.second)[two]
        cells, cell = np.unique(low * self.count + high, return_inverse=True)
        self._couples = sparse.csr_array((once[two], (cell, rows[two])), shape=(len(cells), n))

    def weights(self, resamples: int, seed: int) -> Iterator[Floats]:
        """How often each comparison counts in each resample, as arrays (up to 50, n); ``resamples`` rows in all."""
        rng = np.random.default_rng(seed)
        for start in range(0, resamples, _CHUNK):
            rows = min(_CHUNK, resamples - start)
            drawn = rng.integers(0, self.count, (rows, self.count)) + self.count * np.arange(rows)[:, None]
            times = np.bincount(drawn.ravel(), minlength=rows * self.count).reshape(rows, self.count).astype(float)
            yield times[:, self.first] * np.where(self.single, 1.0, times[:, self.second])

    def standard_errors(self, influence: Any) -> Floats:
        """Dyadic cluster-robust standard errors of sums.

        Args:
            influence: (n, F), dense or sparse: what each comparison adds to the error of each of F figures.

        Returns:
            (F,): the square root of the sum, over all two comparisons that share a subject, of their products, with the
            usual factor for few subjects. Where that sum is not positive, which the estimator does not exclude, those
            that share both subjects are counted twice, which is always positive.
        """
        by_subject, by_couple = self._incidence @ influence, self._couples @ influence
        twice = _squares(by_subject)
        variance = twice - _squares(by_couple)
        involved = _counts(by_subject)
        correction = involved / np.maximum(involved - 1, 1)
        result: Floats = np.sqrt(np.where(variance > 1e-9 * twice, variance, twice) * correction)
        return result

    def involved(self, mask: Bools) -> int:
        """How many subjects stand in the comparisons of a mask."""
        return len(np.unique(np.append(self.first[mask], self.second[mask])))

    def independent(self, mask: Bools) -> int:
        """How many comparisons of a mask can be found of which no two share a subject.

        Taken one by one, those of the least used subjects first: at least half of the most there can be.
        """
        a, b = self.first[mask], self.second[mask]
        degree = np.bincount(np.append(a, b), minlength=self.count)
        taken: set[int] = set()
        found = 0
        order = np.argsort(degree[a] + degree[b], kind="stable")
        for one, other in zip(a[order].tolist(), b[order].tolist(), strict=True):
            if one not in taken and other not in taken:
                taken.update((one, other))
                found += 1
        return found


@dataclass(frozen=True)
class Means:
    """F weighted means over n comparisons, each over its own comparisons.

    Args:
        share: sparse (n, F): the weight of each comparison in each mean, at least 0; every column has one above 0.
        product: sparse (n, F): the same, times the value of the comparison.
    """

    share: Any
    product: Any

    @classmethod
    def of(cls, shares: Sequence[Floats | Bools], values: Sequence[Floats | Bools]) -> Means:
        """From F pairs of weights (n,) and values (n,); values that are not numbers must have weight 0."""
        from scipy import sparse

        places = [np.flatnonzero(share) for share in shares]
        rows, starts = np.concatenate(places), np.cumsum([0, *map(len, places)])
        size = (len(shares[0]), len(shares))
        weight = np.concatenate([np.asarray(s, dtype=np.float64)[p] for s, p in zip(shares, places, strict=True)])
        value = np.concatenate([np.asarray(v, dtype=np.float64)[p] for v, p in zip(values, places, strict=True)])
        share, product = (sparse.csc_array((data, rows, starts), shape=size) for data in (weight, weight * value))
        return cls(share.tocsr(), product.tocsr())

    @property
    def values(self) -> Floats:
        """(F,)"""
        result: Floats = np.asarray(self.product.sum(axis=0)) / np.asarray(self.share.sum(axis=0))
        return result

    @property
    def influence(self) -> Any:
        """Sparse (n, F): what each comparison adds to the error of each mean."""
        total = np.asarray(self.share.sum(axis=0))
        return (self.product - self.share * self.values[None, :]) * (1 / total)[None, :]

    def resampled(self, weights: Floats) -> Floats:
        """(B, F) from weights (B, n); NaN where nothing of a mean was drawn."""
        with np.errstate(invalid="ignore", divide="ignore"):
            result: Floats = ((self.product.T @ weights.T) / (self.share.T @ weights.T)).T
        return result


@dataclass(frozen=True)
class Estimates:
    """F figures with their 95 % intervals.

    Args:
        value, low, high, error: (F,); error is the dyadic cluster-robust standard error.
    """

    value: Floats
    low: Floats
    high: Floats
    error: Floats


def intervals(value: Floats, resampled: Floats, error: Floats, *, only_narrower: bool = True) -> Estimates:
    """Percentile intervals of resampled figures, their spread scaled down to ``error``; see the module.

    Args:
        value: (F,) the figures.
        resampled: (B, F); NaNs are left out.
        error: (F,) their standard errors.
        only_narrower: False where the resamples lack a part of what the standard errors count.
    """
    known = np.isfinite(resampled).sum(axis=0) > 1
    filled = np.where(known, resampled, value)
    spread = np.nanstd(filled, axis=0)
    scale = np.divide(error, spread, out=np.ones_like(error), where=spread > 0)
    scale = np.minimum(1.0, scale) if only_narrower else scale
    low, high = value + scale * (np.nanquantile(filled, _QUANTILES, axis=0) - value)
    return Estimates(value, np.where(known, low, np.nan), np.where(known, high, np.nan), error)


def plain_interval(resampled: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval of one resampled figure (B,), unscaled; NaNs are left out."""
    known = resampled[np.isfinite(resampled)]
    if len(known) < 2:
        return float("nan"), float("nan")
    low, high = np.quantile(known, _QUANTILES)
    return float(low), float(high)


def _squares(matrix: Any) -> Floats:
    squared = matrix.multiply(matrix) if hasattr(matrix, "multiply") else matrix**2
    return np.asarray(squared.sum(axis=0), dtype=np.float64).ravel()


def _counts(matrix: Any) -> Floats:
    nonzero = (matrix != 0).sum(axis=0)
    return np.asarray(nonzero, dtype=np.float64).ravel()
