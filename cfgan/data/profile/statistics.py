"""How common each attribute of a data set is, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.stats.intervals import wilson_interval

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AttributeCount:
    """One attribute among some rows.

    Args:
        name: of the attribute.
        yes: rows with a value above 0.
        no: rows with a value below 0.
        undecided: rows with exactly 0, which is neither.
        graded: of all these, rows with a value between -1 and 1.
        missing: rows without a value.
    """

    name: str
    yes: int
    no: int
    undecided: int = 0
    graded: int = 0
    missing: int = 0

    @property
    def n(self) -> int:
        """Rows that say yes or no."""
        return self.yes + self.no

    @property
    def rate(self) -> float:
        """Share of yes among them; NaN where there are none."""
        return self.yes / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the rate, Wilson."""
        return wilson_interval(self.yes, self.n)

    @property
    def imbalance(self) -> float:
        """Imbalance ratio: the commoner value's rows over the rarer one's, 1 upwards; infinite with one value only."""
        few, many = sorted((self.yes, self.no))
        return many / few if few else math.inf if many else math.nan

    @property
    def rarer(self) -> str | None:
        """The name, with a minus in front where "no" is the rarer value; None where both are as common."""
        return None if self.yes == self.no else self.name if self.yes < self.no else f"-{self.name}"


@dataclass(frozen=True)
class Shift:
    """How an attribute differs between splits. ``points``: largest difference of two rates, 0..1; ``p``: of the
    chi-squared test that all splits have one rate, times the number of attributes tested (Bonferroni), at most 1."""

    points: float
    p: float


@dataclass(frozen=True)
class Missing:
    """What is not labelled. ``values``: cells without one; ``complete``: rows without a gap; ``empty``: rows without
    any label."""

    values: int
    complete: int
    empty: int


def count_attributes(names: Sequence[str], labels: Floats) -> list[AttributeCount]:
    """Count every attribute.

    Args:
        names: A attributes.
        labels: float32 (N, A), -1..1, NaN unknown.
    """
    found = []
    for k, name in enumerate(names):
        column = labels[:, k]
        yes, no, undecided = (int(np.count_nonzero(which)) for which in (column > 0, column < 0, column == 0))
        graded = int(np.count_nonzero(np.abs(column) < 1))
        found.append(AttributeCount(name, yes, no, undecided, graded, len(column) - yes - no - undecided))
    return found


def split_shift(splits: Sequence[AttributeCount], tested: int) -> Shift | None:
    """Compare an attribute's counts in several splits; None where fewer than two have rows, or all one value.

    Args:
        splits: of one attribute.
        tested: number of attributes that are compared so.
    """
    known = [part for part in splits if part.n]
    table = [[part.yes for part in known], [part.no for part in known]]
    if len(known) < 2 or not all(map(any, table)):
        return None
    from scipy.stats import chi2_contingency

    rates = [part.rate for part in known]
    return Shift(max(rates) - min(rates), min(1.0, float(chi2_contingency(table).pvalue) * tested))


def count_missing(labels: Floats) -> Missing:
    """Count the gaps of float32 (N, A) labels."""
    gaps = np.isnan(labels).sum(1)
    return Missing(int(gaps.sum()), int(np.count_nonzero(gaps == 0)), int(np.count_nonzero(gaps == labels.shape[1])))


class Signs:
    """Yes and no of every attribute as strings of bits: counting rows is an AND and a population count.

    Signed value 2 i is "attribute i, yes", 2 i + 1 is "attribute i, no"; a row without a value has neither bit.

    Args:
        labels: float32 (N, A).
    """

    def __init__(self, labels: Floats) -> None:
        self.rows, self.attributes = labels.shape
        columns = labels.T
        packed = np.packbits(np.stack([columns > 0, columns < 0], axis=1).reshape(2 * self.attributes, -1), axis=1)
        padded = np.zeros((len(packed), -(-max(packed.shape[1], 1) // 8) * 8), dtype=np.uint8)
        padded[:, : packed.shape[1]] = packed
        self.words: npt.NDArray[np.uint64] = padded.view(np.uint64)  # (2A, W)
        self.counts = count_bits(self.words)  # (2A,)

    def pairs(self) -> Counts:
        """int64 (2A, 2A): rows with both signed values."""
        return np.stack([count_bits(row & self.words) for row in self.words])

    def name(self, signed: int, names: Sequence[str]) -> str:
        """ "Male" or "-Male"."""
        return f"-{names[signed // 2]}" if signed % 2 else names[signed // 2]


def count_bits(words: npt.NDArray[np.uint64]) -> Counts:
    """Bits set along the last axis."""
    return np.asarray(np.bitwise_count(words).sum(-1, dtype=np.int64))
