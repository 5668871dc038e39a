"""Rates with intervals, how far one lies below another, agreement of two readers, and reliability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.stats.intervals import wilson_interval

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]

Z95 = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""

LEAST = 10
"""Real faces (or images) below which a figure is shown but nothing is concluded from it."""


@dataclass(frozen=True)
class Rate:
    """``hits`` of ``n``."""

    hits: int
    n: int

    @classmethod
    def of(cls, met: Bools) -> Rate:
        """The share of True in bool (n,)."""
        return cls(int(met.sum()), len(met))

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.hits + other.hits, self.n + other.n)

    @property
    def value(self) -> float:
        """0..1; NaN for n = 0."""
        return self.hits / self.n if self.n else math.nan

    def interval(self, z: float = Z95) -> tuple[float, float]:
        """Wilson's score interval."""
        return wilson_interval(self.hits, self.n, z)

    def to_dict(self) -> dict[str, Any]:
        return {"rate": self.value, "interval": list(self.interval()), "hits": self.hits, "n": self.n}


@dataclass(frozen=True)
class Gap:
    """How far a rate lies below its ceiling: the difference (negative: above it) and an interval of it."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        return {"value": self.value, "interval": [self.low, self.high]}


def gap_below(ceiling: Rate, rate: Rate, z: float = Z95) -> Gap:
    """Ceiling minus rate, with the hybrid score interval of two independent proportions.

    Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17,
    1998, method 10. NaNs where one of the two is empty.
    """
    (low1, high1), (low2, high2) = ceiling.interval(z), rate.interval(z)
    p1, p2 = ceiling.value, rate.value
    value = p1 - p2
    return Gap(value, value - math.hypot(p1 - low1, high2 - p2), value + math.hypot(high1 - p1, p2 - low2))


def balanced(wanted: Rate, unwanted: Rate) -> dict[str, Any]:
    """Mean of two independent rates, its interval put together from theirs (Newcombe 1998, as above)."""
    (low1, high1), (low2, high2) = wanted.interval(), unwanted.interval()
    p1, p2 = wanted.value, unwanted.value
    value = (p1 + p2) / 2
    below, above = math.hypot(p1 - low1, p2 - low2) / 2, math.hypot(high1 - p1, high2 - p2) / 2
    return {"rate": value, "interval": [value - below, value + above], "n": wanted.n + unwanted.n}


def shared_z(figures: int) -> float:
    """The normal quantile with which ``figures`` intervals hold all at once with 95 % (Bonferroni)."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - 0.05 / (2 * max(1, figures)))


def kappa(first: Bools, second: Bools) -> dict[str, Any]:
    """Cohen's kappa of two readers over the same images (Cohen 1960).

    Args:
        first, second: bool (n,).

    Returns:
        ``n``; ``observed``, the share on which they say the same; ``kappa``, 1 always the same, 0 no more often than by
        chance; NaN where both always say the same one word.
    """
    n = len(first)
    if not n:
        return {"n": 0, "observed": math.nan, "kappa": math.nan}
    observed = float((first == second).mean())
    p, q = float(first.mean()), float(second.mean())
    chance = p * q + (1 - p) * (1 - q)
    return {"n": n, "observed": observed, "kappa": (observed - chance) / (1 - chance) if chance < 1 else math.nan}


def reliability(probability: Sequence[Floats], truth: Sequence[Bools], bins: int = 10) -> list[dict[str, Any]]:
    """How often something is so, over bins of the probability that a reader gives it.

    Args:
        probability: arrays (n,) of 0..1, pooled.
        truth: bool (n,) each.
        bins: of equal width.

    Returns:
        One row a bin that is not empty: ``confidence`` (mean probability), ``rate``, ``interval`` (Wilson 95 %), ``n``.
    """
    p = np.concatenate([np.zeros(0), *probability]).astype(np.float64)
    t = np.concatenate([np.zeros(0, bool), *truth])
    place = np.minimum((p * bins).astype(int), bins - 1)
    rows = []
    for k in range(bins):
        if (inside := place == k).any():
            rows.append({"confidence": float(p[inside].mean()), **Rate.of(t[inside]).to_dict()})
    return rows
