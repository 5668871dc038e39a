"""Counts, phi, relations and combinations against plain counting."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest, fisher_exact

from cfgan.data.profile.combinations import rarest_combinations, whole_rows
from cfgan.data.profile.pairs import Relation, cluster_order, find_relations, phi_matrix, relation_cells
from cfgan.data.profile.statistics import AttributeCount, Signs, count_attributes, count_missing, split_shift
from cfgan.stats.intervals import wilson_interval

LABELS = st.tuples(st.integers(1, 70), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.sampled_from([-1.0, 1.0, 1.0, -1.0, 0.5, 0.0, math.nan]))
)


def names_of(labels: np.ndarray) -> tuple[str, ...]:
    return tuple("ABCDE"[: labels.shape[1]])


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_interval_is_wilsons(successes: int, failures: int) -> None:
    n = successes + failures
    if n:
        theirs = binomtest(successes, n).proportion_ci(method="wilson")
        assert wilson_interval(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    else:
        assert all(math.isnan(value) for value in wilson_interval(0, 0))


@given(LABELS)
@settings(deadline=None)
def test_counts_are_those_of_plain_counting(labels: np.ndarray) -> None:
    for k, row in enumerate(count_attributes(names_of(labels), labels)):
        cells = labels[:, k].tolist()
        assert row.yes == sum(v > 0 for v in cells) and row.no == sum(v < 0 for v in cells)
        assert row.missing == sum(v != v for v in cells) and row.undecided == cells.count(0.0)
        assert row.graded == sum(abs(v) < 1 for v in cells)
        assert row.yes + row.no + row.undecided + row.missing == len(cells)
        low, high = row.interval
        assert math.isnan(row.rate) if row.n == 0 else low <= row.rate <= high
        if row.yes and row.no:
            assert row.imbalance == max(row.yes, row.no) / min(row.yes, row.no) >= 1
    gaps = np.isnan(labels).sum(1)
    missing = count_missing(labels)
    assert (missing.values, missing.complete) == (gaps.sum(), (gaps == 0).sum())
    assert missing.empty == (gaps == labels.shape[1]).sum()


@pytest.mark.slow
@given(LABELS)
@settings(deadline=None)
def test_phi_is_the_correlation_over_the_rows_where_both_are_known(labels: np.ndarray) -> None:
    phi = phi_matrix(Signs(labels).pairs())
    for i, j in itertools.product(range(labels.shape[1]), repeat=2):
        one, other = np.sign(labels[:, i]), np.sign(labels[:, j])
        both = (np.abs(one) == 1) & (np.abs(other) == 1)
        if both.any() and one[both].std() and other[both].std():
            assert phi[i, j] == pytest.approx(np.corrcoef(one[both], other[both])[0, 1], abs=1e-9)
        else:
            assert math.isnan(phi[i, j])


@given(LABELS, st.integers(2, 4))
@settings(deadline=None)
def test_combinations_are_those_of_plain_counting(labels: np.ndarray, size: int) -> None:
    names = names_of(labels)
    if size > len(names):
        return
    rows = [{(k, v > 0) for k, v in enumerate(row) if v > 0 or v < 0} for row in labels.tolist()]
    counted = {
        values: sum(set(values) <= row for row in rows)
        for attributes in itertools.combinations(range(len(names)), size)
        for values in itertools.product(*([(k, True), (k, False)] for k in attributes))
    }
    found = rarest_combinations(names, Signs(labels), size, most=10_000)
    shown = {row.values: row.count for row in found.rows}
    named = {tuple(names[k] if v else f"-{names[k]}" for k, v in values): n for values, n in counted.items()}
    assert all(named[values] == count for values, count in shown.items())
    assert [row.count for row in found.rows] == sorted(row.count for row in found.rows)
    # Whatever some row has is possible, and left out only where a pair in it is nobody's, which cannot be.
    assert {values for values, n in named.items() if n} <= set(shown)
    assert found.possible - found.unseen == sum(n > 0 for n in counted.values())


@given(LABELS)
@settings(deadline=None)
def test_whole_rows_are_those_of_a_counter(labels: np.ndarray) -> None:
    complete = [tuple(v > 0 for v in row) for row in labels.tolist() if all(v > 0 or v < 0 for v in row)]
    counted = Counter(complete)
    found = whole_rows(names_of(labels), labels, most=3)
    assert (found.rows, found.distinct) == (len(complete), len(counted))
    assert found.once == sum(n == 1 for n in counted.values())
    assert [row.count for row in found.commonest] == [n for _, n in counted.most_common(3)]
    assert [row.count for row in found.rarest] == sorted(counted.values())[:3]


def test_attributes_that_go_together_stand_together() -> None:
    rng = np.random.default_rng(2)
    base = rng.random((2000, 3)) < 0.5
    noisy = [base[:, k % 3] ^ (rng.random(2000) < 0.1) for k in range(6)]
    labels = np.where(np.stack(noisy, 1), 1, -1).astype(np.float32)
    labels[:, 5] *= -1  # against each other is together, too
    order = cluster_order(phi_matrix(Signs(labels).pairs()))
    assert sorted(order) == list(range(6))
    assert {frozenset(k % 3 for k in order[i : i + 2]) for i in (0, 2, 4)} == {frozenset({k}) for k in range(3)}
    constant = np.ones((10, 4), dtype=np.float32)
    assert sorted(cluster_order(phi_matrix(Signs(constant).pairs()))) == [0, 1, 2, 3]


def related(labels: np.ndarray, **options: float) -> list[Relation]:
    names = names_of(labels)
    return find_relations(names, Signs(np.where(labels, 1, -1).astype(np.float32)).pairs(), **options)[0]


def test_each_kind_of_relation_is_found_and_nothing_else() -> None:
    x = np.random.default_rng(1).random((3000, 5)) < [0.3, 0.5, 0.4, 0.4, 0.5]
    assert related(x) == []
    implied = x.copy()
    implied[:, 1] |= implied[:, 0]
    (row,) = related(implied)
    assert (row.kind, row.first, row.second, row.exceptions) == ("implies", "A", "B", 0) and row.rarer > 500
    assert row.expected == pytest.approx(implied[:, 0].mean() * (1 - implied[:, 1].mean()) * 3000)
    reverse = x.copy()
    reverse[:, 0] |= reverse[:, 1]
    assert [(row.kind, row.first, row.second) for row in related(reverse)] == [("implies", "B", "A")]
    exclusive = x.copy()
    exclusive[:, 3] &= ~exclusive[:, 2]
    exclusive[:5, 2:4] = True  # some exceptions, as labels have them
    (row,) = related(exclusive)
    assert (row.kind, row.first, row.second, row.exceptions) == ("exclusive", "C", "D", 5)
    assert 0 < row.share < 0.01 and row.share < row.upper
    assert related(exclusive, tolerance=0) == []
    either = x.copy()
    either[:, 4] |= ~either[:, 2]
    found = related(either)
    assert [(row.kind, row.first, row.second) for row in found] == [("one_of", "C", "E")]
    cells = relation_cells(names_of(either), found)
    assert {tuple(pair) for pair in np.argwhere(cells)} == {(5, 9), (9, 5)}


def test_the_p_value_is_fishers_times_the_cells() -> None:
    x = np.random.default_rng(4).random((300, 3)) < [0.2, 0.3, 0.5]
    x[:, 1] &= ~x[:, 0]
    found, tested = find_relations("ABC", Signs(np.where(x, 1, -1).astype(np.float32)).pairs())
    (row,) = found
    table = [[int((x[:, 0] == a)[x[:, 1] == b].sum()) for b in (True, False)] for a in (True, False)]
    assert tested == 12 and row.p == pytest.approx(12 * fisher_exact(table, "less").pvalue, rel=1e-6)


def test_chance_alone_is_seldom_taken_for_a_relation() -> None:
    """200 tables of independent rare attributes, in which many cells are empty: at most alpha of them report one."""
    rng = np.random.default_rng(6)
    wrong = sum(bool(related(rng.random((150, 5)) < [0.05, 0.1, 0.9, 0.5, 0.15])) for _ in range(200))
    assert wrong <= 0.05 * 200


def test_a_shift_between_splits_is_told_from_chance() -> None:
    even = split_shift([AttributeCount("A", 50, 50), AttributeCount("A", 52, 48)], 40)
    odd = split_shift([AttributeCount("A", 260, 740), AttributeCount("A", 148, 852), AttributeCount("A", 0, 0)], 40)
    assert even is not None and even.p == 1 and even.points == pytest.approx(0.02)
    assert odd is not None and odd.p < 1e-6 and odd.points == pytest.approx(0.112)
    assert split_shift([AttributeCount("A", 5, 5)], 1) is None
    assert split_shift([AttributeCount("A", 5, 0), AttributeCount("A", 7, 0)], 1) is None
