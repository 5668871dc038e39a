"""Two systems on one set, comparison by comparison."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from score_helpers import draw_pairs, make_set, simulate, write_scores
from typer.testing import CliRunner

from cfgan.testsets.folder import Testset as OpenedSet
from cfgan_cli.app import app

run = CliRunner().invoke


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedSet:
    return make_set(tmp_path_factory.mktemp("sets") / "s", draw_pairs(200, ("random", "Male", "Eyeglasses")))


def versus(opened: OpenedSet, tmp_path: Path, first: np.ndarray, second: np.ndarray, *more: str) -> dict:
    names = [pair.pair for pair in opened.pairs]
    files = [write_scores(tmp_path / f"{k}.csv", names, list(each)) for k, each in enumerate((first, second))]
    found = run(app, ["testset", "score", str(opened.path), *map(str, files), "--resamples", "200", "--json", *more])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def row(data: dict, family: str, name: str, kind: str = "0") -> dict:
    (found,) = (r for r in data["rows"] if (r["family"], r["name"], r["kind"]) == (family, name, kind))
    return found


@pytest.mark.slow
def test_a_system_that_is_worse_on_one_stratum_is_said_to_be_and_on_no_other(opened: OpenedSet, tmp_path: Path) -> None:
    first = simulate(opened.pairs, 1)
    weak = np.array([pair.stratum == "Eyeglasses" for pair in opened.pairs])
    second = first + 0.05 * np.random.default_rng(2).normal(size=len(first)) + 1.2 * weak
    data = versus(opened, tmp_path, first, 100 + 7 * second, "--at", "0.05")  # another scale
    glasses = row(data, "stratum", "Eyeglasses")
    (rate,) = glasses["rates"]
    assert glasses["flag"] == "worse" and rate["interval"][0] > 0
    assert rate["difference"] == pytest.approx(rate["rates"][1] - rate["rates"][0], abs=1e-6)
    assert rate["only_second"] - rate["only_first"] == round(rate["difference"] * glasses["scored"])
    assert row(data, "stratum", "random")["flag"] == row(data, "stratum", "Male")["flag"] == ""
    back = versus(opened, tmp_path, 100 + 7 * second, first, "--at", "0.05")
    assert row(back, "stratum", "Eyeglasses")["flag"] == "better"


def test_a_system_differs_in_nothing_from_itself(opened: OpenedSet, tmp_path: Path) -> None:
    first = simulate(opened.pairs, 3)
    data = versus(opened, tmp_path, first, first * 2)
    assert all(r["rates"][0]["difference"] == 0 and not r["flag"] and r["p"] == 1 for r in data["rows"])


@pytest.mark.slow
def test_two_systems_of_equal_strength_are_rarely_said_to_differ(opened: OpenedSet, tmp_path: Path) -> None:
    flagged = 0
    for seed in range(20):
        shared = simulate(opened.pairs, seed)
        noise = np.random.default_rng([seed, 9]).normal(size=(2, len(shared)))
        data = versus(opened, tmp_path, shared + noise[0], shared + noise[1], "--at", "0.05", "--resamples", "100")
        flagged += any(r["flag"] for r in data["rows"])
    assert flagged <= 3


@pytest.mark.slow
def test_what_one_system_has_no_score_for_is_left_out_and_counted(opened: OpenedSet, tmp_path: Path) -> None:
    first, second = simulate(opened.pairs, 4), simulate(opened.pairs, 5)
    names = [pair.pair for pair in opened.pairs]
    cells = [["" if k < 7 else value for k, value in enumerate(first)], list(second)]
    files = [write_scores(tmp_path / f"{k}.csv", names, each) for k, each in enumerate(cells)]
    out = tmp_path / "versus.json"
    arguments = ["testset", "score", str(opened.path), *map(str, files), "--resamples", "100", "--out", str(out)]
    found = run(app, arguments)
    assert found.exit_code == 0 and "7 without a score" in found.output and "7 left out" in found.output
    data = json.loads(out.read_text())
    assert data["comparisons"] == len(names) - 7 and data["format"] == "cfgan-versus/1"
    assert run(app, arguments).exit_code == 0, "an older comparison is replaced"
    out.write_text("mine")
    refused = run(app, arguments)
    assert refused.exit_code == 2 and out.read_text() == "mine"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--threshold", "1"], "2 expected, one a system"),
        (["--baseline", "random"], "cannot be combined with two tables"),
        (["third.csv"], "two to compare"),
    ],
)
def test_what_does_not_fit_two_systems_is_refused(
    opened: OpenedSet, tmp_path: Path, more: list[str], message: str
) -> None:
    file = write_scores(tmp_path / "a.csv", ["p000001"], [1])
    found = run(app, ["testset", "score", str(opened.path), str(file), str(file), *more])
    assert found.exit_code == 2 and message in " ".join(found.output.split())
