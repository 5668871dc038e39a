from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from export_helpers import make_testset
from typer.testing import CliRunner, Result

from cfgan_cli.app import app

pytestmark = pytest.mark.slow

runner = CliRunner()


def run(*arguments: object) -> Result:
    return runner.invoke(app, ["testset", *(str(a) for a in arguments)])


def test_export_says_where_what_and_how_much(tmp_path: Path) -> None:
    testset, out = make_testset(tmp_path / "t"), tmp_path / "lfw"
    result = run("export", testset, "--format", "lfw", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}: lfw, 2 folds, 6 mated, 6 nonmated, 12 images\n"
    assert "- Images are JPEG, quality 95" in result.stderr
    assert run("export", testset, "-f", "lfw", "-o", out, "-q").output == ""
    said = json.loads(run("export", testset, "-f", "lfw", "-o", out, "--json").stdout)
    assert said == {"out": str(out), **json.loads((out / "export.json").read_text())}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["export", "{t}", "--format", "lwf", "--out", "{out}"], 2, "Did you mean lfw"),
        (["export", "{t}", "--format", "parquet", "--out", "{out}", "--balance"], 2, "--balance: cannot be combined"),
        (["export", "{t}", "--format", "lfw", "--out", "{t}/lfw"], 2, "a test set: nothing else is written there"),
        (
            ["export", "{t}", "--format", "lfw", "--out", "{t}/manifest.json"],
            2,
            "a test set: nothing else is written there",
        ),
        (["export", "{t}", "--format", "lfw", "--out", "{file}"], 2, "is a file, not a folder"),
        (["export", "{t}", "--format", "lfw"], 2, "--out"),
        (["export", "nowhere", "--format", "lfw", "--out", "{out}"], 2, "there is no folder nowhere"),
        (["check", "nowhere"], 2, "there is no folder nowhere"),
        (["info", "{empty}"], 2, "is not a test set"),
        (["check", "x" * 300], 1, "File name too long"),
    ],
)
def test_wrong_input_is_one_sentence(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    places = {"t": make_testset(tmp_path / "t"), "out": tmp_path / "out", "empty": tmp_path / "empty"}
    places["empty"].mkdir()
    places["file"] = tmp_path / "file"
    places["file"].touch()
    result = run(*(argument.format(**places) for argument in arguments))
    assert result.exit_code == code and says in " ".join(result.output.split()), result.output
    assert "Traceback" not in result.output and not (tmp_path / "out").exists()


def test_check_for_people_and_programs(tmp_path: Path) -> None:
    testset = make_testset(tmp_path / "t")
    good = run("check", testset)
    assert good.exit_code == 0 and good.stdout == f"{testset}: complete, unchanged and consistent\n"
    for path in list((testset / "images").rglob("*.png")):
        path.unlink()
    (testset / "images").rename(testset / "pictures")
    bad = run("check", testset)
    assert bad.exit_code == 1 and "images/s00001/s00001_0001.png: missing" in bad.stderr
    said = run("check", testset, "--json")
    assert said.exit_code == 1
    value = json.loads(said.stdout)
    assert not value["good"] and len(value["problems"]) == 12


def test_info_is_a_short_table(tmp_path: Path) -> None:
    testset = make_testset(tmp_path / "t", mated="presumed", design="transect")
    result = run("info", testset)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert f"test set {testset}: transect, 2 folds" in lines and "images 12 of 6 subjects" in lines
    assert "rows 12 pairs, 0 mated, 6 nonmated, 6 presumed" in lines
    assert "Red 0 6 0.250" in lines and "nearest 6 0 0.250" in lines
    about = json.loads(run("info", testset, "--json").stdout)
    assert about["strata"]["Red"]["kinds"] == {"presumed": 6}
    assert "attack" in run("info", make_testset(tmp_path / "d", design="detection")).stdout


def test_none_of_it_loads_torch(tmp_path: Path) -> None:
    testset = make_testset(tmp_path / "t")
    for arguments in (
        ["check", testset],
        ["info", testset],
        ["export", testset, "--format", "insightface", "--out", tmp_path / "bin"],
        ["export", "--help"],
    ):
        code = (
            "import sys\n"
            "from cfgan_cli.app import app\n"
            f"sys.argv = ['cfgan', 'testset', *{[str(a) for a in arguments]!r}]\n"
            "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
            "assert not {'torch', 'sklearn', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
