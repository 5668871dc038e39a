from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import make_bundle
from report_helpers import Make, judge_with, report_on, with_readings

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.model.bundle import Bundle
from cfgan.reports.batch.examples import each_of
from cfgan.reports.batch.page import render_page
from cfgan.stats.rates import Rate, balanced, gap_below, kappa, reliability, shared_z
from cfgan.verify.real_faces import real_faces

pytestmark = pytest.mark.slow

# Figures


def test_the_gap_of_two_rates_as_newcombe_printed_it() -> None:
    gap = gap_below(Rate(56, 70), Rate(48, 80))
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert gap_below(Rate(9, 10), Rate(0, 0)).value != gap_below(Rate(9, 10), Rate(0, 0)).value  # NaN
    both = balanced(Rate(9, 10), Rate(30, 60))
    assert both["rate"] == pytest.approx(0.7) and both["interval"][0] < 0.7 < both["interval"][1] and both["n"] == 70
    assert shared_z(1) == pytest.approx(1.959964, abs=1e-5) and shared_z(10) == pytest.approx(2.807, abs=1e-3)


def test_kappa_and_reliability_by_hand() -> None:
    a = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    b = np.array([1, 1, 1, 0, 0, 0, 0, 1], dtype=bool)
    assert kappa(a, b) == {"n": 8, "observed": 0.75, "kappa": 0.5}
    assert np.isnan(kappa(a[:4], a[:4])["kappa"])
    rows = reliability([np.array([0.05, 0.95]), np.array([0.93, 1.0])], [a[4:6], np.array([True, False])])
    assert [(row["confidence"], row["rate"], row["n"]) for row in rows] == [
        (pytest.approx(0.05), 0, 1),
        (pytest.approx(0.96), pytest.approx(1 / 3), 3),
    ]


def test_the_ceiling_is_what_the_reader_sees_in_real_faces_with_those_labels(bundle: Bundle) -> None:
    real, validation = real_faces(bundle), bundle.validation()
    assert real is not None and validation is not None and bundle.judge_calibration is not None
    p = bundle.judge_calibration.probabilities(validation.logits["judge"])
    seen = p >= bundle.judge_calibration.threshold
    red, striped = (validation.labels[:, k] > 0 for k in (0, 2))
    assert real.rate("judge", "Red", -1.0) == Rate(int((~seen[~red, 0]).sum()), int((~red).sum()))
    assert real.rate("judge", "Red", 1.0, carried=False) == Rate(int(seen[~red, 0].sum()), int((~red).sum()))
    rows = red & ~striped
    assert real.whole("judge", {"Red": 1.0, "Striped": -1.0}) == Rate(
        int((seen[rows, 0] & ~seen[rows, 2]).sum()), int(rows.sum())
    )


# Verdicts


@pytest.mark.usefixtures("honest")
def test_a_batch_that_shows_what_was_asked_for_holds(bundle: Bundle, make: Make) -> None:
    folder = make("good", attributes="Red,-Striped", count=70)
    data = report_on(folder, bundle=bundle).data
    assert data["verdict"] == "holds" and data["reasons"] == [] and "shows what was asked for" in data["headline"]
    (batch,) = data["batches"]
    (cell,) = batch["cells"]
    assert batch["redrawn"]["same"] == batch["redrawn"]["compared"] == 70 and batch["redrawn"]["gate_differs"] == 0
    assert batch["redrawn"]["draws"] == batch["draws"] == cell["redrawn"] > 70
    red = cell["attributes"][0]["readers"]["judge"]
    assert red["verified"]["rate"] == 1 and red["unfiltered"]["n"] == cell["draws"] and red["unfiltered"]["rate"] < 1
    assert red["real"]["rate"] > 0.9 > 0.1 > red["real_without"]["rate"]
    assert red["gap"]["value"] == pytest.approx(red["real"]["rate"] - 1, abs=1e-5)
    exact = cell["exact"]["readers"]["judge"]
    assert exact["unfiltered"]["hits"] == 70 and exact["unfiltered"]["n"] == cell["draws"]
    per_face = cell["draws_per_face"]
    assert per_face["value"] == pytest.approx(cell["draws"] / 70, abs=1e-4)
    assert per_face["interval"][0] < per_face["value"] < per_face["interval"][1]
    kinds = [picture["kind"] for picture in cell["pictures"]]
    assert kinds == ["surest"] * 6 + ["least sure"] * 6 + ["rejected"] * 6
    rejected = {picture["draw"] for picture in cell["pictures"] if picture["kind"] == "rejected"}
    with (folder / "manifest.csv").open() as handle:
        assert not rejected & {int(row["draw"]) for row in csv.DictReader(handle)}


@pytest.mark.usefixtures("honest")
def test_latents_of_a_request_s_own_are_in_the_schema(bundle: Bundle, make: Make) -> None:
    shared = report_on(make("shared", attributes="Red", count=8), bundle=bundle, redraw=0).data
    own = report_on(make("own", attributes="Red", count=8, same_latents=False), bundle=bundle, redraw=0).data
    assert "same_latents" not in shared["batches"][0]["cells"][0]
    assert own["batches"][0]["cells"][0]["same_latents"] is False


def test_a_judge_that_reads_other_attributes_damns_the_batch(
    bundle: Bundle, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels or conditions shuffled in training: gate and generator agree with each other, and mean other things."""
    judge_with(monkeypatch, [1, 0, 3, 2, 5, 4])
    report = report_on(make("good", attributes="Red,-Striped", count=70), bundle=bundle)
    data = report.data
    assert data["verdict"] == "fails" and "does not show what was asked for. Do not use it" in data["headline"]
    assert any(re.match(r"Red: the judge sees it in \d+\.\d % of the 70 faces", line) for line in data["reasons"])
    red = data["batches"][0]["cells"][0]["attributes"][0]["readers"]
    assert red["judge"]["short"] and red["judge"]["certain"] and red["judge"]["failing"]
    assert red["verifier"]["verified"]["rate"] == 1, "the gate itself sees nothing amiss"
    page = render_page(report)
    assert "<title>Fails" in page and 'class="verdict fails"' in page and 'class="flag fails">fails' in page
    rows = {row["name"]: row for row in data["agreement"]["attributes"]}
    assert rows["Red"]["kappa"] < 0.5 < rows["Red"]["real"]["kappa"]


def test_without_a_gate_faces_are_what_they_are(bundle: Bundle, make: Make) -> None:
    """The bundle's own judge, an untrained network, says the same of nearly every face, whatever was asked for."""
    folder = make("ungated", vary=["Red"], count=60, verify={"enabled": False})
    data = report_on(folder, bundle=bundle).data
    assert data["verdict"] == "fails"
    (row,) = data["attributes"]
    found = row["readers"]["judge"]
    assert found["balanced"]["verified"]["rate"] < 0.75 < found["balanced"]["real"]["rate"]
    assert found["balanced"]["verified"] == found["balanced"]["unfiltered"]
    assert {cell["acceptance"]["rate"] for cell in data["batches"][0]["cells"]} == {1.0}
    assert all(picture["kind"] != "rejected" for cell in data["batches"][0]["cells"] for picture in cell["pictures"])


@pytest.mark.usefixtures("honest")
def test_few_faces_prove_nothing(bundle: Bundle, make: Make) -> None:
    data = report_on(make("few", attributes="Red", count=5), bundle=bundle).data
    assert data["verdict"] == "unproven" and "too few" in data["reasons"][0]


@pytest.mark.usefixtures("honest")
def test_running_out_falls_short_and_nothing_at_all_fails(bundle: Bundle, make: Make) -> None:
    some = make("some", attributes="Red", count=60, verify={"max_draws": 90})
    data = report_on(some, bundle=bundle).data
    assert data["verdict"] == "falls_short" and "draws ran out" in data["reasons"][0]
    none = make("none", attributes="Red", count=6, verify={"threshold": 0.9999999, "max_draws": 32})
    data = report_on(none, some, bundle=bundle).data
    assert data["verdict"] == "fails" and "none / Red: 32 draws gave not one face." in data["reasons"]
    assert data["batches"][0]["cells"][0]["draws_per_face"] is None


def test_graded_values_and_free_requests_are_shown_and_not_judged(bundle: Bundle, make: Make) -> None:
    report = report_on(make("graded", attributes={"Red": 0.5}, count=4), make("any", count=4), bundle=bundle)
    (graded,) = report.data["batches"][0]["cells"][0]["attributes"]
    assert not graded["gated"] and 0 < graded["readers"]["judge"]["mean_probability"] < 1
    assert report.data["verdict"] == "unproven" and report.data["attributes"] == []
    assert [picture.kind for picture in report.pictures["2.1"]] == ["first"] * 4
    page = render_page(report)
    assert "Red = 0.5 is graded" in page and "Nothing was asked for that a reader can check" in page


# What is not at hand


def test_another_bundle_s_judge_can_still_read_the_faces(
    bundle: Bundle, make: Make, tmp_path: Path, vocabulary: Vocabulary, prior: Prior
) -> None:
    plain = make_bundle(tmp_path / "p", vocabulary, prior, seed=1, with_judge=True)
    other = with_readings(plain, tmp_path / "other")
    report = report_on(make("good", attributes="Red,-Striped", count=70), bundle=other)
    batch = report.data["batches"][0]
    assert batch["read_by"] == ["judge"] and batch["redrawn"] is None and batch["cells"][0]["redrawn"] is None
    assert "is not at hand: no draw could be made again" in batch["left_out"][0]
    readers = batch["cells"][0]["attributes"][0]["readers"]
    assert readers["judge"]["real"] and readers["judge"]["unfiltered"] is None
    assert readers["verifier"]["real"] is None, "that is another verifier's"
    assert readers["verifier"]["unfiltered"]["n"] == batch["draws"], "as the batch records it"
    page = render_page(report)
    assert "Left out for good" in page and "Rejected</h4>" not in page


def test_a_bundle_of_other_attributes_and_without_a_judge_proves_nothing(
    make: Make, tiny_bundle: Bundle, bundle: Bundle, tmp_path: Path
) -> None:
    folder = make("good", attributes="Red,-Striped", count=70)
    data = report_on(folder, bundle=tiny_bundle).data
    assert data["verdict"] == "unproven" and "no judge" in data["batches"][0]["left_out"][1]
    assert data["settings"]["deciding"] == "verifier" and data["settings"]["compared"] == 0
    lettered = make_bundle(tmp_path / "abc", Vocabulary(("A", "B")), abc_prior(), with_judge=True)
    data = report_on(folder, bundle=lettered).data
    assert data["verdict"] == "unproven" and data["batches"][0]["read_by"] == []
    assert data["batches"][0]["cells"][0]["attributes"][0]["readers"]["verifier"]["verified"]["rate"] == 1
    assert "other attributes" in data["batches"][0]["left_out"][1]


def abc_prior() -> Prior:
    names = Vocabulary(("A", "B"))
    return Prior(names, np.zeros(2), np.zeros((2, 2)), np.full((2, 2), 5), np.full((2, 2), 10), 10)


@pytest.mark.usefixtures("honest")
def test_few_draws_are_made_again_if_few_are_asked_for(bundle: Bundle, make: Make) -> None:
    folder = make("good", attributes="Red,-Striped", count=70)
    report = report_on(folder, bundle=bundle, redraw=40)
    cell = report.data["batches"][0]["cells"][0]
    assert cell["redrawn"] == 40 == cell["attributes"][0]["readers"]["judge"]["unfiltered"]["n"]
    assert report.data["batches"][0]["redrawn"]["compared"] < 40
    assert "are over the first 40 draws" in render_page(report)
    none = report_on(folder, bundle=bundle, redraw=0).data["batches"][0]
    assert none["redrawn"] is None and "No draw was made again" in none["left_out"][0]


# Side effects


@pytest.mark.usefixtures("honest")
def test_side_effects_compare_with_what_faces_true_to_their_condition_would_give(bundle: Bundle, make: Make) -> None:
    folder = make("good", attributes="Red,-Striped", count=70)
    effects = report_on(folder, bundle=bundle).data["side_effects"]
    row = next(row for row in effects["rows"] if row["asked"] == "Red" and row["attribute"] == "Cat")
    real = real_faces(bundle)
    assert real is not None and effects["reader"] == "judge"
    with (folder / "manifest.csv").open() as handle:
        faces = list(csv.DictReader(handle))
    rates = {"1": real.rate("judge", "Cat", 1.0).value, "-1": real.rate("judge", "Cat", 1.0, carried=False).value}
    expected = np.mean([rates[face["condition.Cat"]] for face in faces])
    threshold = bundle.calibration.threshold[bundle.vocabulary.index("Cat")]
    seen = np.mean([float(face["verifier.Cat"]) >= threshold for face in faces])
    assert row["expected"] == pytest.approx(expected, abs=1e-4) and row["n"] == 70
    assert row["seen"] == pytest.approx(seen, abs=1 / 70 + 1e-4)
    assert row["shift"] == pytest.approx(row["seen"] - row["expected"], abs=1e-4)


def test_a_page_of_many_requests_stays_small() -> None:
    assert [each_of(n, 64) for n in (1, 33, 40, 200, 201, 4096)] == [6, 6, 5, 1, 0, 0]
    assert [each_of(n, 128) for n in (1, 16, 33, 100, 101)] == [6, 6, 3, 1, 0]
