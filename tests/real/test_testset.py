"""A test set from the shipped bundle, end to end: built, killed, resumed, scored by a real embedder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cfgan.testsets.folder import open_testset

pytest.importorskip("dlib")
pytestmark = pytest.mark.real

SPEC = """
design: matched
attributes: Male,Eyeglasses
pairs: 80
folds: 4
change: [Smiling]
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cfgan_cli.main", *(str(a) for a in arguments)]


def cfgan(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 pairs a level and a Smiling transect; killed once on the way."""
    folder = tmp_path_factory.mktemp("testset")
    (folder / "spec.yaml").write_text(SPEC)
    build = command("testset", "build", folder / "spec.yaml", "--out", folder / "set", "-q")
    process = subprocess.Popen(build)
    deadline = time.monotonic() + 120
    while not any((folder / "set" / "images").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / "set" / "journal.jsonl").exists() and not (folder / "set" / "pairs.csv").exists()
    assert subprocess.run(build).returncode in (0, 3)  # 3: a face that does not take its smile is an unmet quota
    return folder / "set"


def test_the_set_is_what_the_spec_says(built: Path) -> None:
    found = open_testset(built)
    counts = found.protocol["counts"]
    assert counts["nonmated"] == 240 and counts["strata"]["nearest"] == 80
    assert subprocess.run(["sha256sum", "-c", "--quiet", "checksums.sha256"], cwd=built).returncode == 0
    screen = found.protocol["embedder"]["screen"]["similarity"]
    assert max(p.similarity or -9 for p in found.pairs if p.mated == "0") < screen
    assert not any(b"/work/" in p.read_bytes() or b"/tmp/" in p.read_bytes() for p in built.glob("*.*"))


def test_holding_everything_else_the_search_finds_the_smile_and_keeps_the_person(built: Path) -> None:
    survival = open_testset(built).protocol["survival"]["Smiling"]
    assert survival["tried"] == 80
    assert survival["kept"]["rate"] > 0.6 and survival["kept"]["rate"] > survival["plain"]["rate"]


def test_faces_with_the_same_attributes_are_taken_for_each_other_more_often(built: Path, tmp_path: Path) -> None:
    assert cfgan("testset", "baseline", built, "--out", tmp_path / "scores.csv", "-q").returncode == 0
    result = cfgan("testset", "score", built, tmp_path / "scores.csv", "--threshold", "-0.62", "--json")
    assert result.returncode == 0, result.stderr
    score = json.loads(result.stdout)
    strata = [row for row in score["rows"] if row["family"] == "stratum" and row["error"] == "FMR"]
    fmr = {row["name"]: row["rates"][0] for row in strata}
    assert np.isfinite([fmr[name]["rate"] for name in ("random", "matched", "nearest")]).all()
    assert fmr["random"]["rate"] < fmr["matched"]["rate"] < fmr["nearest"]["rate"]
    assert fmr["random"]["interval"][1] < fmr["nearest"]["interval"][0]
