from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cfgan.model.bundle import Bundle
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

runner = CliRunner()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(12):
        Image.new("RGB", (16, 16), (20 * k, 40, 90)).save(folder / f"{k}.png")
    lines = [f"{k}.png,{int(k < 2)},{k % 2}" for k in range(12)]
    (folder / "labels.csv").write_text("\n".join(["file,Red,Cat", *lines]) + "\n")
    return folder


def run(bundle: Bundle, *arguments: object) -> Result:
    return runner.invoke(app, ["balance", "--bundle", str(bundle.path), *(str(a) for a in arguments)])


def test_plan_then_do_then_find_it_done(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wanted = [photos, "--attribute", "red", "--ratio", 0.5, "--out", out]
    plan = run(tiny_bundle, *wanted, "--dry-run", "--json")
    assert plan.exit_code == 0 and not out.exists(), plan.output
    assert json.loads(plan.stdout)["parts"] == [{"request": "Red", "have": 2, "missing": 8}]
    shown = run(tiny_bundle, *wanted, "--dry-run")
    assert "8 faces are missing" in shown.stdout and not out.exists()
    done = run(tiny_bundle, *wanted, "--json")
    value = json.loads(done.stdout)
    assert done.exit_code == 0 and value["out"] == str(out) and not value["repeated"]
    assert value["achieved"] == {"share": 0.5, "reached": True} and value["faces"]["found"] == 8
    again = run(tiny_bundle, *wanted)
    assert again.exit_code == 0 and "finished before" in again.stdout and "50.0 %" in again.stdout
    assert run(tiny_bundle, *wanted, "-q").stdout == ""


def test_equalize_and_a_spec_file(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    result = run(tiny_bundle, photos, "--attributes", "Red,Cat", "--equalize", "--out", tmp_path / "a")
    assert result.exit_code == 0 and "5 to 5 training images of every combination" in result.stdout, result.output
    spec = tmp_path / "b.yaml"
    spec.write_text("counts: {'Red,Cat': 3, Red: 5}\nseed: 2\nverify: {max_draws: 500}\nfree_labels: condition\n")
    result = run(tiny_bundle, photos, "--spec", spec, "--seed", 9, "--out", tmp_path / "b", "--json")
    value = json.loads(result.stdout)
    assert value["after"] == {"Red,Cat": 3, "Red": 5} and value["missing"] == 3
    about = json.loads((tmp_path / "b" / "balance.json").read_text())
    assert about["header"]["spec"]["seed"] == 9 and about["header"]["spec"]["verify"]["max_draws"] == 500


def test_running_out_exits_3(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    wanted = [photos, "--attribute", "Red", "--ratio", 0.5, "--max-draws", 5, "--out", tmp_path / "out"]
    for _ in range(2):
        result = run(tiny_bundle, *wanted)
        assert result.exit_code == 3 and "Draws ran out" in result.stderr and "of 8 faces" in result.stderr
    assert (tmp_path / "out" / "labels.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--attribute", "Rde", "--ratio", "0.5"], "Did you mean Red"),
        (["--attribute", "Red"], "ratio: is missing"),
        (["--attribute", "Red", "--ratio", "1"], "ratio"),
        (["--attribute", "Red", "--ratio", "much"], "--ratio"),
        (["--attributes", "Red,Cat"], "--equalize: is missing"),
        (["--equalize"], "--attributes: is missing"),
        (["--attributes", "Red,Red", "--equalize"], "named twice"),
        (["--attributes", ",", "--equalize"], "one target is expected"),
        (["--attribute", "Round", "--ratio", "0.5"], "no labels of Round"),
        (["--attribute", "Red", "--ratio", "0.5", "--free-labels", "verifer"], "Did you mean verifier"),
        (["--attribute", "Red", "--ratio", "0.5", "--link", "copy"], "symlink, hard"),
        (["--attribute", "Red", "--ratio", "0.5", "--device", "toaster"], "device"),
        (["--attribute", "Red", "--ratio", "0.5", "--labels", "no.csv"], "no file"),
        (["--attribute", "Red", "--ratio", "0.5", "--seed", "-1"], "seed"),
        (["--spec", "no.yaml"], "no file"),
        ([], "one target is expected"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    tiny_bundle: Bundle, photos: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    result = run(tiny_bundle, photos, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2 and says in result.stderr.replace("\n", " "), result.output
    assert "Traceback" not in result.output and not (tmp_path / "out").exists()


def test_an_out_folder_is_needed_unless_dry(tiny_bundle: Bundle, photos: Path) -> None:
    result = run(tiny_bundle, photos, "--attribute", "Red", "--ratio", 0.5)
    assert result.exit_code == 2 and "--dry-run needs none" in result.stderr


def test_kill_9_and_go_on(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cfgan_cli.main", "balance", "--bundle", str(tiny_bundle.path), str(photos), "-q"]
    command += ["--attribute", "Red", "--ratio", "0.98", "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    out = tmp_path / "out"
    process = subprocess.Popen([*command, str(out)])
    journal = out / "synthetic" / "journal.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 2):
        time.sleep(0.005)
    assert process.poll() is None  # it is in the middle of its work
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "labels.csv").exists()
    subprocess.run([*command, str(out)], check=True)
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file():
            assert (out / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


def test_planning_does_not_load_torch(tiny_bundle: Bundle, photos: Path) -> None:
    arguments = ["cfgan", "balance", "--bundle", str(tiny_bundle.path), str(photos), "--attribute", "Red"]
    arguments += ["--ratio", "0.5", "--dry-run", "--json"]
    code = (
        f"import sys\nfrom cfgan_cli.app import app\nsys.argv = {arguments!r}\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
