from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from cfgan.testsets.scores.bootstrap import Means, Subjects, intervals

pytestmark = pytest.mark.slow

pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=25)


def subjects(couples: list[tuple[int, int]]) -> Subjects:
    return Subjects([str(a) for a, _ in couples], [str(b) for _, b in couples])


def test_a_comparison_counts_as_often_as_both_its_subjects_were_drawn() -> None:
    people = subjects([(0, 1), (0, 2), (3, 3)])
    weights = np.concatenate(list(people.weights(4000, seed=1)))
    assert weights.shape == (4000, 3) and np.array_equal(weights, np.concatenate(list(people.weights(4000, seed=1))))
    assert weights[:, 2].mean() == pytest.approx(1, abs=0.06)  # a person, drawn once in the mean
    assert weights[:, 0].mean() == pytest.approx(0.75, abs=0.06)  # both of two out of four: 4 x 3 / 4 x 4
    both = np.isin(weights[:, 0], [0, 1, 2, 3, 4])
    assert both.all() and {0.0, 1.0, 2.0} <= set(weights[:, 0].tolist())


@settings(max_examples=80)
@given(pairs, st.integers(0, 2**32 - 1))
def test_standard_errors_sum_over_all_comparisons_that_share_a_subject(
    couples: list[tuple[int, int]], seed: int
) -> None:
    influence = np.random.default_rng(seed).normal(size=(len(couples), 2))
    shares = np.array([[bool({*one} & {*other}) for other in couples] for one in couples])
    variance = np.einsum("if,ij,jf->f", influence, shares, influence)
    involved = len({side for couple in couples for side in couple})
    found = subjects(couples).standard_errors(influence)
    positive = variance > 1e-6
    expected = np.sqrt(np.maximum(variance, 0) * involved / max(involved - 1, 1))
    assert found[positive] == pytest.approx(expected[positive])
    assert (found >= 0).all()


@given(pairs)
def test_independent_comparisons_share_nobody_and_are_at_least_half_of_the_most(couples: list[tuple[int, int]]) -> None:
    def most(rest: list[tuple[int, int]]) -> int:
        if not rest:
            return 0
        first, *others = rest
        return max(most(others), 1 + most([c for c in others if not {*c} & {*first}]))

    couples = couples[:12]
    people = subjects(couples)
    found = people.independent(np.ones(len(couples), dtype=bool))
    assert most(couples) / 2 <= found <= most(couples)
    assert people.involved(np.ones(len(couples), dtype=bool)) == len({side for c in couples for side in c})


def test_means_and_their_resamples_are_weighted_means() -> None:
    rng = np.random.default_rng(0)
    share, value, weights = rng.random((3, 20)), rng.normal(size=(3, 20)), rng.integers(0, 3, (7, 20)).astype(float)
    value[2, 5], share[2, 5] = np.nan, 0.0
    means = Means.of(list(share), list(value))
    clean = np.nan_to_num(value)
    assert means.values == pytest.approx((share * clean).sum(1) / share.sum(1))
    expected = (weights @ (share * clean).T) / (weights @ share.T)
    assert means.resampled(weights) == pytest.approx(expected)
    assert np.asarray(means.influence.sum(axis=0)) == pytest.approx(0, abs=1e-12)


def one_run(seed: int, groups: int, rate: float, spread: float) -> tuple[float, float, float, float]:
    """Interval of a false match rate whose true value is known, and the bootstrap's own; three comparisons a face."""
    rng = np.random.default_rng(seed)
    a = np.repeat(np.arange(groups), 3)
    b = (a + rng.integers(1, groups, len(a))) % groups
    effect = rng.normal(size=groups) * spread
    threshold = norm.isf(rate) * np.sqrt(1 + 2 * spread**2)
    error = effect[a] + effect[b] + rng.normal(size=len(a)) >= threshold
    people = subjects(list(zip(a.tolist(), b.tolist(), strict=True)))
    means = Means.of([np.ones(len(a))], [error])
    resampled = np.concatenate([means.resampled(w) for w in people.weights(200, seed)])
    found = intervals(means.values, resampled, people.standard_errors(means.influence))
    raw = np.quantile(resampled[:, 0], [0.025, 0.975])
    return float(found.low[0]), float(found.high[0]), float(raw[0]), float(raw[1])


@pytest.mark.parametrize("spread", [0.0, 0.7])
def test_intervals_hold_the_truth_and_are_narrower_than_products_alone(spread: float) -> None:
    runs = np.array([one_run(seed, 300, 0.1, spread) for seed in range(150)])
    held = ((runs[:, 0] <= 0.1) & (runs[:, 1] >= 0.1)).mean()
    assert held >= 0.89  # 95 % less three standard errors of 150 runs
    assert (runs[:, 1] - runs[:, 0]).mean() < 0.85 * (runs[:, 3] - runs[:, 2]).mean()


def test_intervals_are_never_widened() -> None:
    rng = np.random.default_rng(0)
    resampled = rng.normal(size=(500, 2))
    found = intervals(np.zeros(2), resampled, np.array([100.0, 0.1]))
    assert found.high[0] == pytest.approx(np.quantile(resampled[:, 0], 0.975))
    assert found.high[1] == pytest.approx(0.196, abs=0.02)
