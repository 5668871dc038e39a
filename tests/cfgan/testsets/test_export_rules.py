"""What every export promises, whatever its format."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_helpers import make_testset, pixels, seal

from cfgan.errors import FolderError, InputError, StoppedError
from cfgan.io.files import sha256_of
from cfgan.testsets.export.formats import FORMATS, export_testset
from cfgan.testsets.export.source import ExportOptions
from cfgan.testsets.folder import open_testset
from cfgan.testsets.tables import set_digest


def export(testset: Path, kind: str, out: Path, **options: Any) -> dict[str, Any]:
    return export_testset(open_testset(testset), kind, out, ExportOptions(**options))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", FORMATS)
def test_repeated_it_is_the_same_and_says_what_it_is(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    testset = make_testset(tmp_path / "t")
    about = export(testset, kind, tmp_path / "one")
    left = tmp_path / "two" / f".deep.new.{2**22 + 1}.partial"  # a killed export's: no process has such a number
    left.mkdir(parents=True)
    (left / "half").touch()
    export(testset, kind, tmp_path / "two" / "deep")
    one = bytes_of(tmp_path / "one")
    assert one == bytes_of(tmp_path / "two" / "deep")
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["deep"]
    export(testset, kind, tmp_path / "one")  # an older export is replaced
    assert one == bytes_of(tmp_path / "one") and sorted(path.name for path in tmp_path.iterdir()) == ["one", "t", "two"]
    assert json.loads(one["export.json"]) == about and about["testset"]["digest"] == set_digest(testset)
    readme = one["README.txt"].decode()
    assert set_digest(testset) in readme and "research only" in readme and "show nobody" in readme
    assert str(tmp_path) not in readme + one["export.json"].decode()
    sums = dict(line.split("  ")[::-1] for line in one["checksums.sha256"].decode().splitlines())
    assert set(sums) == set(one) - {"checksums.sha256"}
    assert all(sha256_of(tmp_path / "one" / name) == digest for name, digest in sums.items())


@pytest.mark.parametrize("kind", FORMATS)
def test_stopped_it_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    testset, out = make_testset(tmp_path / "t"), tmp_path / "out"

    def stop(stage: str, done: int, total: int, remark: str = "") -> None:
        assert total == 12
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError, match="nothing was written"):
        export_testset(open_testset(testset), kind, out, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_changed_image_is_not_exported(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    testset = make_testset(tmp_path / "t")
    image = testset / "images" / "s00004" / "s00004_0001.png"
    image.write_bytes(image.read_bytes() + b"x")
    with pytest.raises(FolderError, match="s00004_0001.png has changed since the set was made"):
        export(testset, kind, tmp_path / "out")
    image.unlink()
    with pytest.raises(FolderError, match="s00004_0001.png is missing"):
        export(testset, kind, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_what_stands_in_the_way_stays(tmp_path: Path) -> None:
    testset, out = make_testset(tmp_path / "t"), tmp_path / "out"
    with pytest.raises(InputError, match="lies inside .*, a test set"):
        export(testset, "lfw", testset / "lfw")
    export(testset, "lfw", out)
    (out / "lfw_home" / "mine.txt").write_text("x")
    with pytest.raises(FolderError, match="something else: lfw_home/mine.txt"):
        export(testset, "huggingface", out)
    assert (out / "lfw_home" / "mine.txt").read_text() == "x" and (out / "index.csv").exists()
    with pytest.raises(FolderError, match="something else: attributes.csv"):
        export(make_testset(tmp_path / "u"), "lfw", testset)


def test_options_are_checked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    testset = make_testset(tmp_path / "t")
    for kind, options, says in (
        ("lwf", {}, "--format: 'lwf' is not a known format. Did you mean lfw"),
        ("parquet", {"balance": True}, "--balance: cannot be combined with --format parquet"),
        ("huggingface", {"quality": 80}, "--quality: cannot be combined with --format huggingface"),
        ("lfw", {"quality": 100}, "100 is not between 50 and 95. Did you mean 95"),
        ("lfw", {"size": 4}, "4 is not between 8 and 4096"),
        ("lfw", {"images": "gif"}, "'gif' is neither jpg nor png"),
        ("lfw", {"gallery": tmp_path / "nowhere"}, "there is no folder"),
    ):
        with pytest.raises(InputError, match=says):
            export(testset, kind, tmp_path / "out", **options)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "cfgan\[parquet\]"'):
        export(testset, "parquet", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_a_set_that_contradicts_itself_is_not_exported(tmp_path: Path) -> None:
    testset = make_testset(tmp_path / "t")
    text = (testset / "pairs.csv").read_text()
    (testset / "pairs.csv").write_text(text.replace("0.250000,1", "0.250000,2", 1))
    with pytest.raises(FolderError, match="s00001 is in the folds 1, 2.*cfgan testset check"):
        export(seal(testset), "lfw", tmp_path / "out")


def test_a_margin_leaves_the_face_whole_in_a_border_of_its_own_edge(tmp_path: Path) -> None:
    testset = open_testset(make_testset(tmp_path / "t"))
    for margin, out in ((0.0, "plain"), (0.25, "wide")):
        export_testset(testset, "lfw", tmp_path / out, ExportOptions(images="png", size=256, margin=margin))
    (plain, *_), (wide, *_) = (sorted((tmp_path / out).rglob("*.png")) for out in ("plain", "wide"))
    inner = pixels(plain, 128).astype(int)
    found = pixels(wide, 256).astype(int)
    assert np.abs(found[64:192, 64:192] - inner).mean() < 3
    assert (found[:64] == found[64]).all() and (found[:, 192:] == found[:, 191:192]).all()
    assert "border of 25 %" in (tmp_path / "wide" / "README.txt").read_text()
    with pytest.raises(InputError, match="not between 0 and 0.4"):
        export_testset(testset, "lfw", tmp_path / "x", ExportOptions(margin=0.5))
    with pytest.raises(InputError, match="--margin: cannot be combined with --format celeba"):
        export_testset(testset, "celeba", tmp_path / "x", ExportOptions(margin=0.1))
