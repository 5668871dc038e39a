"""What has to be read before any figure, and thresholds that mean what is printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_helpers import draw_pairs, find, make_set, score_pairs, simulate, write_scores
from typer.testing import CliRunner

from cfgan.reports.score.words import exact
from cfgan.testsets.folder import Testset as OpenedSet
from cfgan.testsets.scores.rates import threshold_at_fmr, typed
from cfgan.testsets.scores.scoring import Settings
from cfgan_cli.app import app

FEW = Settings(resamples=100, rates=(0.05,))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedSet:
    return make_set(tmp_path_factory.mktemp("sets") / "s", draw_pairs(100, ("random", "Male", "Eyeglasses")))


def test_distances_given_as_similarities_are_said_first(opened: OpenedSet) -> None:
    scores = simulate(opened.pairs, 1)
    assert score_pairs(opened, scores, FEW)["warnings"] == []
    (warning,) = score_pairs(opened, -scores, FEW)["warnings"]
    assert "--distance" in warning
    assert score_pairs(opened, -scores, FEW, distance=True)["warnings"] == []


def test_a_threshold_outside_all_scores_is_said_first(opened: OpenedSet) -> None:
    scores = simulate(opened.pairs, 1)
    for threshold, what in ((99.0, "no comparison matches"), (-99.0, "every comparison matches")):
        (warning,) = score_pairs(opened, scores, Settings(threshold=threshold, rates=(), resamples=100))["warnings"]
        assert what in warning
    (warning,) = score_pairs(opened, scores, Settings(threshold=99.0, rates=(), resamples=100), distance=True)[
        "warnings"
    ][1:]
    assert "every comparison matches" in warning


def test_a_system_that_chose_the_set_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = [replace(pair, similarity=float(rng.normal()), control=float(rng.normal())) for pair in draw_pairs(60)]
    opened = make_set(tmp_path / "s", pairs)
    chooser = np.array([pair.similarity for pair in pairs])
    control = np.array([pair.control for pair in pairs])
    said = score_pairs(opened, np.exp(chooser), FEW)["warnings"]  # any rising function of it
    assert any("chose and screened" in sentence for sentence in said)
    said = score_pairs(opened, control, FEW)["warnings"]
    assert any("controlled" in sentence for sentence in said)
    said = score_pairs(opened, chooser + rng.normal(size=len(pairs)), FEW)["warnings"]
    assert not any("chose and screened" in sentence for sentence in said)


@given(st.lists(st.integers(0, 20), min_size=2, max_size=40), st.floats(0.0, 0.9))
def test_a_threshold_that_is_typed_in_decides_as_the_one_that_was_printed(steps: list[int], target: float) -> None:
    scores = np.array(steps) * 5.0
    found = threshold_at_fmr(scores, target)
    printed = float(exact(typed(found, scores)))
    assert ((scores >= printed) == (scores >= found)).all()


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), st.floats(0.0, 0.9))
def test_so_does_that_of_scores_of_any_kind(values: list[float], target: float) -> None:
    scores = np.array(values)
    found = threshold_at_fmr(scores, target)
    assert ((scores >= float(exact(typed(found, scores)))) == (scores >= found)).all()


def test_the_printed_threshold_gives_the_printed_rates(opened: OpenedSet, tmp_path: Path) -> None:
    scores = np.round(simulate(opened.pairs, 2)) * 5
    point = score_pairs(opened, scores, FEW)["points"][0]
    again = score_pairs(opened, scores, Settings(threshold=float(exact(point["threshold"])), rates=(), resamples=100))
    for found in point["at_threshold"]:
        assert find(again, "all", "", found["kind"])["rates"][0]["errors"] == found["errors"]
    file = write_scores(tmp_path / "s.csv", [pair.pair for pair in opened.pairs], list(scores))
    shown = CliRunner().invoke(
        app, ["testset", "score", str(opened.path), str(file), "--at", "0.05", "--resamples", "100"]
    )
    assert exact(point["threshold"]) in shown.output and "held out" in shown.output


def test_no_equal_error_rate_is_pooled_over_imposters_of_graded_hardness(opened: OpenedSet) -> None:
    curves = score_pairs(opened, simulate(opened.pairs, 3), FEW)["curves"]
    assert "" not in {curve["stratum"] for curve in curves}
    changed = next(curve for curve in curves if curve["stratum"] == "Smiling")
    assert changed["negatives_from"] == "random" and changed["negatives"] == 100


def test_whether_the_comparisons_are_enough_is_counted_for_an_own_threshold_too(opened: OpenedSet) -> None:
    scores = simulate(opened.pairs, 4)

    def enough(threshold: float) -> bool:
        (point,) = score_pairs(opened, scores, Settings(threshold=threshold, rates=(), resamples=100))["points"]
        return bool(point["supported"])

    assert enough(0.5) and not enough(float(scores.max()))
