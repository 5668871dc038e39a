"""Photographs on the command line: aligned, read, labelled as they come. Faces are dots for a mocked detector."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from data_helpers import pattern
from framing_helpers import Dots, dotted
from PIL import Image
from typer.testing import CliRunner, Result

import cfgan.external.landmarks
from cfgan.data.store import open_store
from cfgan.model.bundle import Bundle
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

runner = CliRunner()


@pytest.fixture(autouse=True)
def dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cfgan.external.landmarks, "FaceLandmarks", Dots)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(3):
        dotted((300, 360), [(150, 170 + 5 * k, 1.0 + k / 5, 0)], (80 + 40 * k, 100, 90)).save(folder / f"{k}.png")
    Image.new("RGB", (90, 80), "green").save(folder / "green.png")
    (folder / "notes.txt").write_text("left out")
    return folder


def run(*arguments: object) -> Result:
    return runner.invoke(app, [str(argument) for argument in arguments])


def test_align_says_what_was_found_and_what_was_not(photos: Path, tmp_path: Path) -> None:
    result = run("data", "align", photos, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "3 faces of 4 pictures" in result.stdout and "1 left out (no face was found): green.png" in result.stderr
    assert "Not looked at: 1 .txt" in result.stderr
    again = run("data", "align", photos, tmp_path / "out", "--strict", "--json")
    assert again.exit_code == 1
    value = json.loads(again.stdout)
    assert value["repeated"] and value["files"] == 3 and value["reasons"] == {"green.png": "no face was found."}
    assert run("data", "align", photos, tmp_path / "new", "--faces", "both").exit_code == 2
    assert not (tmp_path / "new").exists()
    missing = run("data", "align", tmp_path / "photo", tmp_path / "new")
    assert missing.exit_code == 2 and "Did you mean photos" in missing.stderr


def test_verify_reads_aligned_faces_as_it_reads_an_aligned_folder(
    photos: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    run("data", "align", photos, tmp_path / "out")
    on_the_way = run("verify", photos, "--align", "--bundle", tiny_bundle.path)
    assert on_the_way.exit_code == 1  # a picture without a face is named, and is no reading
    assert "green.png: no face was found." in on_the_way.stderr
    before = run("verify", tmp_path / "out", "--crop", "celeba", "--bundle", tiny_bundle.path, "--no-framing")
    rows = [list(csv.DictReader(io.StringIO(each.stdout))) for each in (on_the_way, before)]
    assert rows[0][:3] == rows[1] and rows[0][3]["error"] == "no face was found."
    both = run("verify", photos, "--align", "--crop", "none", "--bundle", tiny_bundle.path)
    assert both.exit_code == 2 and "--crop: cannot be combined with --align" in both.stderr


def test_verify_remarks_on_images_that_are_framed_otherwise(
    photos: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cfgan.verify.framing import Framing, FramingLook

    counts = {"as_learnt": 0, "tighter": 4, "looser": 0, "shifted": 0, "without_face": 0}
    monkeypatch.setattr(FramingLook, "result", lambda self: Framing(counts, 1.6))
    result = run("verify", photos, "--bundle", tiny_bundle.path)
    assert "4 of 4 are tighter than CelebA's frame" in result.stderr and "--align" in result.stderr
    assert "CelebA" not in run("verify", photos, "--bundle", tiny_bundle.path, "--no-framing").stderr
    value = json.loads(run("verify", photos, "--bundle", tiny_bundle.path, "--json").stdout)
    assert value["framing"] == {"looked_at": 4, **counts, "face_size": 1.6}


def test_thresholds_are_learnt_and_read_with(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for k in range(40):
        pattern(k, 16).save(folder / f"{k}.png")
    read = run("verify", folder, "--bundle", tiny_bundle.path, "--no-framing")
    rows = list(csv.DictReader(io.StringIO(read.stdout)))
    ranked = sorted(float(row["verifier.Red"]) for row in rows)
    truth = {row["file"]: int(float(row["verifier.Red"]) > ranked[27]) for row in rows}  # the surest 12, not half
    (tmp_path / "labels.csv").write_text("file,Red\n" + "".join(f"{file},{yes}\n" for file, yes in truth.items()))
    common = (folder, "--bundle", tiny_bundle.path, "--no-framing", "--calibration", tmp_path / "mine.json")
    learnt = run("verify", *common, "--calibrate", tmp_path / "labels.csv")
    assert learnt.exit_code == 0, learnt.output
    assert "Red" in learnt.stdout and "Rough" in learnt.stderr and "mine.json" in learnt.stdout
    used = list(csv.DictReader(io.StringIO(run("verify", *common).stdout)))
    agree = sum(int(row["seen.Red"]) == truth[row["file"]] for row in used)
    assert agree >= 36 > sum(int(row["seen.Red"]) == truth[row["file"]] for row in rows)
    # Never over what is not a calibration, never beside --labels, never of a file for something else.
    (tmp_path / "letter.json").write_text("{}")
    for extra, said in (
        (("--calibrate", tmp_path / "labels.csv", "--labels", tmp_path / "labels.csv"), "cannot be combined"),
        (("--crop", "none"), "learnt with --crop center, not --crop none"),
        (("--by", "judge"), "for the verifier, not the judge"),
    ):
        refused = run("verify", *common, *extra)
        assert refused.exit_code == 2 and said in refused.stderr, refused.output
    other = (*common[:-1], tmp_path / "letter.json", "--calibrate", tmp_path / "labels.csv")
    assert run("verify", *other).exit_code == 2 and (tmp_path / "letter.json").read_text() == "{}"
    assert run("verify", folder, "--calibrate", tmp_path / "labels.csv", "--bundle", tiny_bundle.path).exit_code == 2


def test_stats_takes_what_import_takes(tmp_path: Path) -> None:
    for k in range(24):
        place = tmp_path / "chips" / f"{20 + k}_{k % 2}_{k}.png"
        place.parent.mkdir(exist_ok=True)
        pattern(k).save(place)
    pattern(99).save(tmp_path / "chips" / "nothing.png")
    given = ("--pattern", "{age}_{gender}_*", "--bins", "age=30,40", "--left-out", tmp_path / "left.csv", "--strict")
    shown = run("data", "stats", tmp_path / "chips", *given, "--json")
    assert shown.exit_code == 1, shown.output
    assert {row["name"] for row in json.loads(shown.stdout)["attributes"]} == {
        *("age_below_30", "age_30_to_40", "age_from_40", "gender_0", "gender_1"),
    }
    wanted = "kind,name,reason\nimage,nothing.png,its name does not fit the pattern\n"
    assert (tmp_path / "left.csv").read_text() == wanted
    done = run("data", "import", tmp_path / "chips", "--out", tmp_path / "store", "--size", 16, *given)
    assert done.exit_code == 1 and (tmp_path / "left.csv").read_text() == wanted
    assert "under 20 validation images show" in done.stderr
    assert len(open_store(tmp_path / "store").files) == 24
    (tmp_path / "letter.csv").write_text("mine")
    refused = run("data", "stats", tmp_path / "chips", *given[:4], "--left-out", tmp_path / "letter.csv")
    assert refused.exit_code == 2 and (tmp_path / "letter.csv").read_text() == "mine"


def test_import_aligns_on_the_way(photos: Path, tmp_path: Path) -> None:
    (photos / "labels.csv").write_text("file,Hat\n0.png,1\n1.png,0\n2.png,1\ngreen.png,0\n")
    plain = ("data", "import", photos, "--out", tmp_path / "store", "--size", 64, "--align")
    bad = run(*plain)
    assert bad.exit_code == 2 and "green.png: no face was found" in bad.stderr
    done = run(*plain, "--skip-bad")
    assert done.exit_code == 0 and "1 image left out (no face was found.): green.png" in done.stderr, done.output
    assert (open_store(tmp_path / "store").images[:, 0, 33, 25] > 180).all()
    looked = run("data", "stats", photos, "--align", "--json")
    assert json.loads(looked.stdout)["images"]["problems"] == [{"file": "green.png", "problem": "no face was found."}]
