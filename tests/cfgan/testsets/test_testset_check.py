from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from export_helpers import make_testset, seal
from score_helpers import write_scores

from cfgan.errors import FolderError, StoppedError
from cfgan.testsets.check import check_testset
from cfgan.testsets.folder import open_testset
from cfgan.testsets.info import testset_info as read_info
from cfgan.testsets.scores.comparisons import join_scores
from cfgan.testsets.scores.scoring import Settings, score_testset
from cfgan.testsets.scores.tables import read_scores


@pytest.mark.parametrize("design", ["matched", "transect", "gallery", "detection"])
def test_a_sound_set_has_no_problems(tmp_path: Path, design: str) -> None:
    folder = make_testset(tmp_path / "t", design=design, mated="presumed" if design == "transect" else "1")
    told: list[tuple[int, int]] = []
    assert check_testset(folder, lambda stage, done, total: told.append((done, total))) == []
    files = sum(path.is_file() for path in folder.rglob("*")) - 1
    assert told[-1] == (files, files)


def _replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


IMAGE = "images/s00001/s00001_0001.png"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: (f / IMAGE).unlink(), f"{IMAGE}: missing"),
        (lambda f: (f / IMAGE).write_bytes((f / IMAGE).read_bytes() + b"x"), f"{IMAGE}: changed"),
        (lambda f: (f / "note.txt").write_text("x"), "note.txt: not listed"),
        (_replace("datasheet.md", "Data", "data"), "datasheet.md: changed"),
        (_replace("checksums.sha256", "  datasheet.md", "  ../datasheet.md"), "malformed line"),
        (_replace("pairs.csv", "p000002", "p000001"), "pairs.csv: changed"),
    ],
)
def test_files_that_are_not_as_they_were_made(tmp_path: Path, change: Callable[[Path], None], says: str) -> None:
    folder = make_testset(tmp_path / "t")
    change(folder)
    problems = check_testset(folder)
    assert any(says in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_replace("pairs.csv", "p000002", "p000001"), "pairs.csv: p000001 is listed twice"),
        (_replace("pairs.csv", "s00001_0002", "s00001_0009"), "the set has no image images/s00001/s00001_0009.png"),
        (_replace("pairs.csv", ",1,Red", ",0,Red"), "mated is 0, but the subjects are s00001 and s00001"),
        (_replace("pairs.csv", ",0,nearest", ",presumed,nearest"), "mated is presumed, but the subjects are s00001"),
        (_replace("pairs.csv", "s00001/s00001_0002.png,1", "s00001/s00001_0001.png,1"), "compared with itself"),
        (_replace("pairs.csv", "0.250000,1", "0.250000,2"), "s00001 is in the folds 1, 2"),
        (_replace("pairs.csv", "gp000002", "gp000003"), "has another enrolled face"),
        (_replace("pairs.csv", "images/s00001/s00001_0001.png", "gallery/x/../y.png"), "the set has no image gallery"),
        (_replace("protocol.json", '"pairs": 12', '"pairs": 13'), "says pairs 13, the tables have 12"),
        (_replace("protocol.json", '"nonmated": 6', '"nonmated": 5'), "says nonmated 5, the tables have 6"),
        (_replace("protocol.json", '"nearest": 6', '"nearest": 7'), "says strata"),
        (_replace("protocol.json", '"subjects": 6', '"subjects": 7'), "says subjects 7"),
        (_replace("protocol.json", '"folds": 2', '"folds": 1'), "says 1 folds, pairs.csv has 1, 2"),
        (_replace("attributes.csv", "s00001,5,0", "s00002,5,0"), "lies in no folder of subject s00002"),
        (_replace("attributes.csv", "s00001_0001", "s00001_0002"), f"{IMAGE}: not in attributes.csv"),
        (_replace("attributes.csv", "seed", "sede"), "does not begin with file, subject, seed"),
        (lambda f: (f / IMAGE).write_bytes((f / IMAGE).read_bytes()[:200]), "broken image"),
        (_replace("manifest.json", "matched", "../../matched"), "design '../../matched' is not one of matched,"),
        (lambda f: (f / "datasheet.md").unlink(), "datasheet.md: missing from checksums.sha256"),
        (_replace("pairs.csv", ",0.250000", ",nan"), "pairs.csv line 2: similarity 'nan'"),
    ],
)
def test_tables_that_contradict_each_other(tmp_path: Path, change: Callable[[Path], None], says: str) -> None:
    """Checksums fit, so only what the tables say can give it away."""
    folder = make_testset(tmp_path / "t")
    change(folder)
    problems = check_testset(seal(folder))
    assert any(says in problem for problem in problems), problems


def test_names_that_are_no_images_of_the_set_are_refused(tmp_path: Path) -> None:
    folder = make_testset(tmp_path / "t")
    whole = (folder / "pairs.csv").read_text()
    (folder / "pairs.csv").write_text(whole.replace("images/s00001/s00001_0002.png", "images/s00001/s00001_0009.png"))
    with pytest.raises(FolderError, match="the set has no image 'images/s00001/s00001_0009.png'"):
        read_info(folder)
    for name in ("s00001_0002.png", "/s00001_0002.png", ""):
        (folder / "pairs.csv").write_text(whole.replace("images/s00001/s00001_0002.png", name))
        with pytest.raises(FolderError, match=r"pairs\.csv line \d+: (b .* is in no subject's|a comparison)"):
            open_testset(folder)


def test_detection_sets_are_counted_too(tmp_path: Path) -> None:
    folder = make_testset(tmp_path / "t", design="detection")
    _replace("items.csv", "i000002", "i000001")(folder)
    _replace("items.csv", ",,bona_fide", ",,attack")(folder)
    _replace("items.csv", "_0002.png,attack", "_0002.png,bona_fide")(folder)
    problems = check_testset(seal(folder))
    assert any("i000001 is listed twice" in problem for problem in problems)
    assert any("an attack without a file" in problem for problem in problems)
    assert any("says attack 12, the tables have 11" in problem for problem in problems)


def test_what_is_no_test_set(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is not a test set"):
        check_testset(tmp_path)
    (tmp_path / "journal.jsonl").touch()
    with pytest.raises(FolderError, match="unfinished"):
        check_testset(tmp_path)


def test_a_check_can_be_stopped(tmp_path: Path) -> None:
    folder = make_testset(tmp_path / "t")
    with pytest.raises(StoppedError):
        check_testset(folder, lambda stage, done, total: os.kill(os.getpid(), signal.SIGINT) if done == 2 else None)


def test_info_counts_the_tables(tmp_path: Path) -> None:
    about = read_info(make_testset(tmp_path / "t", mated="presumed", design="transect"))
    assert json.loads(json.dumps(about)) == about
    assert (about["design"], about["folds"], about["images"], about["subjects"]) == ("transect", 2, 12, 6)
    assert about["counts"] == {"pairs": 12, "mated": 0, "nonmated": 6, "presumed": 6}
    assert about["strata"] == {
        "Red": {"rows": 6, "kinds": {"presumed": 6}, "mean_similarity": 0.25},
        "nearest": {"rows": 6, "kinds": {"0": 6}, "mean_similarity": 0.25},
    }
    about = read_info(make_testset(tmp_path / "d", design="detection"))
    assert about["counts"] == {"items": 24, "attack": 12, "bona_fide": 0, "slots": 12}


def test_a_set_of_the_first_format_is_still_read_checked_and_scored(tmp_path: Path) -> None:
    folder = make_testset(tmp_path / "old", people=4)
    text = (folder / "pairs.csv").read_text().splitlines()
    assert text[0].endswith(",fold,control,rank")
    (folder / "pairs.csv").write_text("\n".join(line.rsplit(",", 2)[0] for line in text) + "\n")
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace("cfgan-testset/2", "cfgan-testset/1"))
    seal(folder)
    assert check_testset(folder) == []
    opened = open_testset(folder)
    assert {(pair.control, pair.rank) for pair in opened.pairs} == {(None, None)}
    table = write_scores(tmp_path / "s.csv", [pair.pair for pair in opened.pairs], range(len(opened.pairs)))
    read = read_scores(table, [pair.pair for pair in opened.pairs], key="pair", column="score")
    comparisons = join_scores(opened, read, distance=False, allow_missing=False)
    data = score_testset(opened, comparisons, read, Settings(rates=(0.1,), resamples=100))
    assert data["testset"]["comparisons"] == len(opened.pairs)
