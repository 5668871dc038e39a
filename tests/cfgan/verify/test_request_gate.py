"""A gate for the whole request: four in five real faces that carry it pass, however rare the combination is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from helpers import make_bundle
from safetensors.numpy import save

from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import RequestCell, VerifySpec
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.model.bundle import Bundle, write_bundle
from cfgan.model.calibration import GATE_RECALL, fit_calibration
from cfgan.verify import gate as gates
from cfgan.verify.candidates import Candidates
from cfgan.verify.gate import AllOf, gate_of, verifier_gate
from cfgan.verify.request_gate import request_thresholds

HAT, FEMALE = np.asarray([True, True]), 1

Read = tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.float64]]


def readings(n: int, hats: float, seed: int = 0) -> Read:
    """Probabilities, labels and best thresholds of (hat, female): under a hat a face looks less female."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((n, 2)) < [hats, 0.5], 1.0, -1.0)
    logits = 3 * labels + rng.normal(size=labels.shape)
    logits[:, FEMALE] -= 2.5 * (labels[:, 0] > 0)
    calibration = fit_calibration(logits, labels)
    return calibration.probabilities(logits), labels, calibration.threshold


def pass_rate(read: Read, wanted: npt.NDArray[np.bool_], least: npt.NDArray[np.float64]) -> float:
    probability, labels, _ = read
    rows = (labels * np.where(wanted, 1, -1) > 0).all(1)
    q = np.where(wanted, probability, 1 - probability)[rows]
    return float((q >= least).all(1).mean())


def request_recall(read: Read, wanted: npt.NDArray[np.bool_], *, seed: int = 0) -> tuple[int, int]:
    """How many real faces that carry the request pass thresholds that were made without them, and of how many.

    Two halves of all faces, each measured at the thresholds of the other.
    """
    probability, labels, best = read
    half = np.random.default_rng(seed).permutation(len(labels)) % 2 == 0
    signs = np.where(wanted, 1, -1)
    hits = n = 0
    for fit, use in ((half, ~half), (~half, half)):
        least = request_thresholds(probability[fit], labels[fit], wanted, best)
        rows = use & (labels * signs > 0).all(1)
        q = np.where(wanted, probability[rows], 1 - probability[rows])
        hits += int((q >= least).all(1).sum())
        n += int(rows.sum())
    return hits, n


@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True)])
def test_four_in_five_faces_that_carry_a_common_request_pass(wanted: tuple[bool, bool]) -> None:
    read = readings(6000, 0.1)
    asked = np.asarray(wanted)
    least = request_thresholds(*read[:2], asked, read[2])
    assert pass_rate(read, asked, least) >= GATE_RECALL - 0.01  # more where a gate may ask for no more than it does
    hits, n = request_recall(read, asked)
    assert n == (read[1] * np.where(asked, 1, -1) > 0).all(1).sum()
    assert hits / n >= GATE_RECALL - 0.05
    if asked.all():
        assert pass_rate(read, asked, least) == pytest.approx(GATE_RECALL, abs=0.04)


@pytest.mark.slow
def test_a_rare_combination_is_not_starved_by_what_its_values_are_like_elsewhere() -> None:
    read = readings(6000, 0.012)  # about 36 hats on women
    least = request_thresholds(*read[:2], HAT, read[2])
    alone = np.asarray(
        [float(request_thresholds(*(x[:, [k]] for x in read[:2]), HAT[[k]], read[2][[k]])[0]) for k in (0, 1)]
    )
    assert least[FEMALE] < alone[FEMALE]
    later = readings(40_000, 0.1, seed=1)
    assert pass_rate(later, HAT, least) > pass_rate(later, HAT, alone) + 0.2
    # Men with hats, who are what such a gate must keep out, stay out.
    probability, labels, _ = later
    men = (labels[:, 0] > 0) & (labels[:, 1] < 0)
    assert (probability[men] >= least).all(1).mean() < 0.02


@pytest.mark.slow
def test_the_fewer_faces_carry_a_request_the_more_its_values_count_alone() -> None:
    few, more = readings(6000, 0.003), readings(6000, 0.014)
    thresholds = [request_thresholds(*read[:2], HAT, read[2])[FEMALE] for read in (few, more)]
    assert thresholds[0] > thresholds[1]
    none = few[1].copy()
    none[:, 0] = -1
    assert np.isnan(request_thresholds(few[0], none, HAT, few[2])[0])


@pytest.fixture
def bundles(tmp_path: Path) -> tuple[Bundle, Bundle]:
    """The same bundle by the older rule and by that of whole requests."""
    vocabulary = Vocabulary(("Hat", "Female"))
    counts = np.full((2, 2), 5, dtype=np.int64)
    prior = Prior(vocabulary, np.zeros(2), np.zeros((2, 2)), counts, 2 * counts, 10)
    plain = make_bundle(tmp_path / "plain", vocabulary, prior)
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((4000, 2)) < [0.1, 0.5], 1.0, -1.0)
    logits = 3 * labels + rng.normal(size=labels.shape)
    logits[:, FEMALE] -= 2.5 * (labels[:, 0] > 0)
    config = {key: value for key, value in plain.config.items() if key != "format"}
    config["verifier"] = {**config["verifier"], "calibration": fit_calibration(logits, labels).to_dict()}
    weights = {name: plain.file(name).read_bytes() for name in plain.sums if name.endswith(".safetensors")}
    weights["validation.safetensors"] = save({"labels": labels.astype(np.int8), "verifier": logits.astype(np.float16)})
    older = write_bundle(tmp_path / "older", config, weights, "")
    return older, write_bundle(tmp_path / "newer", config | {"gate": "request"}, weights, "")


def test_a_bundle_says_which_rule_its_gate_follows(bundles: tuple[Bundle, Bundle]) -> None:
    older, newer = bundles
    both = RequestCell("x", {"Hat": 1.0, "Female": 1.0}, 1, 0)
    least = [verifier_gate(bundle, both).least[FEMALE] for bundle in bundles]
    assert least[1] < least[0]
    for cell in (
        replace(both, request={"Female": 1.0}),  # one value: nothing else to know
        replace(both, verify=VerifySpec(threshold=0.9)),
        replace(both, verify=VerifySpec(precision=0.9)),
    ):
        np.testing.assert_array_equal(verifier_gate(older, cell).least, verifier_gate(newer, cell).least)


def test_a_further_gate_is_counted_beside_the_verifier_s(
    bundles: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bright:
        names = ("bright",)
        thresholds = {"bright": 100.0}

        def passes(self, draws: Candidates) -> npt.NDArray[np.bool_]:
            return draws.pixels.mean((1, 2, 3))[:, None] >= 100

    monkeypatch.setattr(gates, "GATES", (verifier_gate, lambda bundle, cell: Bright()))
    gate = gate_of(bundles[0], RequestCell("x", {"Hat": 1.0}, 1, 0))
    assert isinstance(gate, AllOf) and gate.names == ("Hat", "bright") and set(gate.thresholds) == {"Hat", "bright"}
    pixels = np.zeros((2, 3, 4, 4), np.uint8)
    pixels[1] = 200
    passed = gate.passes(Candidates(np.zeros((2, 2), np.float32), pixels, np.ones((2, 2), np.float32)))
    np.testing.assert_array_equal(passed, [[True, False], [True, True]])


def test_a_gate_that_a_request_does_not_ask_for_changes_nothing(
    bundles: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = RequestCell("x", {"Hat": 1.0}, 1, 0)
    alone = gate_of(bundles[0], cell)
    monkeypatch.setattr(gates, "GATES", (verifier_gate, lambda bundle, cell: None))
    assert gate_of(bundles[0], cell).thresholds == alone.thresholds
