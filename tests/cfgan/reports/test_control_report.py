from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import make_bundle
from typer.testing import CliRunner

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.evaluation.control import Control
from cfgan.evaluation.request_suite import SuitePart, request_suite
from cfgan.model.bundle import Bundle
from cfgan.reports.model.control import control_files
from cfgan.reports.model.request_suite import suite_row
from cfgan.verify.real_faces import RealFaces
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

NAMES = ("Strong", "Weak", "Odd")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    counts = np.full((3, 3), 500, dtype=np.int64)
    prior = Prior(Vocabulary(NAMES), np.zeros(3), np.zeros((3, 3)), counts, 2 * counts, 1000)
    return make_bundle(tmp_path_factory.mktemp("control") / "b", Vocabulary(NAMES), prior, with_judge=True)


def found() -> Control:
    moved = np.array([[0.9, 0.4, 0.0], [0.0, 0.1, 0.0], [0.0, -0.2, 0.8]])
    strips = np.random.default_rng(0).integers(0, 255, (3, 2, 6, 3, 16, 16)).astype(np.uint8)
    return Control(NAMES, "judge", 50, moved, np.full((3, 3), 0.02), np.full(3, 0.95), np.full(3, 0.1), strips)


def test_the_page_ranks_by_effect_and_names_the_weak(bundle: Bundle) -> None:
    files = control_files(bundle, found(), 0)
    page = files["report.html"].decode()
    assert page.index('scope="row">Weak') < page.index('scope="row">Strong')
    assert "under 50 points:</strong> Weak." in page
    assert page.count('<img class="strip"') == 3 and "<svg" in page and 'src="http' not in page
    figures = json.loads(files["control.json"])
    assert figures["format"] == "cfgan-control/1.1" and figures["attributes"]["Strong"]["leak"] == 0.2
    assert figures["attributes"]["Strong"]["largest_leaks"][0] == {"attribute": "Weak", "moved": 0.4}
    rows = list(csv.reader(io.StringIO(files["control.csv"].decode())))
    assert rows[0] == ["switched", *NAMES] and rows[3][2] == "-0.2000"
    assert control_files(bundle, found(), 0) == files


def test_the_command_writes_a_report_and_replaces_only_reports(bundle: Bundle, tmp_path: Path) -> None:
    arguments = ["report", "control", str(bundle.path), "-n", "4", "--device", "cpu", "--out", str(tmp_path / "r")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and "mean effect" in result.stdout, result.output
    assert {p.name for p in (tmp_path / "r").iterdir()} == {"report.html", "control.json", "control.csv"}
    again = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(again.stdout) == json.loads((tmp_path / "r" / "control.json").read_text())
    (tmp_path / "r" / "mine.txt").write_text("x")
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2 and "something else" in refused.stderr


def test_requests_are_drawn_three_ways_and_each_is_read_as_it_was_asked(tmp_path: Path) -> None:
    names = Vocabulary(NAMES)
    counts = np.full((3, 3), 5000, dtype=np.int64)
    counts[0, 1] = counts[1, 0] = 12
    prior = Prior(names, np.zeros(3), np.zeros((3, 3)), counts, np.full((3, 3), 20_000), 20_000)
    made = make_bundle(tmp_path / "b", names, prior, with_judge=True)
    suite = {part.name: part for part in request_suite(made, draws=60, device="cpu")}
    assert list(suite) == ["as in the data", "balanced", "rare"] and {part.reader for part in suite.values()} == {
        "judge"
    }
    assert (suite["as in the data"].asked != 0).all() and len(suite["as in the data"].asked) == 60
    alone = suite["balanced"].asked
    assert (np.abs(alone).sum(1) == 1).all() and (alone == 1).sum(0).tolist() == (alone == -1).sum(0).tolist() == [
        10
    ] * 3
    assert (suite["rare"].asked == [1, 1, 0]).all()
    page = control_files(made, found(), 0, list(suite.values()))["report.html"].decode()
    assert (
        "Requests drawn three ways" in page
        and "Requests drawn" not in control_files(made, found(), 0)["report.html"].decode()
    )


def test_a_row_of_requests_by_hand() -> None:
    labels = np.array([[1, 1, -1]] * 20 + [[1, -1, -1]] * 20 + [[-1, -1, 1]] * 10, np.float32)
    right = labels > 0
    right[:5, 0] = False  # Strong is missed in 5 of 40 real faces, all of them Weak as well
    real = RealFaces(Vocabulary(NAMES), labels, {}, {"judge": right})
    asked = np.array([[1, 1, 0]] * 4 + [[1, 0, -1]] * 4, np.int8)
    seen = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]] + [[1, 1, 0]] * 4, bool)
    row = suite_row(SuitePart("rare", "judge", asked, seen), real)
    assert row["draws"] == 8 and row["requests"] == 2 and row["values"] == 2
    assert row["seen"]["rate"] == pytest.approx((1 + 1 + 0.5 + 0 + 4) / 8)
    assert row["exact"]["hits"] == 6 and row["exact"]["n"] == 8
    assert row["ceiling"] == pytest.approx((8 * 35 / 40 + 4 * 1 + 4 * 1) / 16)
    assert (row["exact_real"]["hits"], row["exact_real"]["n"]) == (15 + 35, 20 + 40)
    one = suite_row(SuitePart("balanced", "judge", asked * [1, 0, 0], seen), None)
    assert one["seen"]["interval"][0] > 0 and one["exact"] is None and one["ceiling"] is None
