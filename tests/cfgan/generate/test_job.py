from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import cfgan.generate.batch
from cfgan.attributes.spec import Plan, RequestCell, make_plan, read_spec
from cfgan.errors import FolderError, RequestError, StoppedError, StorageError
from cfgan.generate.batch import read_batch
from cfgan.generate.batch_check import check_batch
from cfgan.generate.job import finish_early, generate
from cfgan.generate.sampling import Sampler
from cfgan.model.bundle import Bundle
from cfgan.model.torch_engine import TorchEngine
from cfgan_cli.app import app


def plan(bundle: Bundle, **values: Any) -> Plan:
    return make_plan({"attributes": "Red,-Striped", "count": 20, "seed": 3, **values}, bundle.vocabulary)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_batch_holds_what_it_says(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "b"
    summary = generate(tiny_bundle, plan(tiny_bundle), out)
    assert summary.complete and summary.accepted == 20 and check_batch(out) == []
    table = rows(out)
    names = tiny_bundle.vocabulary.names
    assert list(table[0]) == (
        ["file", "draw", "seed", "sha256", "requested.Red", "requested.Striped"]
        + [f"condition.{n}" for n in names]
        + [f"verifier.{n}" for n in names]
    )
    thresholds = dict(zip(names, tiny_bundle.calibration.threshold, strict=True))
    for row in table:
        assert float(row["verifier.Red"]) >= thresholds["Red"] - 1e-6
        assert float(row["verifier.Striped"]) <= thresholds["Striped"] + 1e-6
        assert (row["condition.Red"], row["condition.Striped"]) == ("1", "-1")
    draws = [int(row["draw"]) for row in table]
    assert draws == sorted(set(draws)) and draws[-1] + 1 == summary.draws
    figures = summary.cells[0]["attributes"]
    assert figures["Red"]["verified"] == 1 and summary.cells[0]["acceptance"] < 1
    rejected = figures["Red"]["rejected_alone"] + figures["Striped"]["rejected"]
    mean = np.mean([float(row["verifier.Red"]) for row in table])
    assert figures["Red"]["probability"] == pytest.approx(mean, abs=1e-4)
    assert summary.draws - 20 == rejected > 0  # a draw failed on Red alone, or on Striped with or without Red


def test_every_image_says_that_it_is_synthetic_and_where_it_is_from(tiny_bundle: Bundle, tmp_path: Path) -> None:
    generate(tiny_bundle, plan(tiny_bundle, count=3), tmp_path / "b")
    for row in rows(tmp_path / "b"):
        with Image.open(tmp_path / "b" / row["file"]) as image:
            image.load()
            text = json.loads(image.text["cfgan"])  # type: ignore[attr-defined]
            assert "trainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]  # type: ignore[attr-defined]
        assert text["synthetic"] and text["bundle"]["digest"] == tiny_bundle.digest
        assert (text["seed"], text["draw"]) == (3, int(row["draw"])) and text["spec"]["request"]["Red"] == 1
    for data in contents(tmp_path / "b").values():
        assert str(tmp_path).encode() not in data


def test_the_same_plan_gives_the_same_bytes_and_spec_yaml_the_same_faces(tiny_bundle: Bundle, tmp_path: Path) -> None:
    generate(tiny_bundle, plan(tiny_bundle), tmp_path / "a")
    generate(tiny_bundle, read_spec(str(tmp_path / "a" / "spec.yaml"), tiny_bundle.vocabulary), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["none", "torn journal", "lost image", "deleted image", "altered image"])
def test_an_interrupted_batch_resumes_to_the_same_bytes(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr("cfgan.generate.sampling.CHUNK", 8)
    wanted = plan(tiny_bundle, vary=["Round"])
    generate(tiny_bundle, wanted, tmp_path / "whole")

    def stop(stage: str, done: int, total: int, draws: str = "") -> None:
        if done >= 13:
            signal.raise_signal(signal.SIGINT)

    out = tmp_path / "b"
    with pytest.raises(StoppedError, match="the same command goes on"):
        generate(tiny_bundle, wanted, out, progress=stop)
    with pytest.raises(FolderError, match="unfinished"):
        read_batch(out)
    journal = out / "journal.jsonl"
    if damage == "torn journal":
        journal.write_bytes(journal.read_bytes()[:-40])
    if damage == "lost image":  # written, but the journal line after it was not
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:10])
        (out / "images" / "000099.png.1.partial").write_bytes(b"x")
    if damage == "deleted image":
        (out / "images" / "000011.png").unlink()
    if damage == "altered image":
        (out / "images" / "000011.png").write_bytes(b"x")
    made: list[int] = []
    generate(tiny_bundle, wanted, out, progress=lambda stage, done, *rest: made.append(done))
    assert made[0] > 3  # it did not start over
    assert contents(out) == contents(tmp_path / "whole") and check_batch(out) == []


@pytest.mark.parametrize("invariant", [False, True])
def test_no_more_is_drawn_than_has_to_be(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invariant: bool
) -> None:
    """Where bytes depend on the size of a batch whole chunks are drawn, elsewhere what is probably wanted."""
    drawn: list[int] = []
    whole = Sampler._chunk

    def counted(self: Sampler, cell: RequestCell, draws: range, last: int) -> Any:
        drawn.append(len(draws))
        return whole(self, cell, draws, last)

    monkeypatch.setattr(Sampler, "_chunk", counted)
    monkeypatch.setattr(TorchEngine, "batch_invariant", invariant)
    found = generate(tiny_bundle, plan(tiny_bundle, count=4, verify={"enabled": False}), tmp_path / "b")
    assert found.accepted == 4
    assert drawn == ([4] if invariant else [32])


def test_what_is_drawn_in_small_pieces_is_what_whole_chunks_give(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the draws are rejected, and they run out; the counts and the draws that are kept stay the same."""
    found = []
    for invariant in (False, True):
        monkeypatch.setattr(TorchEngine, "batch_invariant", invariant)
        out = tmp_path / str(invariant)
        wanted = plan(tiny_bundle, count=30, verify={"max_draws": 45})
        summary = generate(tiny_bundle, wanted, out)
        found.append((summary.accepted, summary.draws, [row["draw"] for row in rows(out)]))
    assert found[0] == found[1] and 0 < found[0][0] < 30 and found[0][1] == 45


@pytest.mark.slow
def test_a_stopped_batch_can_be_closed_with_what_it_has(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfgan.generate.sampling.CHUNK", 8)
    out, wanted = tmp_path / "b", plan(tiny_bundle, vary=["Round"])

    def stop(stage: str, done: int, total: int, draws: str = "") -> None:
        if done >= 13:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        generate(tiny_bundle, wanted, out, progress=stop)
    assert CliRunner().invoke(app, ["batch", "finish", str(out)]).exit_code == 2  # no shipped bundle
    result = CliRunner().invoke(app, ["batch", "finish", str(out), "--bundle", str(tiny_bundle.path)])
    assert result.exit_code == 3, result.output
    about = read_batch(out)
    assert 13 <= about["accepted"] < about["wanted"] and check_batch(out) == []
    assert generate(tiny_bundle, wanted, out).accepted == about["accepted"]  # it is closed, and stays so
    assert CliRunner().invoke(app, ["batch", "finish", str(out)]).exit_code == 0
    with pytest.raises(FolderError, match="no unfinished work"):
        finish_early(tiny_bundle, out)


def test_a_changed_line_of_a_journal_is_noticed(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfgan.generate.sampling.CHUNK", 8)

    def stop(stage: str, done: int, total: int, draws: str = "") -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        generate(tiny_bundle, plan(tiny_bundle), tmp_path / "b", progress=stop)
    path = tmp_path / "b" / "journal.jsonl"
    path.write_text(path.read_text().replace('"next_draw": 8', '"next_draw": 9'))
    with pytest.raises(FolderError, match="journal.jsonl is damaged"):
        generate(tiny_bundle, plan(tiny_bundle), tmp_path / "b")


def test_a_finished_batch_is_not_made_again(tiny_bundle: Bundle, tmp_path: Path) -> None:
    first = generate(tiny_bundle, plan(tiny_bundle), tmp_path / "b")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "b").rglob("*")}
    again = generate(tiny_bundle, plan(tiny_bundle), tmp_path / "b")
    assert (again.accepted, again.draws, again.cells) == (first.accepted, first.draws, first.cells)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "b").rglob("*")}
    (tmp_path / "b" / "images" / "000003.png").unlink()
    with pytest.raises(FolderError, match="damaged \\(images/000003.png: missing"):
        generate(tiny_bundle, plan(tiny_bundle), tmp_path / "b")


def test_foreign_folders_are_never_written_into(tiny_bundle: Bundle, tmp_path: Path) -> None:
    generate(tiny_bundle, plan(tiny_bundle), tmp_path / "b")
    with pytest.raises(FolderError, match="another batch"):
        generate(tiny_bundle, plan(tiny_bundle, seed=4), tmp_path / "b")
    assert check_batch(tmp_path / "b") == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(FolderError, match="something else"):
        generate(tiny_bundle, plan(tiny_bundle), tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(FolderError):
        generate(tiny_bundle, plan(tiny_bundle), tmp_path / "file")


def test_running_out_of_draws_keeps_what_was_found(tiny_bundle: Bundle, tmp_path: Path) -> None:
    strict = {"threshold": 0.999999, "max_draws": 30}
    summary = generate(tiny_bundle, plan(tiny_bundle, verify=strict), tmp_path / "b")
    assert not summary.complete and summary.draws == 30 and check_batch(tmp_path / "b") == []
    short = generate(tiny_bundle, plan(tiny_bundle, verify={"max_draws": 11}), tmp_path / "c")
    assert 0 < short.accepted < 20 and short.draws == 11 and len(rows(tmp_path / "c")) == short.accepted


def test_without_verification_every_draw_is_kept(tiny_bundle: Bundle, tmp_path: Path) -> None:
    summary = generate(tiny_bundle, plan(tiny_bundle, verify={"enabled": False}), tmp_path / "b")
    assert summary.draws == summary.accepted == 20
    figures = summary.cells[0]["attributes"]["Red"]
    assert figures["unfiltered"] == figures["verified"] < 1 and figures["rejected"] == 0


def test_graded_requests_are_conditions_only(tiny_bundle: Bundle, tmp_path: Path) -> None:
    summary = generate(tiny_bundle, plan(tiny_bundle, attributes="Red=0.5", count=4), tmp_path / "b")
    assert summary.draws == 4 and summary.cells[0]["attributes"]["Red"]["unfiltered"] is None
    assert {row["condition.Red"] for row in rows(tmp_path / "b")} == {"0.5"}


def test_contradictions_stop_before_anything_is_written(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Cat and Dog"):
        generate(tiny_bundle, plan(tiny_bundle, attributes="Cat,Dog"), tmp_path / "b")
    with pytest.raises(RequestError, match="Cat and Dog"):
        generate(tiny_bundle, plan(tiny_bundle, attributes="Cat", unspecified={"Dog": True}), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_full_disk_stops_with_a_sentence_and_resumes(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tiny_bundle, plan(tiny_bundle), tmp_path / "whole")
    calls = 0
    real = os.fsync

    def fill_up(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_up)
        with pytest.raises(StorageError, match="disk is full"):
            generate(tiny_bundle, plan(tiny_bundle), tmp_path / "b")
    assert not list((tmp_path / "b").rglob("*.partial"))
    generate(tiny_bundle, plan(tiny_bundle), tmp_path / "b")
    assert contents(tmp_path / "b") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda out: (out / "images/000004.png").unlink(), "images/000004.png: missing"),
        (lambda out: (out / "images/000099.png").write_bytes(b"x"), "images/000099.png: not listed"),
        (lambda out: (out / "spec.yaml").write_text("count: 1"), "spec.yaml: changed"),
        (lambda out: (out / "checksums.sha256").write_text("x"), "malformed"),
        (lambda out: (out / "checksums.sha256").unlink(), "checksums.sha256: missing"),
        (lambda out: (out / "images/000001.png").write_bytes((out / "images/000002.png").read_bytes()), "changed"),
    ],
)
def test_check_finds_every_kind_of_change(tiny_bundle: Bundle, tmp_path: Path, damage: Any, says: str) -> None:
    out = tmp_path / "b"
    generate(tiny_bundle, plan(tiny_bundle, count=6), out)
    damage(out)
    assert any(says in problem for problem in check_batch(out))


def test_the_journal_streams_into_the_manifest(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Memory does not grow with the batch: nothing of a stored chunk is kept but counts."""
    writer = cfgan.generate.batch.BatchWriter(tmp_path / "b", {"bundle": {}, "spec": {}}, 1)
    zeros = np.zeros(6, np.float32)
    face = cfgan.generate.batch.Face("images/000000.png", 0, 0, np.zeros((3, 16, 16), np.uint8), {}, zeros, zeros)
    writer.begin()
    writer.add(0, cfgan.generate.batch.CellTally(1, 1), [face])
    kept = [value for value in vars(writer).values() if isinstance(value, list)]
    assert len(kept) == 1 and len(kept[0]) == 1


def test_two_processes_never_write_into_one_folder(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "b"

    def second(stage: str, done: int, total: int, draws: str = "") -> None:
        with pytest.raises(FolderError, match="another process is writing"):
            generate(tiny_bundle, plan(tiny_bundle), out)

    generate(tiny_bundle, plan(tiny_bundle), out, progress=second)
    assert check_batch(out) == []


def test_a_start_that_was_killed_can_be_made_again(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "b"
    (out / "images").mkdir(parents=True)
    (out / "journal.jsonl.77.partial").write_text("{")
    generate(tiny_bundle, plan(tiny_bundle, count=4), out)
    assert check_batch(out) == []


@pytest.mark.slow
def test_leftovers_of_a_killed_end_are_removed(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out, whole = tmp_path / "b", tmp_path / "whole"
    generate(tiny_bundle, plan(tiny_bundle), whole)

    def stop(stage: str, done: int, total: int, draws: str = "") -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        generate(tiny_bundle, plan(tiny_bundle, count=200), out, progress=stop)
    (out / "manifest.csv.77.partial").write_text("half")
    (out / "images" / "000999.png").write_bytes(b"no journal line")
    generate(tiny_bundle, plan(tiny_bundle, count=200), out)
    assert check_batch(out) == []


@pytest.mark.parametrize("text", ["garbage\n", "", "[]\n", '{"header": 1}\n'])
def test_a_damaged_journal_is_one_sentence(tiny_bundle: Bundle, tmp_path: Path, text: str) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "journal.jsonl").write_text(text)
    with pytest.raises(FolderError):
        generate(tiny_bundle, plan(tiny_bundle), tmp_path / "b")


def test_the_manifest_cannot_point_outside(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Someone else's batch is checked: no name in it becomes a path before it stands in the checksums."""
    out = tmp_path / "b"
    generate(tiny_bundle, plan(tiny_bundle, count=2), out)
    (tmp_path / "secret.png").write_bytes(b"x")
    text = (out / "manifest.csv").read_text() + "../secret.png\n"
    (out / "manifest.csv").write_text(text)
    sums = (out / "checksums.sha256").read_text().splitlines()
    digest = hashlib.sha256(text.encode()).hexdigest()
    sums = [f"{digest}  manifest.csv" if line.endswith("manifest.csv") else line for line in sums]
    (out / "checksums.sha256").write_text("\n".join(sums))
    problems = check_batch(out)
    assert any("../secret.png has another sha256" in problem for problem in problems)
    assert not any("not a JPEG" in problem for problem in problems)
