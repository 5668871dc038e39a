"""Shards: the faces of a batch, in files that do not depend on who made them, in which order, or how often."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import random
import re
import signal
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cfgan.attributes.spec import Plan, RequestCell, VerifySpec, make_plan
from cfgan.errors import FolderError, InputError, StoppedError, StorageError
from cfgan.generate.batch import CellTally
from cfgan.generate.job import generate
from cfgan.generate.shards.check import check_shards
from cfgan.generate.shards.content import Shard, ShardRecord
from cfgan.generate.shards.run import generate_shards
from cfgan.generate.shards.schedule import CellSchedule
from cfgan.generate.shards.store import FolderStore, ShardStore, open_shard_store
from cfgan.generate.shards.workers import ShardJob, ShardMaker, Workers, processes
from cfgan.model.bundle import Bundle
from cfgan_cli.app import app

SMALL: dict[str, Any] = {"draws": 32}


def plan(bundle: Bundle, **values: Any) -> Plan:
    return make_plan({"attributes": "Red,-Striped", "count": 60, "seed": 3, **values}, bundle.vocabulary)


def two_requests(bundle: Bundle) -> Plan:
    cells = [{"name": "red", "attributes": "Red"}, {"name": "round", "attributes": "Round,-Red", "count": 25}]
    return make_plan({"requests": cells, "count": 40, "seed": 1}, bundle.vocabulary)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The JSON of every face in tar shards, with its image's bytes."""
    rows = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member) for member in tar}
        with tarfile.open(path) as tar:
            for name in members:
                if name.endswith(".json"):
                    about, image = tar.extractfile(name), tar.extractfile(name.replace(".json", ".png"))
                    assert about is not None and image is not None
                    rows.append({**json.load(about), "png": image.read()})
    return rows


def test_shards_hold_the_faces_of_a_batch(tiny_bundle: Bundle, tmp_path: Path) -> None:
    given = plan(tiny_bundle)
    batch = generate(tiny_bundle, given, tmp_path / "batch")
    made = generate_shards(tiny_bundle, given, FolderStore(tmp_path / "shards"), **SMALL)
    assert (made.accepted, made.draws, made.complete) == (60, batch.draws, True) and made.shards > 2
    assert made.cells == batch.cells
    with (tmp_path / "batch" / "manifest.csv").open(newline="") as handle:
        listed = [(int(row["draw"]), row["sha256"]) for row in csv.DictReader(handle)]
    rows = rows_of(tmp_path / "shards")
    assert [(row["draw"], row["sha256"]) for row in rows] == listed
    assert rows[0]["requested"] == {"Red": 1, "Striped": -1}
    assert rows[0]["png"] == (tmp_path / "batch/images/000000.png").read_bytes()
    assert check_shards(FolderStore(tmp_path / "shards")) == []


class Disorder:
    """Workers that hold several shards, finish them in any order, and now and then die."""

    slots = 4

    def __init__(self, job: ShardJob, seed: int, deaths: int) -> None:
        self._maker, self._chance, self._deaths = ShardMaker(job), random.Random(seed), deaths
        self._waiting: list[tuple[Shard, Future[ShardRecord]]] = []
        self._thread = ThreadPoolExecutor(1)

    def submit(self, shard: Shard) -> Future[ShardRecord]:
        future: Future[ShardRecord] = Future()
        self._waiting.append((shard, future))
        self._thread.submit(self._finish_one)
        return future

    def _finish_one(self) -> None:
        time.sleep(0.01)  # till more are waiting
        if not self._waiting:
            return
        if self._deaths and self._chance.random() < 0.3:
            self._deaths -= 1
            dead, self._waiting = self._waiting, []
            for _, future in dead:
                future.set_exception(BrokenProcessPool("killed"))
            return
        shard, future = self._waiting.pop(self._chance.randrange(len(self._waiting)))
        future.set_result(self._maker.make(shard, lambda: False))

    def restart(self) -> None:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_neither_order_nor_deaths_change_a_byte(tiny_bundle: Bundle, tmp_path: Path, seed: int) -> None:
    given = two_requests(tiny_bundle)
    generate_shards(tiny_bundle, given, FolderStore(tmp_path / "calm"), **SMALL)

    @contextmanager
    def disorder(job: ShardJob, stopped: Callable[[], bool]) -> Iterator[Workers]:
        yield Disorder(job, seed, deaths=3)

    made = generate_shards(tiny_bundle, given, FolderStore(tmp_path / "wild"), workers=disorder, **SMALL)
    assert made.accepted == 65
    assert contents(tmp_path / "wild") == contents(tmp_path / "calm")


@pytest.mark.slow
def test_several_processes_make_the_same(tiny_bundle: Bundle, tmp_path: Path) -> None:
    given = plan(tiny_bundle)
    generate_shards(tiny_bundle, given, FolderStore(tmp_path / "one"), **SMALL)
    generate_shards(tiny_bundle, given, FolderStore(tmp_path / "two"), workers=processes(2), **SMALL)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def record(cell: CellSchedule, shard: Shard, passing: list[int]) -> ShardRecord:
    """What a shard gives of which these draws pass."""
    inside = [draw for draw in passing if draw in shard.draws][: shard.limit]
    whole = len(inside) < shard.limit
    taken = len(shard.draws) if whole else inside[-1] + 1 - shard.draws.start
    return ShardRecord(shard.cell, shard.number, shard.limit, "f", len(inside), 1, "", vars(CellTally(taken)))


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.sets(st.integers(0, 511)), st.integers(1, 200), st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_first_faces_that_pass_count_whoever_is_quick(
    passing: set[int], count: int, slots: int, chance: random.Random
) -> None:
    """However many are drawn at once and whoever is done first: the first `count` of the draws that pass."""
    draws = sorted(passing)
    schedule = CellSchedule(0, RequestCell("x", {}, count, 0, verify=VerifySpec(max_draws=512)), 32)
    running: list[Shard] = []
    for _ in range(200):
        while len(running) < slots and (shard := schedule.next()) is not None:
            schedule.running.add(shard.number)
            running.append(shard)
        if not running:
            break
        done = running.pop(chance.randrange(len(running)))
        schedule.take(record(schedule, done, draws))
    place, faces, finished = schedule.counted()
    assert finished and faces == min(count, len(draws)) and not running
    counted = [schedule.records[number] for number in range(place)]
    assert sum(each.faces for each in counted) == faces
    expected = draws[count - 1] + 1 if len(draws) >= count else 512
    assert sum(each.tally["next_draw"] for each in counted) == expected


class Failing(FolderStore):
    """A disk that is full at some write, once."""

    def __init__(self, folder: Path, at: int) -> None:
        super().__init__(folder)
        self.left, self.written = at, [""]

    def write(self, name: str, data: bytes) -> None:
        self.left -= 1
        if not self.left:
            raise StorageError("the disk is full.")
        self.written.append(name)
        super().write(name, data)


@pytest.mark.parametrize("at", [1, 2, *(pytest.param(at, marks=pytest.mark.slow) for at in range(3, 9))])
def test_a_full_disk_loses_nothing(tiny_bundle: Bundle, tmp_path: Path, at: int) -> None:
    given = plan(tiny_bundle)
    generate_shards(tiny_bundle, given, FolderStore(tmp_path / "calm"), **SMALL)
    store = Failing(tmp_path / "full", at)
    with pytest.raises(StorageError):
        generate_shards(tiny_bundle, given, store, **SMALL)
    finished = [name for name in store.written if name.endswith(".done.json")]
    store.written = []
    generate_shards(tiny_bundle, given, store, **SMALL)
    assert not {*finished} & {*store.written}  # what was finished is not made again
    assert contents(tmp_path / "full") == contents(tmp_path / "calm")


def test_a_stop_is_gone_on_from(tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    given, made = plan(tiny_bundle), 0
    generate_shards(tiny_bundle, given, FolderStore(tmp_path / "calm"), **SMALL)
    out = FolderStore(tmp_path / "stopped")

    def progress(stage: str, done: int, total: int, remark: str = "") -> None:
        nonlocal made
        made += 1
        if made == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="the same command goes on from there"):
        generate_shards(tiny_bundle, given, out, progress=progress, **SMALL)
    assert len(list(out.folder.glob("*.done.json"))) == 2
    with pytest.raises(FolderError, match="unfinished"):
        check_shards(out)
    generate_shards(tiny_bundle, given, out, **SMALL)
    assert contents(out.folder) == contents(tmp_path / "calm")
    again = generate_shards(tiny_bundle, given, out, **SMALL)  # finished: nothing is left to do
    assert again.accepted == 60 and again.seconds < 5


def test_draws_that_run_out_are_said(tiny_bundle: Bundle, tmp_path: Path) -> None:
    given = plan(tiny_bundle, count=500, verify={"max_draws": 100})
    made = generate_shards(tiny_bundle, given, FolderStore(tmp_path / "s"), **SMALL)
    assert not made.complete and made.draws == 100 and 0 < made.accepted < 100
    unverified = plan(tiny_bundle, verify={"enabled": False})
    every = generate_shards(tiny_bundle, unverified, FolderStore(tmp_path / "all"), **SMALL)
    assert (every.accepted, every.draws, every.shards) == (60, 60, 2)


def test_a_place_that_holds_other_things_is_left_alone(tiny_bundle: Bundle, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all I have")
    with pytest.raises(FolderError, match=r"already holds something else: thesis\.txt"):
        generate_shards(tiny_bundle, plan(tiny_bundle), FolderStore(mine), **SMALL)
    assert contents(mine) == {"thesis.txt": b"all I have"}
    out = FolderStore(tmp_path / "shards")
    generate_shards(tiny_bundle, plan(tiny_bundle), out, **SMALL)
    with pytest.raises(FolderError, match="other shards"):
        generate_shards(tiny_bundle, plan(tiny_bundle, seed=4), out, **SMALL)
    with pytest.raises(InputError, match="a folder of shards"):
        FolderStore(out.folder / "more")
    with pytest.raises(InputError, match="not a multiple of 32.*Did you mean 96"):
        generate_shards(tiny_bundle, plan(tiny_bundle), out, draws=100)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["bit", "short", "missing", "more", "index", "about"])
def test_damage_is_noticed(tiny_bundle: Bundle, tmp_path: Path, damage: str) -> None:
    out = FolderStore(tmp_path / "s")
    generate_shards(tiny_bundle, plan(tiny_bundle), out, **SMALL)
    path = out.folder / "000-000001.tar"
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[700] ^= 1
        path.write_bytes(data)
    elif damage == "short":
        path.write_bytes(data[:-1])
    elif damage == "missing":
        path.unlink()
    elif damage == "more":
        (out.folder / "000-000099.tar").write_bytes(data)
    elif damage == "index":
        index = out.folder / "index.json"
        index.write_text(index.read_text().replace('"faces": 1', '"faces": 2'))
    else:
        (out.folder / "shards.json").unlink()
    told = CliRunner().invoke(app, ["batch", "check", str(out.folder)])
    assert told.exit_code == (2 if damage == "index" else 1), told.output
    name = {"more": "000-000099.tar", "index": "index.json", "about": "shards.json"}.get(damage, "000-000001.tar")
    assert name in told.stderr


def test_a_bucket_takes_them(tiny_bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    given, where = plan(tiny_bundle), f"memory://{tmp_path.name}/faces"
    generate_shards(tiny_bundle, given, FolderStore(tmp_path / "calm"), **SMALL)
    bucket: ShardStore = open_shard_store(where)
    generate_shards(tiny_bundle, given, bucket, **SMALL)
    assert {name: bucket.read(name) for name in bucket.sizes()} == contents(tmp_path / "calm")
    assert check_shards(open_shard_store(where)) == []
    with pytest.raises(InputError, match="cannot be opened"):
        open_shard_store("nosuch://x")


@pytest.mark.slow
def test_parquet_is_read_by_pandas_and_datasets(tiny_bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd
    from PIL import Image

    given = two_requests(tiny_bundle)
    generate_shards(tiny_bundle, given, FolderStore(tmp_path / "p"), kind="parquet", **SMALL)
    generate_shards(tiny_bundle, given, FolderStore(tmp_path / "t"), **SMALL)
    files = sorted((tmp_path / "p").glob("*.parquet"))
    table = pd.concat([pd.read_parquet(file) for file in files])
    rows = rows_of(tmp_path / "t")
    assert [image["bytes"] for image in table["image"]] == [row["png"] for row in rows]
    assert list(table["request"]) == [row["request"] for row in rows]
    assert list(table["requested.Red"]) == [row["requested"]["Red"] for row in rows]
    assert table["verifier.Red"].iloc[0] == pytest.approx(rows[0]["verifier"]["Red"], abs=1e-6)
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset("parquet", data_files=[str(file) for file in files], cache_dir=str(tmp_path / "c"))
    first = loaded["train"][0]
    assert len(loaded["train"]) == 65 and first["image"].size == (16, 16)
    assert first["image"].tobytes() == Image.open(io.BytesIO(rows[0]["png"])).tobytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves a file open
def test_webdataset_reads_tar(tiny_bundle: Bundle, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    generate_shards(tiny_bundle, plan(tiny_bundle), FolderStore(tmp_path / "t"), **SMALL)
    urls = [str(path) for path in sorted((tmp_path / "t").glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil").to_tuple("png", "json"))
    gc.collect()
    assert len(samples) == 60
    assert samples[0][0].size == (16, 16) and samples[0][1]["requested"] == {"Red": 1, "Striped": -1}


@pytest.mark.slow
def test_the_command(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "s"
    line = ["generate", "-a", "Red", "-n", "40", "--bundle", str(tiny_bundle.path), "--out", str(out)]
    shards = [*line, "--shards", "tar", "--shard-draws", "32"]
    told = CliRunner().invoke(app, shards)
    assert told.exit_code == 0 and "40 faces" in told.stdout
    figures = json.loads(CliRunner().invoke(app, [*shards, "--json"]).stdout)
    assert figures["accepted"] == 40 and figures["complete"] and figures["shards"] == len(list(out.glob("*.tar")))
    assert "complete and unchanged, 40 faces" in CliRunner().invoke(app, ["batch", "check", str(out)]).stdout
    card = (out / "README.md").read_text()
    assert card.startswith("---\n") and "| Red | 40 |" in card
    for more, word in (
        (["--ray", "auto"], "--ray: needs --shards"),
        (["--shards", "tra"], "Did you mean tar"),
        (["--shards", "tar", "--processes", "0"], "--processes"),
    ):
        refused = CliRunner().invoke(app, [*line[:-1], str(tmp_path / "x"), *more])
        assert refused.exit_code == 2 and word in refused.stderr
    refused = CliRunner().invoke(app, [*line[:-1], "s3://bucket/faces"])
    assert refused.exit_code == 2 and "--shards tar" in refused.stderr


@pytest.mark.slow
def test_verify_reads_tar_shards(tiny_bundle: Bundle, tmp_path: Path) -> None:
    given = plan(tiny_bundle)
    generate(tiny_bundle, given, tmp_path / "batch")
    generate_shards(tiny_bundle, given, FolderStore(tmp_path / "shards"), **SMALL)
    with tarfile.open(tmp_path / "shards" / "more.tar", "w") as tar:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        broken = tarfile.TarInfo("broken.png")
        broken.size = 4
        tar.addfile(broken, io.BytesIO(b"\x89PNG"))

    def read(folder: Path) -> list[list[str]]:
        table = tmp_path / f"{folder.name}.csv"
        line = ["verify", str(folder), "--bundle", str(tiny_bundle.path), "--out", str(table), "-q"]
        assert CliRunner().invoke(app, line).exit_code == (1 if folder.name == "shards" else 0)
        with table.open(newline="") as handle:
            return list(csv.reader(handle))

    batch, shards = read(tmp_path / "batch"), read(tmp_path / "shards")
    assert [row[1:] for row in shards[:-1]] == [row[1:] for row in batch]
    assert shards[1][0] == "000-000000.tar/000-000000000.png" and shards[-1][0] == "more.tar/broken.png"
    (tmp_path / "shards" / "torn.tar").write_bytes(b"this is no tar file")
    refused = CliRunner().invoke(app, ["verify", str(tmp_path / "shards"), "--bundle", str(tiny_bundle.path)])
    assert refused.exit_code == 2 and "torn.tar" in refused.stderr


@pytest.mark.slow
def test_verify_reads_parquet_shards(tiny_bundle: Bundle, tmp_path: Path) -> None:
    given = plan(tiny_bundle)
    for kind in ("tar", "parquet"):
        generate_shards(tiny_bundle, given, FolderStore(tmp_path / kind), kind=kind, **SMALL)

    def read(folder: Path) -> list[list[str]]:
        table = tmp_path / f"{folder.name}.csv"
        line = ["verify", str(folder), "--bundle", str(tiny_bundle.path), "--out", str(table), "-q"]
        assert CliRunner().invoke(app, line).exit_code == 0
        with table.open(newline="") as handle:
            return list(csv.reader(handle))

    tar, parquet = read(tmp_path / "tar"), read(tmp_path / "parquet")
    assert [row[1:] for row in parquet] == [row[1:] for row in tar]
    assert parquet[1][0] == "000-000000.parquet/000-000000000.png"


def test_a_finished_folder_is_looked_at_and_files_of_others_stay(tiny_bundle: Bundle, tmp_path: Path) -> None:
    given, store = plan(tiny_bundle), FolderStore(tmp_path / "s")
    generate_shards(tiny_bundle, given, store, **SMALL)
    whole = contents(store.folder)
    (store.folder / "my_backup.tar").write_bytes(b"mine")
    (store.folder / "999-000009.tar").write_bytes(b"made in vain, before a kill")
    (store.folder / "000-000000.done.json").write_bytes(b"{}")
    again = generate_shards(tiny_bundle, given, store, **SMALL)
    assert again.accepted == 60 and contents(store.folder) == whole | {"my_backup.tar": b"mine"}
    first = next(path for path in sorted(store.folder.glob("0*.tar")))
    first.unlink()
    with pytest.raises(FolderError, match=f"{first.name} is missing"):
        generate_shards(tiny_bundle, given, store, **SMALL)


def test_files_of_others_stay_also_while_shards_are_made(tiny_bundle: Bundle, tmp_path: Path) -> None:
    given, store = plan(tiny_bundle), FolderStore(tmp_path / "s")
    with pytest.raises(StoppedError):
        generate_shards(tiny_bundle, given, store, progress=interrupt, **SMALL)
    (store.folder / "my_backup.tar").write_bytes(b"mine")
    generate_shards(tiny_bundle, given, store, **SMALL)
    assert (store.folder / "my_backup.tar").read_bytes() == b"mine"


def test_the_card_says_which_way_a_gate_goes(tiny_bundle: Bundle, tmp_path: Path) -> None:
    generate_shards(tiny_bundle, plan(tiny_bundle), FolderStore(tmp_path / "s"), **SMALL)
    gates = (tmp_path / "s" / "README.md").read_text()
    assert re.search(r"Red 0\.\d\d, -Striped 0\.\d\d", gates), gates


def interrupt(stage: str, done: int, total: int, remark: str = "") -> None:
    os.kill(os.getpid(), signal.SIGINT)
