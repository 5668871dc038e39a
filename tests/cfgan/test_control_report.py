from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import make_bundle
from typer.testing import CliRunner

from cfgan.bundle import Bundle
from cfgan.evaluation.control import Control
from cfgan.prior import Prior
from cfgan.reports.control_report import control_files
from cfgan.vocabulary import Vocabulary
from cfgan_cli.main import app

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
    assert figures["format"] == "cfgan-control/1" and figures["attributes"]["Strong"]["leak"] == 0.2
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
