from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfgan.attributes.spec import RequestCell, VerifySpec
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.evaluation.accuracy import accuracy_table
from cfgan.model.calibration import (
    SUREST,
    Calibration,
    balanced_accuracy,
    best_threshold,
    classifier_figures,
    expected_calibration_error,
    fit_calibration,
)
from cfgan.stats.intervals import wilson_interval
from cfgan.verify.gate import VerifierGate


def gate(request: dict[str, float], threshold: float | None = None) -> VerifierGate:
    calibration = Calibration(np.ones(3), np.zeros(3), np.asarray([0.1, 0.5, 0.9]))
    cell = RequestCell("x", request, 1, 0, verify=VerifySpec(threshold=threshold))
    return VerifierGate.for_cell(cell, Vocabulary(("A", "B", "C")), calibration)


def test_the_bundle_s_thresholds_split_wanted_and_unwanted_without_gap_or_overlap() -> None:
    p = np.asarray([[0.0, 0.0, 0.0], [0.1, 0.5, 0.9], [0.2, 0.4, 0.95]], dtype=np.float32)
    p[1] = np.nextafter(p[1], 1)
    wanted = gate({"A": 1, "B": 1, "C": 1}).sees(p)
    unwanted = gate({"A": -1, "B": -1, "C": -1}).sees(p)
    np.testing.assert_array_equal(wanted, ~unwanted)
    np.testing.assert_array_equal(wanted, [[False] * 3, [True] * 3, [True, False, True]])


def test_the_bundle_s_gate_asks_for_what_four_in_five_real_faces_reach() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((4000, 2)) < [0.5, 0.04], 1.0, -1.0)
    logits = labels * 1.5 + rng.normal(size=labels.shape)
    calibration = fit_calibration(logits, labels)
    p = calibration.probabilities(logits)
    vocabulary = Vocabulary(("Common", "Rare"))
    for value in (1.0, -1.0):
        gate = VerifierGate.for_cell(RequestCell("x", {"Common": value, "Rare": value}, 1, 0), vocabulary, calibration)
        passed = gate.sees(p)
        for i in range(2):
            carriers = labels[:, i] == value
            assert passed[carriers, i].mean() <= 0.81
            assert passed[carriers, i].mean() > 0.75 > 0.3 > passed[~carriers, i].mean()
    assert Calibration.from_dict(calibration.to_dict()).gate_yes == pytest.approx(calibration.gate_yes, abs=1e-6)
    strict = VerifierGate.for_cell(
        RequestCell("x", {"Rare": 1.0}, 1, 0, verify=VerifySpec(threshold=0.99)), vocabulary, calibration
    )
    assert strict.least[0] == 0.99


def test_an_explicit_threshold_is_the_probability_of_the_requested_value() -> None:
    p = np.asarray([[0.85, 0.15, 0.5]], dtype=np.float32)
    np.testing.assert_array_equal(gate({"A": 1, "B": -1, "C": -1}, 0.8).sees(p), [[True, True, False]])


def test_graded_and_free_attributes_are_not_gated() -> None:
    assert gate({"A": 0.5, "C": -1}).names == ("C",)
    assert gate({}).sees(np.zeros((4, 3), np.float32)).all(1).all()


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({truth for _, truth in rows}) == 2
    )
)
def test_no_threshold_is_better_than_the_best(rows: list[tuple[float, bool]]) -> None:
    scores, truth = (np.asarray(column) for column in zip(*rows, strict=True))
    best = balanced_accuracy(scores >= best_threshold(scores, truth), truth)
    others = [balanced_accuracy(scores >= t, truth) for t in np.linspace(0, 1, 101)]
    assert best >= max(others) - 1e-9


def test_calibration_recovers_a_known_distortion() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (20000, 1)) - 2
    labels = np.where(rng.random(true.shape) < 1 / (1 + np.exp(-true)), 1.0, -1.0)
    calibration = fit_calibration(3 * true + 1, labels)  # overconfident and shifted
    assert calibration.slope[0] == pytest.approx(1 / 3, rel=0.05)
    assert calibration.intercept[0] == pytest.approx(-1 / 3, abs=0.1)
    p = calibration.probabilities(3 * true + 1)[:, 0]
    assert expected_calibration_error(p, labels[:, 0] > 0) < 0.01
    raw = 1 / (1 + np.exp(-(3 * true[:, 0] + 1)))
    assert expected_calibration_error(raw, labels[:, 0] > 0) > 0.05


@pytest.mark.slow
def test_figures_of_a_perfect_a_blind_and_a_partly_labelled_attribute() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((2000, 3)) < 0.3, 1.0, -1.0)
    labels[:500, 2] = np.nan
    logits = labels * 4
    logits[:, 1] = rng.normal(size=2000)
    logits[np.isnan(logits)] = 0
    figures = classifier_figures(logits, labels, ["good", "blind", "partly"])
    assert figures["good"]["balanced_accuracy"] == 1 and figures["good"]["auc"] == 1
    assert abs(figures["blind"]["auc"] - 0.5) < 0.05 and abs(figures["blind"]["balanced_accuracy"] - 0.5) < 0.05
    assert figures["partly"]["n"] == 1500 and figures["good"]["majority"] == pytest.approx(0.7, abs=0.03)


def wilson_reference(p: float, k: int, n: int) -> float:
    """The squared score statistic at p: an end of Wilson's interval is where it equals z squared."""
    return (k / n - p) ** 2 / (p * (1 - p) / n)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 17), (500, 1000)])
def test_wilson_against_its_defining_equation(k: int, n: int) -> None:
    for bound in wilson_interval(k, n):
        if 0 < bound < 1:
            assert wilson_reference(bound, k, n) == pytest.approx(1.959964**2, rel=1e-6)
    assert all(math.isnan(v) for v in wilson_interval(0, 0))


def test_accuracy_table_by_hand() -> None:
    asked = np.asarray([[1, -1], [1, -1], [-1, -1], [-1, -1]], dtype=np.float32)
    seen = np.asarray([[1, 1], [0, 0], [0, 0], [0, 0]], dtype=bool)
    table = accuracy_table(("A", "B"), asked, seen)
    a, b = table["attributes"]["A"], table["attributes"]["B"]
    assert (a["yes"], a["no"], a["balanced"], a["agreement"]) == (0.5, 1.0, 0.75, 0.75)
    assert math.isnan(b["yes"]) and b["no"] == 0.75
    assert table["agreement"] == 0.75 and table["balanced"] == 0.75
    asked[:2, 1] = math.nan  # unknown labels are neither wanted nor unwanted
    b = accuracy_table(("A", "B"), asked, seen)["attributes"]["B"]
    assert b["no"] == 1.0 and b["agreement"] == 1.0


def test_a_classifier_without_mistakes_does_not_ask_for_more_than_any_face_can_show() -> None:
    labels = np.repeat([1.0, -1.0], 50)[:, None].astype(np.float32)
    calibration = fit_calibration(labels * np.linspace(9, 30, 100)[:, None].astype(np.float32), labels)
    again = Calibration.from_dict(calibration.to_dict())
    for gate in (calibration.gate_yes, calibration.gate_no, again.gate_yes, again.gate_no):
        assert gate.max() <= SUREST
