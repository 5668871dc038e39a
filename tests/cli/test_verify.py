from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import make_bundle
from PIL import Image
from typer.testing import CliRunner, Result

import cfgan.verify.images
from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.generate.job import generate
from cfgan.model.bundle import Bundle
from cfgan_cli.app import app

runner = CliRunner()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny", vocabulary, prior, with_judge=True)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Six drawn pictures of several sizes, and a file that is none."""
    folder = tmp_path / "faces"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(2)
    for k, name in enumerate(("a.png", "b.jpg", "c.webp", "d.bmp", "more/e.png", "more/f.png")):
        Image.fromarray(rng.integers(0, 255, (20 + k, 30, 3), dtype=np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder


def run(bundle: Bundle, *arguments: object) -> Result:
    return runner.invoke(app, ["verify", *(str(a) for a in arguments), "--bundle", str(bundle.path)])


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.slow
def test_csv_on_stdout_messages_on_stderr(bundle: Bundle, faces: Path) -> None:
    result = run(bundle, faces)
    assert result.exit_code == 0, result.output
    rows = table(result.stdout)
    names = ["a.png", "b.jpg", "c.webp", "d.bmp", "more/e.png", "more/f.png"]
    assert [row["file"] for row in rows] == names
    assert list(rows[0]) == [
        "file",
        *(f"{what}.{n}" for what in ("verifier", "seen") for n in bundle.vocabulary.names),
    ] + ["error"]
    for row in rows:
        for name, threshold in zip(bundle.vocabulary.names, bundle.calibration.threshold, strict=True):
            assert row[f"seen.{name}"] == str(int(float(row[f"verifier.{name}"]) >= threshold))
    assert "6 images read by the verifier of tiny" in result.stderr and "Left out: 1 .txt" in result.stderr
    assert run(bundle, faces, "-q").stderr == ""
    assert len(table(run(bundle, faces, "--no-recursive").stdout)) == 4


@pytest.mark.slow
def test_a_request_limits_the_columns_and_is_counted(bundle: Bundle, faces: Path, tmp_path: Path) -> None:
    result = run(bundle, faces, "-a", "Red", "-a", "-Cat", "--out", tmp_path / "new" / "t.csv")
    assert result.exit_code == 0 and result.stdout == ""
    rows = table((tmp_path / "new" / "t.csv").read_text())
    assert list(rows[0]) == ["file", "verifier.Red", "verifier.Cat", "seen.Red", "seen.Cat", "meets", "error"]
    met = [row["seen.Red"] == "1" and row["seen.Cat"] == "0" for row in rows]
    assert [row["meets"] == "1" for row in rows] == met
    assert f"{sum(met)} of them show Red,-Cat" in result.stderr


@pytest.mark.slow
def test_json_is_one_object(bundle: Bundle, faces: Path, tmp_path: Path) -> None:
    value = json.loads(run(bundle, faces, "--json", "--by", "judge", "-a", "Red").stdout)
    assert value["bundle"] == {"name": "tiny", "digest": bundle.digest} and value["by"] == "judge"
    assert value["crop"] == "center" and value["request"] == {"Red": 1} and set(value["thresholds"]) == {"Red"}
    assert len(value["images"]) == value["read"] == 6 and set(value["images"][0]["judge"]) == {"Red"}
    assert value["seen"]["Red"] == value["meets"] == sum(row["meets"] for row in value["images"])
    assert value["failed"] == [] and value["ignored"] == {".txt": 1} and value["repeated"] == 0
    short = json.loads(run(bundle, faces, "--json", "--out", tmp_path / "t.json").stdout)
    assert "images" not in short and short["out"] == str(tmp_path / "t.json") and short["read"] == 6
    assert len(json.loads((tmp_path / "t.json").read_text())["images"]) == 6


@pytest.mark.slow
def test_bad_files_are_named_and_the_others_are_read(bundle: Bundle, faces: Path) -> None:
    (faces / "b.jpg").write_bytes((faces / "b.jpg").read_bytes()[:-300])
    (faces / "evil\x1b[31m.png").write_text("no image")
    result = run(bundle, faces, faces / "a.png")
    assert result.exit_code == 1
    rows = table(result.stdout)
    assert len(rows) == 7 and sum(row["error"] != "" for row in rows) == 2
    assert rows[1]["error"].startswith("broken image") and rows[1]["verifier.Red"] == rows[1]["seen.Red"] == ""
    assert "b.jpg: broken image" in result.stderr and "2 could not be read" in result.stderr
    assert "evil\\x1b[31m.png: not a JPEG" in result.stderr and "\x1b" not in result.stderr
    assert "1 given more than once, read once" in result.stderr
    value = json.loads(run(bundle, faces, "--json").stdout)
    assert [row["file"] for row in value["failed"]] == ["b.jpg", "evil\x1b[31m.png"]
    many = [faces.parent / "many" / f"{k:02d}.png" for k in range(25)]
    many[0].parent.mkdir()
    for path in many:
        path.write_text("no image")
    result = run(bundle, many[0].parent, faces / "a.png")
    assert result.exit_code == 1 and "and 5 more, all in the table" in result.stderr


def test_none_readable_writes_nothing(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_text("no image")
    result = run(bundle, tmp_path / "in", "--out", tmp_path / "t.csv")
    assert result.exit_code == 2 and "none of the 1 images could be read" in result.stderr
    assert "a.png: not a JPEG" in result.stderr and not (tmp_path / "t.csv").exists()


@pytest.mark.slow
def test_labels_give_a_report(bundle: Bundle, faces: Path, tmp_path: Path) -> None:
    seen = {row["file"]: row for row in table(run(bundle, faces).stdout)}
    labels = tmp_path / "labels.csv"
    lines = [
        f"{name},{row['seen.Red']},{1 - int(row['seen.Cat'])},x,1" for name, row in seen.items() if name != "a.png"
    ]
    labels.write_text("\n".join(["file,Red,Cat,age,Scarf", *lines, "lost.png,1,1,x,0"]) + "\n")
    wrong = run(bundle, faces, "--labels", labels)
    assert wrong.exit_code == 2 and "'Scarf'" in wrong.stderr and "--ignore-unknown" in wrong.stderr
    result = run(bundle, faces, "--labels", labels, "--ignore-unknown", "--out", tmp_path / "t.csv")
    assert result.exit_code == 0, result.output
    assert "5 labelled images by the verifier of tiny" in result.stdout and "verifier.Red" not in result.stdout
    assert "1 images without labels: a.png" in result.stderr and "1 labels without an image: lost.png" in result.stderr
    assert "1 column left out (text, not labels): age" in result.stderr
    assert (
        "1 column left out (unknown to the model): Scarf" in result.stderr
        and len(table((tmp_path / "t.csv").read_text())) == 6
    )
    report = json.loads(run(bundle, faces, "--labels", labels, "--ignore-unknown", "--json").stdout)["report"]
    assert list(report["attributes"]) == ["Red", "Cat"]
    red, cat = report["attributes"]["Red"], report["attributes"]["Cat"]
    assert (red["n"], red["accuracy"], red["positives"]) == (5, 1, sum(line.split(",")[1] == "1" for line in lines))
    assert cat["accuracy"] == 0 and red["real"] is None
    only = json.loads(run(bundle, faces, "--labels", labels, "--ignore-unknown", "--json", "-a", "Cat").stdout)
    assert list(only["report"]["attributes"]) == ["Cat"]


@pytest.mark.slow
def test_a_batch_against_its_own_requests(bundle: Bundle, tmp_path: Path) -> None:
    batch = tmp_path / "b"
    generate(bundle, make_plan({"attributes": "Red", "count": 5}, bundle.vocabulary), batch)
    result = run(bundle, batch, "--labels", batch / "manifest.csv")
    assert result.exit_code == 0 and "the verifier decides which draws" in result.stdout
    report = json.loads(run(bundle, batch, "--labels", batch / "manifest.csv", "--json").stdout)["report"]
    assert report["requested"] and report["attributes"]["Red"]["recall"] == 1 and report["images"] == 5
    judged = run(bundle, batch, "--labels", batch / "manifest.csv", "--by", "judge")
    assert judged.exit_code == 0 and "by the judge of tiny" in judged.stdout and "decides which" not in judged.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--attrs", "Rde"], "Did you mean Red"),
        (["--attrs", "Red=0.5"], "graded value is neither present nor absent"),
        (["--by", "juge"], "Did you mean judge"),
        (["--crop", "centre"], "Did you mean center"),
        (["--batch", "0"], "--batch"),
        (["--device", "toaster"], "device"),
        (["--out", "t.xlsx"], "ends in none of .csv"),
        (["--labels", "none.csv"], "no file"),
        (["--ignore-unknown"], "needs --labels or"),
        (["nowhere"], "no file and no folder"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    bundle: Bundle, faces: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(faces.parent)
    before = sorted(faces.parent.rglob("*"))
    result = run(bundle, faces, *arguments)
    assert result.exit_code == 2 and says in result.stderr.replace("\n", " "), result.output
    assert result.stdout == "" and "Traceback" not in result.output and sorted(faces.parent.rglob("*")) == before


def test_the_judge_of_a_bundle_without_one(tiny_bundle: Bundle, faces: Path) -> None:
    result = run(tiny_bundle, faces, "--by", "judge")
    assert result.exit_code == 2 and "tiny has no judge" in result.stderr


def test_labels_and_batches_are_not_overwritten(bundle: Bundle, faces: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,Red\na.png,1\n")
    result = run(bundle, faces, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "labels.csv")
    assert result.exit_code == 2 and "is there already" in result.stderr
    result = run(bundle, faces, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "labels.csv", "--force")
    assert result.exit_code == 2 and "holds the labels" in result.stderr
    assert (tmp_path / "labels.csv").read_text() == "file,Red\na.png,1\n"
    (tmp_path / "images").mkdir()
    (tmp_path / "manifest.csv").touch()
    assert run(bundle, faces, "--out", tmp_path / "manifest.csv", "--force").exit_code == 2


@pytest.mark.parametrize("out", [True, False])
def test_ctrl_c_exits_130_and_leaves_nothing(
    bundle: Bundle, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: bool
) -> None:
    read = cfgan.verify.images.read_square

    def stop(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return read(*arguments)

    monkeypatch.setattr(cfgan.verify.images, "read_square", stop)
    result = run(bundle, faces / "a.png", *(["--out", tmp_path / "t.csv"] if out else []))
    assert result.exit_code == 130 and "not all images were read" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


@pytest.mark.slow
def test_help_does_not_load_torch() -> None:
    code = (
        "import sys\nfrom cfgan_cli.app import app\nsys.argv = ['cfgan', 'verify', '--help']\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'sklearn', 'pandas', 'PIL', 'pyarrow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
