from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from score_helpers import STRATA, draw_pairs, make_set, simulate, write_scores
from typer.testing import CliRunner, Result

from cfgan.reports.score.report import FILES, score_schema
from cfgan.testsets.folder import MANIFEST
from cfgan.testsets.folder import Testset as OpenedSet
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

PAIRS = draw_pairs(200)
NAMES = [pair.pair for pair in PAIRS]
SCORES = [float(score) for score in simulate(PAIRS, 0, weakness="Eyeglasses", by=1.5)]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedSet:
    return make_set(tmp_path_factory.mktemp("sets") / "imposters", PAIRS)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["testset", "score", *(str(a) for a in arguments)], env={"COLUMNS": "200"})


def test_the_summary_names_the_weak_stratum_first(opened: OpenedSet, tmp_path: Path) -> None:
    result = run(opened.path, write_scores(tmp_path / "s.csv", NAMES, SCORES), "--resamples", 100)
    assert result.exit_code == 0, result.output
    first, finding, *rest = result.stdout.splitlines()
    assert "higher error rate than the rest at FMR 1 %" in first and "Eyeglasses" in finding
    assert "FMR, non-mated, worst first" in result.stdout and "FNMR, presumed mated" in result.stdout
    assert "rule of three" in result.stdout and "Presumed mated: one latent" in result.stderr
    assert run(opened.path, tmp_path / "s.csv", "--resamples", 100, "--quiet").output == ""


def test_the_report_is_one_page_with_its_figures(opened: OpenedSet, tmp_path: Path) -> None:
    scores = [*SCORES]
    scores[5] = ""  # type: ignore[call-overload]
    path, out = write_scores(tmp_path / "s.csv", NAMES, scores), tmp_path / "report"
    arguments = (opened.path, path, "--resamples", 100, "--threshold", 3, "--out", out, "--json")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert {p.name for p in out.iterdir()} == set(FILES) - {"differentials.csv", "quality.csv"}, "no groups, no quality"
    data = json.loads((out / "score.json").read_text())
    jsonschema.validate(data, score_schema())
    assert data == json.loads(result.stdout) and data["scores"]["without_score"] == 1
    assert [point["name"] for point in data["points"]] == ["your threshold", "FMR 1 %", "FMR 0.1 %"]
    page = (out / "report.html").read_text()
    assert page.count("<!doctype html>") == 1 and page.count("<svg") >= 3
    assert not re.search(r"<script|<link|src=|https?://(?!www\.w3\.org)|@import", page)
    assert page.index('scope="row">Eyeglasses') < page.index('scope="row">Young')
    with (out / "rates.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == sum(len(row["rates"]) for row in data["rows"])
    assert float(rows[0]["rate"]) == data["rows"][0]["rates"][0]["rate"]
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert run(*arguments).exit_code == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_nothing_of_somebody_elses_is_replaced(opened: OpenedSet, tmp_path: Path) -> None:
    path, out = write_scores(tmp_path / "s.csv", NAMES, SCORES), tmp_path / "report"
    out.mkdir()
    (out / "mine.txt").write_text("x")
    result = run(opened.path, path, "--out", out, "--resamples", 100)
    assert result.exit_code == 2 and "already holds something else" in result.stderr
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    inside = run(opened.path, path, "--out", opened.path / "report", "--resamples", 100)
    assert inside.exit_code == 2 and ", a test set: nothing else is written there" in inside.stderr


@pytest.mark.parametrize(
    ("names", "scores", "what"),
    [
        (NAMES[:-3], SCORES[:-3], rf"no row for {NAMES[-3]}, {NAMES[-2]}, {NAMES[-1]} of 1,400"),
        ([*NAMES, NAMES[0]], [*SCORES, 1.0], rf"pair more than once: {NAMES[0]}"),
        ([*NAMES, "p999999"], [*SCORES, 1.0], "unknown pair: p999999"),
        (NAMES, [*SCORES[:-1], "high"], rf"not a number .*: {NAMES[-1]} \('high'\)"),
        (NAMES, ["-inf", *SCORES[1:]], rf"not a finite number.*{NAMES[0]}"),
        (NAMES, ["" for _ in NAMES], "no score at all"),
    ],
)
def test_wrong_scores_are_named_and_nothing_is_written(
    opened: OpenedSet, tmp_path: Path, names: list[str], scores: list[object], what: str
) -> None:
    path = write_scores(tmp_path / "s.csv", names, scores)
    result = run(opened.path, path, "--out", tmp_path / "report")
    assert result.exit_code == 2 and re.search(what, result.stderr), result.output
    assert not (tmp_path / "report").exists() and result.stdout == ""


def test_missing_rows_can_be_counted_as_failures_and_are_said_to_be(opened: OpenedSet, tmp_path: Path) -> None:
    path = write_scores(tmp_path / "s.csv", NAMES[:-3], SCORES[:-3])
    result = run(opened.path, path, "--allow-missing", "--json", "--resamples", 100)
    assert result.exit_code == 0 and "3 without a row were counted as failures" in result.stderr
    data = json.loads(result.stdout)
    assert data["scores"]["without_row"] == 3
    assert sum(row["failed"] for row in data["rows"] if row["family"] == "all") == 3


def test_other_columns_and_distances(opened: OpenedSet, tmp_path: Path) -> None:
    path = write_scores(tmp_path / "d.csv", NAMES, [-score for score in SCORES], "name,distance")
    options = ("--key-column", "name", "--score-column", "distance", "--distance", "--threshold", -3, "--json")
    data = json.loads(run(opened.path, path, *options, "--resamples", 100).stdout)
    plain = run(opened.path, write_scores(tmp_path / "s.csv", NAMES, SCORES), "--threshold", 3, "--json")
    other = json.loads(plain.stdout)
    errors, expected = ([row["rates"][0]["errors"] for row in found["rows"]] for found in (data, other))
    assert errors == expected
    assert run(opened.path, path).exit_code == 2


def test_a_gate_for_scripts(opened: OpenedSet, tmp_path: Path) -> None:
    path = write_scores(tmp_path / "s.csv", NAMES, SCORES)
    failed = run(opened.path, path, "--resamples", 100, "--fail-above", 0.05)
    assert failed.exit_code == 1 and re.search("Above 5.0 % at FMR 1 %: Eyeglasses", failed.stderr)
    assert run(opened.path, path, "--resamples", 100, "--fail-above", 0.9).exit_code == 0


def test_no_test_set(tmp_path: Path) -> None:
    result = run(tmp_path / "none", tmp_path / "s.csv")
    assert result.exit_code == 2 and "there is no folder" in result.stderr


def test_names_from_outside_are_only_text(tmp_path: Path) -> None:
    hostile = '<img src=x onerror="alert(1)">[bold]=1+1'
    pairs = [replace(p, stratum=hostile if p.stratum == "Young" else p.stratum) for p in PAIRS]
    opened = make_set(tmp_path / "<b>set", pairs)
    result = run(
        opened.path, write_scores(tmp_path / "s.csv", NAMES, SCORES), "--out", tmp_path / "r", "--resamples", 100
    )
    assert result.exit_code == 0, result.output
    assert hostile in result.stdout
    page = (tmp_path / "r" / "report.html").read_text()
    assert "<img" not in page and "<b>set" not in page and "&lt;img src=x" in page


def test_ten_thousand_pairs_take_seconds_and_no_torch(tmp_path: Path) -> None:
    pairs = draw_pairs(1430, STRATA)
    opened = make_set(tmp_path / "s", pairs)
    path = write_scores(tmp_path / "s.csv", [p.pair for p in pairs], simulate(pairs, 0).tolist())
    code = (
        "import sys\nfrom cfgan_cli.app import app\n"
        f"app(['testset', 'score', {str(opened.path)!r}, {str(path)!r}, '--quiet', '--out', {str(tmp_path / 'r')!r}],"
        " standalone_mode=False)\n"
        "assert not {'torch', 'sklearn', 'pandas'} & set(sys.modules)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(pairs) == 10_010 and time.monotonic() - started < 60  # about 5 s on an idle core
    assert json.loads((tmp_path / "r" / "score.json").read_text())["settings"]["resamples"] == 1000


def test_a_damaged_set_is_an_input_error(opened: OpenedSet, tmp_path: Path) -> None:
    damaged = make_set(tmp_path / "s", PAIRS[:10])
    (damaged.path / MANIFEST).write_text("{")
    result = run(damaged.path, write_scores(tmp_path / "s.csv", NAMES[:10], np.arange(10).tolist()))
    assert result.exit_code == 2 and "damaged" in result.stderr
