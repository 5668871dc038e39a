"""Rare combinations of values, and whole rows that are common or unlike any other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.data.profile.statistics import Signs, count_bits
from cfgan.io.progress import Progress

Counts = npt.NDArray[np.int64]

MOST_CELLS = 5_000_000
"""Combinations of one size counted at most: four attributes of 60, three of 200."""


@dataclass(frozen=True)
class Combination:
    """Some values together.

    Args:
        values: "Male", "-Young", ...
        count: rows that have all of them.
        expected: rows that would if the attributes were independent.
    """

    values: tuple[str, ...]
    count: int
    expected: float


@dataclass(frozen=True)
class Rarest:
    """The rarest combinations of one size.

    Args:
        size: values in each.
        possible: combinations of values that occur each by itself.
        unseen: of these, how many no row has.
        unexplained: of the unseen, how many hold no pair that explains it; of pairs, all.
        rows: the rarest, those that hold such a pair left out; of the same count the most expected first.
    """

    size: int
    possible: int
    unseen: int
    unexplained: int
    rows: list[Combination]


@dataclass(frozen=True)
class WholeRows:
    """Combinations of all attributes, over rows without a gap.

    Args:
        rows: how many those are.
        distinct: different combinations among them.
        once: combinations that a single row has.
        commonest: most rows first.
        rarest: fewest rows first, then least expected.
    """

    rows: int
    distinct: int
    once: int
    commonest: list[Combination]
    rarest: list[Combination]


def cell_count(attributes: int, size: int) -> int:
    """Combinations of ``size`` signed values of different attributes."""
    return math.comb(attributes, size) << size


def rarest_combinations(
    names: Sequence[str],
    signs: Signs,
    size: int,
    *,
    known: npt.NDArray[np.bool_] | None = None,
    most: int = 20,
    progress: Progress | None = None,
) -> Rarest:
    """Count every combination of ``size`` values and keep the rarest.

    Args:
        names: A attributes.
        signs: of the labels.
        size: 2 or more; at most :data:`MOST_CELLS` combinations.
        known: bool (2A, 2A), pairs of signed values of which one knows that they (almost) never meet: with pairs that
            no row has they explain why larger combinations are rare.
        most: how many are kept.
        progress: called with steps done and in all now and then; what it raises ends the work.
    """
    telling = signs.pairs() == 0
    if known is not None:
        telling |= known
    rate = signs.counts / np.maximum(signs.counts.reshape(-1, 2).sum(1).repeat(2), 1)
    possible = unseen = unexplained = 0
    kept: list[tuple[int, float, tuple[int, ...]]] = []
    steps = math.comb(len(names), size - 1)
    for step, attributes in enumerate(itertools.combinations(range(len(names)), size - 1)):
        if progress is not None and step % 64 == 0:
            progress("counting", step, steps)
        later = np.arange(2 * attributes[-1] + 2, 2 * len(names))
        if not len(later):
            continue
        prefixes = list(itertools.product(*((2 * i, 2 * i + 1) for i in attributes)))
        counts = np.stack([_counts(signs, prefix, later) for prefix in prefixes])  # (2^(size-1), later)
        # Rows where all attributes are known: the sum over all their values.
        known = counts.sum(0).reshape(-1, 2).sum(1).repeat(2)
        expected = np.stack([np.prod(rate[list(prefix)]) * rate[later] for prefix in prefixes]) * known
        # A value that no row has makes no combination.
        there = expected > 0
        explained = np.stack([_holds_pair(telling, prefix, later) for prefix in prefixes]) & (size > 2)
        possible += int(there.sum())
        unseen += int((there & (counts == 0)).sum())
        unexplained += int((there & (counts == 0) & ~explained).sum())
        left = np.flatnonzero(there & ~explained)
        order = np.lexsort((-expected.ravel()[left], counts.ravel()[left]))[:most]
        for place in left[order]:
            k, last = divmod(int(place), len(later))
            kept.append((int(counts[k, last]), float(expected[k, last]), (*prefixes[k], int(later[last]))))
        if len(kept) > 100 * most:
            kept = sorted(kept, key=_rarity)[:most]
    rows = [
        Combination(tuple(signs.name(signed, names) for signed in values), count, expected)
        for count, expected, values in sorted(kept, key=_rarity)[:most]
    ]
    return Rarest(size, possible, unseen, unexplained, rows)


def _rarity(entry: tuple[int, float, tuple[int, ...]]) -> tuple[int, float, tuple[int, ...]]:
    count, expected, values = entry
    return count, -expected, values


def _counts(signs: Signs, prefix: tuple[int, ...], later: Counts) -> Counts:
    together = np.bitwise_and.reduce(signs.words[list(prefix)], axis=0)
    return count_bits(together & signs.words[later[0] :])


def _holds_pair(telling: npt.NDArray[np.bool_], prefix: tuple[int, ...], later: Counts) -> npt.NDArray[np.bool_]:
    inside = any(telling[a, b] for a, b in itertools.combinations(prefix, 2))
    return np.asarray(telling[list(prefix)][:, later].any(0) | inside)


def whole_rows(names: Sequence[str], labels: npt.NDArray[np.float32], *, most: int = 10) -> WholeRows:
    """The commonest and the rarest combinations of all A attributes of float32 (N, A) labels."""
    complete = labels[(np.isfinite(labels) & (labels != 0)).all(1)]
    if not len(complete):
        return WholeRows(0, 0, 0, [], [])
    yes = complete > 0
    packed = np.ascontiguousarray(np.packbits(yes, axis=1))
    _, first, count = np.unique(
        packed.view(np.dtype((np.void, packed.shape[1]))).ravel(), return_index=True, return_counts=True
    )
    with np.errstate(divide="ignore"):  # a value that no row has is in no combination either
        log = np.log(np.stack([1 - yes.mean(0), yes.mean(0)]))
    chance = np.where(yes[first], log[1], log[0]).sum(1)

    def shown(places: Counts) -> list[Combination]:
        return [
            Combination(
                tuple(name if has else f"-{name}" for name, has in zip(names, yes[first[k]], strict=True)),
                int(count[k]),
                float(len(yes) * np.exp(chance[k])),
            )
            for k in places
        ]

    return WholeRows(
        len(complete),
        len(first),
        int((count == 1).sum()),
        shown(np.lexsort((first, -count))[:most]),
        shown(np.lexsort((first, chance, count))[:most]),
    )
