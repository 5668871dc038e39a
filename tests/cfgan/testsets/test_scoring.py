from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from score_helpers import draw_pairs, find, image, make_set, score_pairs, simulate, write_scores
from typer.testing import CliRunner

from cfgan.errors import DataError, InputError
from cfgan.reports.score.report import score_files, score_schema
from cfgan.reports.score.words import findings, headline, verdict
from cfgan.stats.intervals import wilson_interval
from cfgan.testsets.folder import Item, Pair
from cfgan.testsets.folder import Testset as OpenedSet
from cfgan.testsets.scores.comparisons import join_scores, names_of
from cfgan.testsets.scores.rates import threshold_at_fmr, threshold_at_fnmr
from cfgan.testsets.scores.scoring import Settings, score_testset
from cfgan.testsets.scores.tables import read_scores
from cfgan_cli.app import app

FEW = Settings(resamples=100, rates=(0.05,))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedSet:
    return make_set(tmp_path_factory.mktemp("sets") / "s", draw_pairs(100, ("random", "Male", "Eyeglasses")))


def test_rates_are_those_of_the_decisions_and_failures_are_counted(opened: OpenedSet) -> None:
    scores = simulate(opened.pairs, 1)
    failed = np.random.default_rng(0).random(len(scores)) < 0.1
    scores[failed] = np.nan
    data = score_pairs(opened, scores, Settings(threshold=2.0, rates=(), resamples=100))
    jsonschema.validate(data, score_schema())
    for row in data["rows"]:
        mine = [
            (float(score), pair)
            for score, pair in zip(scores, opened.pairs, strict=True)
            if pair.mated == row["kind"] and row["name"] in parts_of(pair, row["family"])
        ]
        known = [score for score, _ in mine if not math.isnan(score)]
        wrong = sum(s >= 2.0 for s in known) if row["kind"] == "0" else sum(s < 2.0 for s in known)
        (rate,) = row["rates"]
        assert (row["n"], row["scored"], rate["errors"]) == (len(mine), len(known), wrong)
        fta = 1 - len(known) / len(mine)
        error = wrong / len(known)
        general = (1 - fta) * error if row["kind"] == "0" else fta + (1 - fta) * error
        assert [rate["general"], row["failure_rate"]] == pytest.approx([general, fta], rel=1e-5)
        assert rate["interval"][0] <= rate["rate"] <= rate["interval"][1]
        assert rate["general_term"] == ("GFAR" if row["kind"] == "0" else "GFRR")
    assert data["scores"]["without_score"] == failed.sum() and any("have no score" in note for note in data["notes"])


def test_a_folds_threshold_is_chosen_on_the_random_comparisons_of_the_other_folds(opened: OpenedSet) -> None:
    scores = simulate(opened.pairs, 2)
    (point,) = score_pairs(opened, scores, FEW)["points"]
    assert point["cross_validated"] and sorted(point["thresholds_by_fold"]) == list("12345")
    chosen = np.array([pair.stratum == "random" for pair in opened.pairs])
    fold = np.array([pair.fold for pair in opened.pairs])
    for key, threshold in point["thresholds_by_fold"].items():
        exact = threshold_at_fmr(scores[chosen & (fold != int(key))], 0.05)
        assert ((scores >= threshold) == (scores >= exact)).all()
    assert ((scores >= point["threshold"]) == (scores >= threshold_at_fmr(scores[chosen], 0.05))).all()
    all_strata = score_pairs(opened, scores, replace(FEW, threshold_from="Male"))
    assert all_strata["settings"]["threshold_from"] == "Male"
    with pytest.raises(InputError, match="there is no stratum 'Mal'. Did you mean Male"):
        score_pairs(opened, scores, replace(FEW, threshold_from="Mal"))
    with pytest.raises(InputError, match="'Bald' has no non-mated comparison"):
        score_pairs(opened, scores, replace(FEW, threshold_from="Bald"))


def test_thresholds_of_one_fold_are_said_to_be_optimistic(tmp_path: Path) -> None:
    pairs = draw_pairs(30, ("Male",), folds=1)
    data = score_pairs(make_set(tmp_path / "s", pairs), simulate(pairs, 0), FEW)
    assert not data["points"][0]["cross_validated"] and any("optimistic" in note for note in data["notes"])
    assert data["settings"]["threshold_from"] == "all"


def test_distances_are_the_same_turned_over(opened: OpenedSet) -> None:
    scores = simulate(opened.pairs, 3)
    settings = Settings(threshold=2.0, rates=(0.05,), resamples=100)
    alike = score_pairs(opened, scores, settings)
    apart = score_pairs(opened, -scores, replace(settings, threshold=-2.0), distance=True)
    assert apart["rows"] == alike["rows"] and apart["scores"]["direction"] == "distance"
    assert [point["threshold"] for point in apart["points"]] == [-point["threshold"] for point in alike["points"]]
    assert [c["eer"] for c in apart["curves"]] == [c["eer"] for c in alike["curves"]]
    for one, other in zip(alike["differences"], apart["differences"], strict=True):
        assert one["score"]["value"] == -other["score"]["value"] and one["rates"] == other["rates"]
        assert one["score"]["interval"] == [-end for end in other["score"]["interval"][::-1]]


def test_presumed_mated_pairs_stand_apart(tmp_path: Path) -> None:
    pairs = draw_pairs(60, ("random",))
    pairs = [replace(p, mated="1") if p.stratum == "Bald" else p for p in pairs]
    data = score_pairs(make_set(tmp_path / "s", pairs), simulate(pairs, 0), FEW)
    kinds = {row["kind"]: row["n"] for row in data["rows"] if row["family"] == "all"}
    assert kinds == {"0": 60, "1": 60, "presumed": 60}
    whole = [(curve["kind"], curve["positives"]) for curve in data["curves"] if not curve["stratum"]]
    assert whole == [("1", 60), ("presumed", 60)]
    borrowed = [curve for curve in data["curves"] if curve["stratum"] == "random"]
    assert [(c["kind"], c["positives_from"], c["negatives_from"]) for c in borrowed] == [("1", "all", "stratum")]
    assert any(note.startswith("Presumed mated") for note in data["notes"])


@pytest.mark.slow
def test_what_a_change_does_is_measured_face_by_face(tmp_path: Path) -> None:
    """Faces differ far more than the change does: only inside the groups can it be seen."""
    pairs = [p for p in draw_pairs(80) if p.mated == "presumed"]
    opened = make_set(tmp_path / "s", pairs, "transect")
    rng = np.random.default_rng(0)
    of_face = dict(zip([f"g{g}" for g in range(80)], rng.normal(size=80) * 10, strict=True))
    scores = np.array([of_face[p.group] + rng.normal() * 0.3 - 0.5 * (p.stratum == "Bald") for p in pairs])
    data = score_pairs(opened, scores, Settings(threshold=0.0, rates=(), resamples=400))
    jsonschema.validate(data, score_schema())
    (bald,) = (row for row in data["differences"] if row["stratum"] == "Bald")
    by_hand = np.mean([scores[k] - scores[j] for k, j in paired(pairs)])
    low, high = bald["score"]["interval"]
    assert bald["score"]["value"] == pytest.approx(by_hand, rel=1e-5) and bald["groups"] == 80 and not bald["against"]
    assert low < by_hand < high < 0 and high - low < 0.4  # of faces unpaired: about 6
    against = score_pairs(opened, scores, Settings(threshold=0.0, rates=(), resamples=100, baseline="Smiling"))
    assert [(r["stratum"], r["against"]) for r in against["differences"]] == [("Bald", "Smiling")]
    page = score_files(against)["report.html"].decode()
    assert "FNMR" in page and "DET curves" not in page and "None" not in page
    assert against["rows"] and data["support"] is None
    with pytest.raises(InputError, match="no stratum 'Smilin'. Did you mean Smiling"):
        score_pairs(opened, scores, Settings(threshold=0.0, rates=(), baseline="Smilin"))
    with pytest.raises(InputError, match="no non-mated comparisons with a score"):
        score_pairs(opened, scores, FEW)


def parts_of(pair: Pair, family: str) -> tuple[str, ...]:
    return {"all": ("",), "stratum": (pair.stratum,), "matched": pair.matched, "differing": pair.differing}[family]


def paired(pairs: list[Pair]) -> list[tuple[int, int]]:
    places = {(p.group, p.stratum): k for k, p in enumerate(pairs)}
    return [(places[group, "Bald"], places[group, "Smiling"]) for group, stratum in places if stratum == "Bald"]


def test_few_errors_get_wilsons_interval_over_independent_comparisons(opened: OpenedSet) -> None:
    data = score_pairs(opened, simulate(opened.pairs, 4), Settings(threshold=50.0, rates=(), resamples=100))
    row = find(data, "stratum", "Male")
    (rate,) = row["rates"]
    assert rate["errors"] == 0 and rate["method"] == "wilson" and row["independent"] < row["scored"]
    assert rate["interval"] == pytest.approx(wilson_interval(0, row["independent"]), rel=1e-5)
    assert row["smallest_rate"] == pytest.approx(3 / row["independent"], rel=1e-5)


def test_rates_too_small_for_the_set_are_said_to_be(opened: OpenedSet) -> None:
    data = score_pairs(opened, simulate(opened.pairs, 4), Settings(rates=(0.2, 0.001), resamples=100))
    assert [point["supported"] for point in data["points"]] == [True, False]
    assert any(note.startswith("FMR 0.1 %: too few") for note in data["notes"])
    assert data["support"]["rule_of_thirty"] == pytest.approx(min(1, 10 * data["support"]["rule_of_three"]), rel=1e-5)


def test_the_same_scores_and_seed_give_the_same_figures(opened: OpenedSet) -> None:
    scores = simulate(opened.pairs, 5)
    assert score_pairs(opened, scores, FEW) == score_pairs(opened, scores, FEW)
    assert score_pairs(opened, scores, FEW) != score_pairs(opened, scores, replace(FEW, seed=1))


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (Settings(rates=(0.0,)), "not an error rate between 0 and 1"),
        (Settings(rates=(math.nan,)), "not an error rate between 0 and 1"),
        (Settings(threshold=math.inf), "not a finite number"),
        (Settings(rates=()), "give --threshold"),
    ],
)
def test_settings_that_mean_nothing_are_refused(opened: OpenedSet, settings: Settings, what: str) -> None:
    with pytest.raises(InputError, match=what):
        score_pairs(opened, simulate(opened.pairs, 0), settings)


def detection_items(n: int = 120) -> list[Item]:
    kinds = ("Male,Eyeglasses", "-Male,-Eyeglasses")
    attacks = [Item(f"i{k:06d}", image(k), "attack", kinds[k % 2], k % 4 + 1) for k in range(n)]
    return attacks + [Item(f"i{n + k:06d}", "", "bona_fide", kinds[k % 2], k % 4 + 1) for k in range(n)]


@pytest.mark.slow
def test_a_detection_set_gives_apcer_at_bpcer_and_the_other_way_round(tmp_path: Path) -> None:
    items = detection_items()
    opened = make_set(tmp_path / "s", items, "detection")
    rng = np.random.default_rng(0)
    scores = {i.item: rng.normal() + (0 if i.label != "attack" else 0.5 if i.stratum[0] == "M" else 2) for i in items}
    filled = [item for item in items if item.file or int(item.item[1:]) % 3]  # a third of the slots stay empty
    path = write_scores(tmp_path / "s.csv", [i.item for i in filled], [scores[i.item] for i in filled], "item,score")
    names, optional = names_of(opened)
    table = read_scores(path, names, key="item", column="score", optional=optional)
    comparisons = join_scores(opened, table, distance=False, allow_missing=False)
    data = score_testset(opened, comparisons, table, Settings(rates=(0.05,), resamples=200))
    jsonschema.validate(data, score_schema())
    assert data["scores"]["unfilled_slots"] == 40 and data["scores"]["without_score"] == 0
    assert [point["name"] for point in data["points"]] == ["BPCER 5 %", "APCER 5 %"]
    errors = {"attack": [0, 0], "bona_fide": [0, 0]}
    side = {label: [i for i in filled if i.label == label] for label in errors}
    for item in filled:
        others = {label: np.array([scores[i.item] for i in its if i.fold != item.fold]) for label, its in side.items()}
        for k, t in enumerate((threshold_at_fmr(others["bona_fide"], 0.05), threshold_at_fnmr(others["attack"], 0.05))):
            errors[item.label][k] += (scores[item.item] >= t) != (item.label == "attack")
    for label, counts in errors.items():
        assert [rate["errors"] for rate in find(data, "all", "", label)["rates"]] == counts
    worst = next(row for row in data["rows"] if row["family"] == "stratum" and row["kind"] == "attack")
    assert worst["name"] == "Male,Eyeglasses" and worst["error"] == "APCER" and worst["flag"] == "worse"
    assert find(data, "attribute", "Male", "attack")["rates"] == worst["rates"]
    assert find(data, "all", "", "bona_fide")["n"] == 80
    page = score_files(data)["report.html"].decode()
    assert "APCER" in page and "D-EER" in page and "FNMR" not in page and "None" not in page
    assert not data["differences"] and {row["failure_term"] for row in data["rows"]} == {"APNRR", "BPNRR"}


def test_attacks_alone_need_a_threshold(tmp_path: Path) -> None:
    items = detection_items(20)
    opened = make_set(tmp_path / "s", items, "detection")
    path = write_scores(tmp_path / "s.csv", [i.item for i in items if i.file], range(20), "item,score")
    names, optional = names_of(opened)
    table = read_scores(path, names, key="item", column="score", optional=optional)
    comparisons = join_scores(opened, table, distance=False, allow_missing=False)
    with pytest.raises(InputError, match="no bona fide presentations with a score"):
        score_testset(opened, comparisons, table, FEW)
    data = score_testset(opened, comparisons, table, Settings(threshold=5, rates=(0.01,), resamples=100))
    assert find(data, "all", "", "attack")["rates"][0]["errors"] == 5 and not data["curves"]
    path = write_scores(tmp_path / "m.csv", ["i000003"], [1], "item,score")
    missing = read_scores(path, names, key="item", column="score", optional=optional)
    with pytest.raises(DataError, match=r"no row for i000000, i000001, .* and 14 more \(19 in all\) of 40"):
        join_scores(opened, missing, distance=False, allow_missing=False)


@pytest.mark.slow
def test_a_part_of_which_nothing_has_a_score_is_the_worst_and_not_forgotten(opened: OpenedSet, tmp_path: Path) -> None:
    """A system that takes no face with a mask fails on all of them."""
    scores = simulate(opened.pairs, 1)
    lost = np.array([pair.stratum == "Male" for pair in opened.pairs])
    scores[lost] = np.nan
    data = score_pairs(opened, scores, Settings(threshold=2.0, resamples=100))
    jsonschema.validate(data, score_schema())
    row = find(data, "stratum", "Male")
    assert (row["n"], row["scored"], row["failure_rate"], row["failure_flag"]) == (100, 0, 1.0, "worse")
    assert [rate["rate"] for rate in row["rates"]] == [None] * len(data["points"]) and row["smallest_rate"] is None
    assert verdict(data) == "weak" and "more without a score" in headline(data)
    assert any("FTA 100.0 %" in sentence and "100 of 100 without a score" in sentence for sentence in findings(data))
    files = score_files(data)
    assert b"stratum,Male,0,100,0,100" in files["rates.csv"]
    write_scores(tmp_path / "s.csv", [pair.pair for pair in opened.pairs], ["" if s != s else s for s in scores])
    command = ["testset", "score", str(opened.path), str(tmp_path / "s.csv"), "--threshold", "20"]
    gated = CliRunner().invoke(app, [*command, "--resamples", "100", "--fail-above", "0.5"])
    assert gated.exit_code == 1 and "Male (no score)" in gated.output, gated.output


@pytest.mark.slow
def test_failures_that_fall_on_a_few_of_all_parts_are_no_flag(opened: OpenedSet) -> None:
    flags = 0
    for seed in range(20):
        rng, scores = np.random.default_rng(seed), simulate(opened.pairs, seed)
        scores[rng.random(len(scores)) < 0.05] = np.nan
        rows = score_pairs(opened, scores, Settings(threshold=2.0, resamples=2))["rows"]
        flags += any(row["failure_flag"] or row["flag"] for row in rows)
    assert flags <= 3


def test_a_kind_of_which_nothing_has_a_score_is_named(opened: OpenedSet) -> None:
    scores = simulate(opened.pairs, 1)
    mated = np.array([pair.mated != "0" for pair in opened.pairs])
    scores[mated] = np.nan
    data = score_pairs(opened, scores, FEW)
    assert f"None of the {mated.sum()} presumed mated comparisons has a score: there is no FNMR." in data["notes"]
