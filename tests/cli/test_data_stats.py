from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from data_helpers import Planted, plant
from typer.testing import CliRunner, Result

from cfgan_cli.app import app

runner = CliRunner()


def run(*arguments: object) -> Result:
    return runner.invoke(app, ["data", "stats", *(str(a) for a in arguments)])


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.mark.slow
def test_terminal_json_and_report_say_the_same(planted: Planted, tmp_path: Path) -> None:
    out = tmp_path / "r"
    shown = run(planted.folder, "--labels", planted.labels, "--identity", planted.identity, "--out", out)
    assert shown.exit_code == 0, shown.output
    assert "Hat always with Round" in shown.stdout and "Red never with Blue" in shown.stdout
    assert "! The same person lies in train and in test" in shown.stdout and "report.html" in shown.stdout
    said = run(planted.folder, "--labels", planted.labels, "--identity", planted.identity, "--json", "-o", out)
    assert json.loads(said.stdout) == json.loads((out / "stats.json").read_text()), "and an older report is replaced"
    assert str(tmp_path) not in said.stdout and str(planted.folder.parent) not in (out / "report.html").read_text()
    quiet = run(planted.labels, "-q")
    assert quiet.exit_code == 0 and quiet.stdout == ""


@pytest.mark.slow
def test_labels_alone_and_without_images(planted: Planted) -> None:
    alone = json.loads(run(planted.labels, "--json", "--columns", "Hat,round").stdout)
    assert [row["name"] for row in alone["attributes"]] == ["Hat", "Round"] and alone["images"] is None
    skipped = json.loads(run(planted.folder, "--labels", planted.labels, "--no-images", "--json").stdout)
    assert skipped["images"] is None and skipped["leakage"] is None
    sizes = json.loads(run(planted.labels, "--json", "--combinations", "4").stdout)
    assert [entry["size"] for entry in sizes["combinations"]] == [4]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "no folder or file"),
        (["{folder}/a"], "name its label table"),
        (["{folder}", "--labels", "{labels}", "--file-column", "pictur"], "Did you mean picture"),
        (["{labels}", "--columns", "Hatt"], "Did you mean Hat"),
        (["{labels}", "--combinations", "two"], "--combinations"),
        (["{labels}", "--combinations", "9"], "--combinations"),
        (["{labels}", "--tolerance", "2"], "--tolerance"),
        (["{folder}", "--labels", "{labels}", "--out", "{folder}/a"], "inside the data set"),
        (["{labels}", "--out", "{labels}"], "is a file"),
        (["{labels}", "--identity", "nobody.txt"], "--identity"),
    ],
)
def test_wrong_input_is_one_message(planted: Planted, tmp_path: Path, arguments: list[str], says: str) -> None:
    filled = [text.format(folder=planted.folder, labels=planted.labels) for text in arguments]
    out = [] if "--out" in filled else ["--out", tmp_path / "r"]
    result = run(*filled, *out)
    assert result.exit_code == 2 and says in result.stderr.replace("\n", " "), result.output
    assert "Traceback" not in result.output and not (tmp_path / "r").exists()


@pytest.mark.slow
def test_help_and_the_work_itself_load_no_torch(planted: Planted) -> None:
    code = (
        "import sys\nfrom cfgan_cli.app import app\nsys.argv = ['cfgan', 'data', 'stats', *sys.argv[1:]]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules\n"
        "assert '--help' not in sys.argv or not {'pandas', 'scipy', 'matplotlib', 'jinja2', 'PIL'} & set(sys.modules)\n"
    )
    for arguments in (["--help"], [str(planted.labels)]):
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.celeba
def test_two_hundred_thousand_rows_in_five_seconds(real_celeba: Path, tmp_path: Path) -> None:
    """Processor time of the whole process, for other work may share the machine: five seconds of an idle core, or five
    times what the machine at hand takes now to load the libraries alone."""
    table = real_celeba / "labels_train_val_full.csv.gz"
    load = [sys.executable, "-c", "import pandas, scipy.stats, scipy.cluster.hierarchy, matplotlib.figure"]
    before = os.times()
    subprocess.run(load, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    loaded = os.times()
    loading = loaded.children_user - before.children_user + loaded.children_system - before.children_system
    before, began = os.times(), time.monotonic()
    command = [sys.executable, "-m", "cfgan_cli.main", "data", "stats", str(table), "--out", str(tmp_path / "r"), "-q"]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    assert min(spent, time.monotonic() - began) < max(5, 5 * loading)
    found = json.loads((tmp_path / "r" / "stats.json").read_text())
    assert found["source"]["rows"] == 182_637 and found["relations"]["found"][0]["exceptions"] == 0
    assert {(row["first"], row["second"]) for row in found["relations"]["found"]} >= {
        ("Bald", "Bangs"),
        ("Mustache", "Male"),
    }


@pytest.mark.slow
@pytest.mark.celeba
def test_the_official_splits_share_no_person(real_celeba: Path) -> None:
    found = json.loads(run(real_celeba, "--no-images", "--json").stdout)
    assert found["leakage"]["person"] == {"groups": 0, "images": 0, "between": []}
    assert any(line.startswith("Differs between splits: Big_Lips") for line in found["findings"])
