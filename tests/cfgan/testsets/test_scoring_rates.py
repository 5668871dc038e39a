from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from cfgan.testsets.scores.rates import (
    det_curve,
    equal_error_rates,
    false_match_rate,
    false_non_match_rate,
    threshold_at_fmr,
    threshold_at_fnmr,
)

# Few distinct values, so that ties are the rule.
scores = st.lists(st.integers(-6, 6).map(lambda k: k / 4), min_size=1, max_size=40).map(np.array)
rates = st.floats(0.0, 0.99)


@given(scores, st.integers(-7, 7).map(lambda k: k / 4))
def test_rates_are_shares_of_decisions(values: np.ndarray, threshold: float) -> None:
    assert false_match_rate(values, threshold) == sum(v >= threshold for v in values) / len(values)
    assert false_match_rate(values, threshold) + false_non_match_rate(values, threshold) == pytest.approx(1)
    assert math.isnan(false_match_rate(values[:0], 0.0)) and math.isnan(false_non_match_rate(values[:0], 0.0))


@given(scores, rates)
def test_the_threshold_is_the_lowest_that_keeps_the_rate(values: np.ndarray, target: float) -> None:
    threshold = threshold_at_fmr(values, target)
    assert false_match_rate(values, threshold) <= target + 1e-9
    # Any lower one, at the next score below it, lets more through than allowed.
    lower = max(v for v in values if v < threshold)
    assert false_match_rate(values, lower) > target
    assert threshold_at_fnmr(-values, target) == pytest.approx(-threshold)
    assert false_non_match_rate(-values, threshold_at_fnmr(-values, target)) <= target + 1e-9


def test_shares_that_are_no_binary_fractions_are_counted_as_a_person_would() -> None:
    assert false_match_rate(np.arange(100.0), threshold_at_fmr(np.arange(100.0), 0.29)) == 0.29


@pytest.mark.slow
@given(scores, scores)
def test_the_curve_is_that_of_scikit_learn(mated: np.ndarray, non_mated: np.ndarray) -> None:
    curve = det_curve(mated, non_mated)
    truth = np.repeat([1, 0], [len(mated), len(non_mated)])
    fpr, tpr, _ = roc_curve(truth, np.concatenate([mated, non_mated]), drop_intermediate=False)
    assert curve.fmr[::-1] == pytest.approx(fpr) and curve.fnmr[::-1] == pytest.approx(1 - tpr)
    for k, threshold in enumerate(curve.threshold):
        assert curve.fmr[k] == pytest.approx(false_match_rate(non_mated, threshold))
        assert curve.fnmr[k] == pytest.approx(false_non_match_rate(mated, threshold))


@pytest.mark.slow
@given(scores, scores)
def test_the_equal_error_rate_is_where_scikit_learns_curve_meets_the_diagonal(
    mated: np.ndarray, non_mated: np.ndarray
) -> None:
    truth = np.repeat([1, 0], [len(mated), len(non_mated)])
    fpr, tpr, _ = roc_curve(truth, np.concatenate([mated, non_mated]), drop_intermediate=False)
    low, high = 0.0, 1.0  # x - (1 - tpr(x)) rises with x along the curve
    at = next(k for k in range(len(fpr)) if fpr[k] >= 1 - tpr[k])
    if at:
        (x0, y0), (x1, y1) = ((fpr[k], 1 - tpr[k]) for k in (at - 1, at))
        for _ in range(60):
            part = (low + high) / 2
            above = x0 + part * (x1 - x0) >= y0 + part * (y1 - y0)
            low, high = (low, part) if above else (part, high)
        expected = x0 + high * (x1 - x0)
    else:
        expected = fpr[0]
    assert det_curve(mated, non_mated).eer == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60)
@given(scores, scores, st.data())
def test_a_weight_is_a_number_of_copies(mated: np.ndarray, non_mated: np.ndarray, data: st.DataObject) -> None:
    score = np.concatenate([mated, non_mated])
    positive = np.arange(len(score)) < len(mated)
    copies = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(score), max_size=len(score))))
    repeated, kind = np.repeat(score, copies), np.repeat(positive, copies)
    (found,) = equal_error_rates(score, positive, copies[None].astype(float))
    if kind.all() or not kind.any():
        assert math.isnan(found)
    else:
        assert found == pytest.approx(det_curve(repeated[kind], repeated[~kind]).eer, abs=1e-9)


def test_separated_scores_have_no_error_and_swapped_ones_nothing_else() -> None:
    low, high = np.arange(5.0), np.arange(10.0, 15.0)
    assert det_curve(high, low).eer == 0 and det_curve(low, high).eer == 1
    corners = det_curve(high, low).thinned(4)
    assert len(corners) == 4 and corners[-1] == {"threshold": None, "fmr": 0.0, "fnmr": 1.0}


def test_a_thinned_curve_is_drawn_through_the_equal_error_rate() -> None:
    rng = np.random.default_rng(0)
    curve = det_curve(rng.normal(5.4, 1, 10_000), rng.normal(0, 1, 10_000))
    corners = curve.thinned(200)
    assert len(corners) <= 200 and (corners[0]["fmr"], corners[-1]["fmr"]) == (1, 0)
    fmr, fnmr = (np.array([corner[key] for corner in corners]) for key in ("fmr", "fnmr"))
    k = int(np.argmax(fnmr >= fmr))
    share = (fmr[k - 1] - fnmr[k - 1]) / ((fmr[k - 1] - fnmr[k - 1]) + (fnmr[k] - fmr[k]))
    drawn = fmr[k - 1] + share * (fmr[k] - fmr[k - 1])
    assert curve.eer < 0.006 and drawn == pytest.approx(curve.eer, rel=0.05)
