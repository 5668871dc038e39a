"""The two simulated systems that a report must tell apart: one with a planted weakness, and a fair one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, fisher_exact
from score_helpers import STRATA, draw_pairs, find, make_set, score_pairs, simulate

from cfgan.testsets.folder import Testset as OpenedSet
from cfgan.testsets.scores.bootstrap import Subjects
from cfgan.testsets.scores.flags import against_rest, holm
from cfgan.testsets.scores.scoring import Settings

pytestmark = pytest.mark.slow

SEEDS = 200
RATE = 0.05


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedSet:
    return make_set(tmp_path_factory.mktemp("sets") / "s", draw_pairs(300))


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_weakness_is_found_first(opened: OpenedSet, seed: int) -> None:
    scores = simulate(opened.pairs, seed, weakness="Eyeglasses", by=1.5)
    data = score_pairs(opened, scores, Settings(resamples=200, rates=(0.01,)))
    parts = [row for row in data["rows"] if row["family"] != "all"]
    first = parts[0]
    assert first["name"] == "Eyeglasses" and first["flag"] == "worse" and first["error"] == "FMR"
    assert first["rates"][0]["rate"] > 5 * first["rest"]
    strata = [row["name"] for row in data["rows"] if row["family"] == "stratum" and row["kind"] == "0"]
    assert strata[0] == "Eyeglasses" and sorted(strata) == sorted(STRATA)
    assert not any(row["flag"] == "worse" for row in parts if row["name"] != "Eyeglasses")
    (contrast,) = (row for row in data["differences"] if row["stratum"] == "Eyeglasses")
    assert contrast["against"] == "random" and contrast["score"]["interval"][0] < 1.5 < contrast["score"]["interval"][1]
    assert data["differences"][0] == contrast


def test_of_a_fair_system_nothing_is_flagged_beyond_the_stated_rate(opened: OpenedSet) -> None:
    settings = Settings(threshold=2.0, rates=(), resamples=2, flag_error_rate=RATE)
    flagged = 0
    for seed in range(SEEDS):
        rows = score_pairs(opened, simulate(opened.pairs, 1000 + seed), settings)["rows"]
        assert sum(row["rates"][0]["errors"] for row in rows if row["family"] == "stratum" and row["kind"] == "0") > 40
        flagged += any(row["flag"] for row in rows)
    # If the chance of a flag were larger than RATE, so few flagged runs would be seen with probability above 0.1 %.
    assert flagged <= binom.ppf(0.999, SEEDS, RATE), flagged


def test_a_person_who_is_like_everybody_does_not_condemn_a_stratum() -> None:
    """Thirty false matches in one of ten strata would be beyond chance, were they not all one person's."""
    n, one = 2000, 30
    stratum = np.arange(n) % 10 == 0
    error = np.zeros(n, dtype=bool)
    error[np.flatnonzero(stratum)[:one]] = True
    error[np.flatnonzero(~stratum)[:: (n // 30)]] = True
    alone = Subjects([f"a{k}" for k in range(n)], [f"b{k}" for k in range(n)])
    shared = Subjects([f"a{k}" if not (stratum & error)[k] else "wolf" for k in range(n)], [f"b{k}" for k in range(n)])
    everything = np.ones(n, dtype=bool)
    (independent,) = against_rest(error, [stratum], everything, alone)
    (of_one,) = against_rest(error, [stratum], everything, shared)
    assert independent.p < 1e-6 and independent.rest == pytest.approx(28 / 1800, rel=0.1)
    assert of_one.p > 0.05


def test_nothing_can_be_said_without_others_or_without_errors() -> None:
    people = Subjects(list("abcd"), list("efgh"))
    everything, half = np.ones(4, dtype=bool), np.array([True, True, False, False])
    none, all_wrong = np.zeros(4, dtype=bool), everything
    (alone,) = against_rest(none, [everything], everything, people)
    assert math.isnan(alone.p) and math.isnan(alone.rest)
    for error in (none, all_wrong):
        (same,) = against_rest(error, [half], everything, people)
        assert same.p == 1
    assert against_rest(none, [], everything, people) == []
    assert math.isnan(against_rest(none, [half], none, people)[0].p)


def test_values_are_compared_inside_strata_where_these_hold_both() -> None:
    """A hard stratum in which nearly everybody wears eyeglasses does not make eyeglasses the reason."""
    rng = np.random.default_rng(0)
    hard = np.arange(2000) < 1000
    glasses = rng.random(2000) < np.where(hard, 0.9, 0.1)
    error = rng.random(2000) < np.where(hard, 0.3, 0.02)
    people = Subjects([f"a{k}" for k in range(2000)], [f"b{k}" for k in range(2000)])
    everything = np.ones(2000, dtype=bool)
    (crude,) = against_rest(error, [glasses], everything, people)
    (inside,) = against_rest(error, [glasses], everything, people, hard.astype(np.int64))
    assert crude.p < 1e-6 and not crude.in_strata and crude.gap > 0.1
    assert inside.p > 0.05 and inside.in_strata and abs(inside.gap) < 0.06
    truly = error | (glasses & (rng.random(2000) < 0.2))
    (found,) = against_rest(truly, [glasses], everything, people, hard.astype(np.int64))
    assert found.p < 1e-4 and found.gap > 0.1
    (constant,) = against_rest(error, [hard], everything, people, hard.astype(np.int64))
    (same,) = against_rest(error, [hard], everything, people)
    assert constant == same and not constant.in_strata


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=60))
def test_of_independent_comparisons_the_p_value_is_never_below_fishers(drawn: list[tuple[bool, bool]]) -> None:
    part, error = (np.array(column, dtype=bool) for column in zip(*drawn, strict=True))
    n = len(drawn)
    people = Subjects([f"a{k}" for k in range(n)], [f"b{k}" for k in range(n)])
    (found,) = against_rest(error, [part], np.ones(n, dtype=bool), people)
    if part.all() or not part.any():
        assert math.isnan(found.p)
        return
    cells = [[int((part & error).sum()), int((part & ~error).sum())]]
    cells.append([int((~part & error).sum()), int((~part & ~error).sum())])
    smaller = min(fisher_exact(cells, alternative=side).pvalue for side in ("less", "greater"))
    assert found.p >= min(1.0, 2 * smaller) - 1e-9
    assert found.gap == pytest.approx(error[part].mean() - error[~part].mean())


def holm_by_definition(p: list[float], level: float) -> set[int]:
    """Step down: reject the smallest while it is at most level / (tests left)."""
    rejected: set[int] = set()
    for k in sorted(range(len(p)), key=lambda i: p[i]):
        if p[k] > level / (len(p) - len(rejected)):
            break
        rejected.add(k)
    return rejected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_step_down_rule_rejects(p: list[float], level: float) -> None:
    adjusted = holm(p)
    by_rule = {p[k] for k in holm_by_definition(p, level)}
    for corrected, value in zip(adjusted, p, strict=True):
        assert abs(corrected - level) < 1e-12 or (corrected <= level) == (value in by_rule)
    with_none = holm([*p, math.nan])
    assert with_none[:-1] == adjusted and math.isnan(with_none[-1])


def test_parts_of_the_same_comparisons_are_one_test(tmp_path: Path) -> None:
    """A set of two strata holds one question, however often it is asked: by stratum, complement and attribute."""
    pairs = draw_pairs(200, ("random", "Eyeglasses"), mated=False)
    plain = [replace(pair, matched=("Eyeglasses",) if pair.stratum == "Eyeglasses" else ()) for pair in pairs]
    data = score_pairs(
        make_set(tmp_path / "s", plain), simulate(plain, 0, weakness="Eyeglasses", by=0.7), Settings(resamples=10)
    )
    rows = [find(data, *key) for key in (("stratum", "Eyeglasses"), ("stratum", "random"), ("matched", "Eyeglasses"))]
    assert all(row["p_holm"] == row["p"] for row in rows)
