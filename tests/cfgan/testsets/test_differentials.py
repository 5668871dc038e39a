"""Groups at one threshold: planted weaknesses are found, fair systems are left alone, measures are what papers say."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import numpy as np
import pytest
from score_helpers import image, make_set, score_pairs

from cfgan.errors import InputError
from cfgan.reports.score.report import score_files, score_schema
from cfgan.testsets.folder import Pair
from cfgan.testsets.folder import Testset as OpenedSet
from cfgan.testsets.scores.comparisons import Comparisons, join_scores
from cfgan.testsets.scores.differentials import differentials, gini, groups_of
from cfgan.testsets.scores.operating_points import at_threshold
from cfgan.testsets.scores.scoring import Settings
from cfgan.testsets.scores.tables import ScoreTable

pytestmark = pytest.mark.slow

GROUPS = ("Male,Young", "Male,-Young", "-Male,Young", "-Male,-Young")
EACH = 400  # faces of a group; each is enrolled once and the probe of another once


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedSet:
    pairs = []
    for g, group in enumerate(GROUPS):
        for k in range(EACH):
            face, other = g * EACH + k, g * EACH + (k + 5) % EACH
            for mated, b in (("0", image(other)), ("presumed", image(face, 2))):
                name = f"p{len(pairs) + 1:06d}"
                matched = tuple(group.split(","))
                pairs.append(Pair(name, image(face), b, mated, group, "", matched, (), (), None, k % 5 + 1))  # type: ignore[arg-type]
    return make_set(tmp_path_factory.mktemp("groups") / "s", pairs, "factorial")


def scored(opened: OpenedSet, seed: int, weak: str = "", by: float = 0.0) -> np.ndarray:
    """Normal scores, mated ones 4 higher, faces that are like many; imposters of one group more alike."""
    rng = np.random.default_rng(seed)
    effect = rng.normal(size=len(GROUPS) * EACH) * 0.3
    subject = np.array([[int(f.split("/")[1][1:]) - 1 for f in (p.a, p.b)] for p in opened.pairs])
    mated = np.array([p.mated != "0" for p in opened.pairs])
    weakness = np.array([p.stratum == weak for p in opened.pairs]) & ~mated
    return rng.normal(size=len(mated)) + effect[subject].sum(1) + 4 * mated + by * weakness


def found(opened: OpenedSet, scores: np.ndarray, resamples: int = 100) -> dict:
    none = np.zeros(len(scores), dtype=bool)
    table = ScoreTable(Path("s.csv"), "0" * 64, scores, none, none)
    comparisons: Comparisons = join_scores(opened, table, distance=False, allow_missing=False)
    result = differentials(
        comparisons,
        groups_of(opened, ()),
        at_threshold(comparisons, 1.8),
        resamples=resamples,
        seed=0,
        flag_error_rate=0.05,
    )
    assert result is not None
    return result


def test_a_planted_weakness_is_found_in_ninety_five_of_a_hundred_sets(opened: OpenedSet) -> None:
    hits = 0
    for seed in range(100):
        side = found(opened, scored(opened, seed, "-Male,Young", 0.7), 1)["sides"][-1]
        hits += side["groups"][0]["group"] == "-Male,Young" and side["groups"][0]["flag"] == "worse"
    assert hits >= 95


def test_a_fair_system_is_flagged_in_one_of_twenty_sets_at_most(opened: OpenedSet) -> None:
    assert sum(found(opened, scored(opened, 1000 + seed), 1)["flagged"] for seed in range(200)) <= 10


def test_a_fair_systems_measures_lie_where_it_is_said_that_they_do(opened: OpenedSet) -> None:
    below = {"max_over_geometric_mean": 0, "gini": 0, "largest_difference": 0}
    for seed in range(100):
        measures = found(opened, scored(opened, 3000 + seed), 1)["sides"][-1]["measures"]
        for name in below:
            below[name] += measures[name]["value"] <= measures[name]["fair"]
    assert all(count >= 88 for count in below.values()), below


def test_the_report_holds_the_groups_with_their_measures(opened: OpenedSet) -> None:
    data = score_pairs(opened, scored(opened, 5, "Male,Young", 1.0), Settings(threshold=1.8, resamples=100))
    jsonschema.validate(data, score_schema())
    part = data["differentials"]
    fmr = next(side for side in part["sides"] if side["kind"] == "0")
    assert part["flagged"] and part["threshold"] == 1.8 and fmr["groups"][0]["group"] == "Male,Young"
    over = fmr["measures"]["max_over_geometric_mean"]
    rates = np.array([(group["errors"] + 0.5) / (group["n"] + 1) for group in fmr["groups"]])
    assert over["value"] == pytest.approx(rates.max() / np.exp(np.log(rates).mean()), rel=1e-5)
    assert over["interval"][0] <= over["value"] <= over["interval"][1] and over["value"] > over["fair"]
    fnmr = next(side for side in part["sides"] if side["kind"] == "presumed")
    assert part["garbe"]["value"] == pytest.approx(
        (fmr["measures"]["gini"]["value"] + fnmr["measures"]["gini"]["value"]) / 2, rel=1e-4
    )
    spread = [side["measures"]["largest_difference"]["value"] for side in (fmr, fnmr)]
    assert part["fdr"]["value"] == pytest.approx(1 - sum(spread) / 2, rel=1e-4)
    files = score_files(data)
    assert b"Do groups differ?" in files["report.html"] and files["differentials.csv"].count(b"\n") == 9


def test_groups_are_what_a_set_crosses_or_what_is_asked_for(opened: OpenedSet) -> None:
    assert list(groups_of(opened, ())) == list(GROUPS)
    by_sex = groups_of(opened, ("Male",))
    assert sorted(by_sex) == ["-Male", "Male"] and all(mask.sum() == 4 * EACH for mask in by_sex.values())
    with pytest.raises(InputError, match="'Yong'.*Did you mean Young"):
        groups_of(opened, ("Yong",))


def test_gini_is_zero_for_equals_and_one_for_a_single_sinner() -> None:
    rates = np.array([[0.1, 0.1, 0.1], [0.3, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert gini(rates) == pytest.approx([0.0, 1.0, 0.0])


def mixed_set(folder: Path, seed: int) -> OpenedSet:
    """A rare group that stands more often among the hard pairs than the others do."""
    rng, pairs = np.random.default_rng(seed), []
    for k in range(1200):
        hard = k % 2 == 1
        man = rng.random() < (0.4 if hard else 0.15)
        matched = ("Male" if man else "-Male",)
        name, stratum = f"p{k + 1:06d}", "nearest" if hard else "random"
        pairs.append(Pair(name, image(2 * k), image(2 * k + 1), "0", stratum, f"g{k}", matched, (), (), None, 1))
    return make_set(folder, pairs)


def test_groups_that_stand_in_other_strata_are_not_taken_for_worse(tmp_path: Path) -> None:
    flagged, gaps = 0, []
    for seed in range(20):
        opened, rng = mixed_set(tmp_path / f"{seed}", seed), np.random.default_rng(100 + seed)
        hard = np.array([pair.stratum == "nearest" for pair in opened.pairs])
        data = score_pairs(opened, rng.normal(size=1200) + hard, Settings(threshold=1.5, resamples=20, by=("Male",)))
        (side,) = data["differentials"]["sides"]
        assert sorted(side["strata"]) == ["nearest", "random"] and sum(group["n"] for group in side["groups"]) == 1200
        rates = {group["group"]: group["rate"] for group in side["groups"]}
        flagged += data["differentials"]["flagged"]
        gaps.append(rates["Male"] - rates["-Male"])
    assert flagged <= 2 and abs(np.mean(gaps)) < 0.02


def test_a_standardised_rate_is_the_mean_over_strata_of_the_same_weight(tmp_path: Path) -> None:
    opened = mixed_set(tmp_path / "s", 1)
    scores = np.random.default_rng(3).normal(size=1200)
    data = score_pairs(opened, scores, Settings(threshold=0.5, resamples=20, by=("Male",)))
    (side,) = data["differentials"]["sides"]
    n, rate = {}, {}
    for k, pair in enumerate(opened.pairs):
        cell = pair.matched[0], pair.stratum
        n[cell] = n.get(cell, 0) + 1
        rate[cell] = rate.get(cell, 0) + (scores[k] >= 0.5)
    weight = {s: 1 / (1 / n["Male", s] + 1 / n["-Male", s]) for s in ("random", "nearest")}
    for group in side["groups"]:
        name = group["group"]
        expected = sum(w * rate[name, s] / n[name, s] for s, w in weight.items()) / sum(weight.values())
        assert group["rate"] == pytest.approx(expected, rel=1e-5)
