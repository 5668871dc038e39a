from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cfgan.data import store as store_module
from cfgan.data.decode import CROP, load_rgb, to_square
from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import open_store, pack
from cfgan.errors import DataError, FolderError, StoppedError
from cfgan.io.seal import unsealed
from cfgan_cli.app import app


def test_crop_is_the_central_square_and_resize_antialiases() -> None:
    stripes = np.zeros((218, 178, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than the target's pixels: without a filter it would alias to black or white
    stripes[:20] = stripes[198:] = 7  # outside the crop
    square = to_square(Image.fromarray(stripes), 64, CROP)
    assert square.shape == (3, 64, 64) and square.dtype == np.uint8
    assert 90 < square.mean() < 165 and square.std() < 60


def test_pack_reads_back_what_was_there(celeba_folder: Path, tmp_path: Path) -> None:
    table = read_celeba(celeba_folder)
    store, bad = pack(table, tmp_path / "s", 32)
    assert not bad and store.images.shape == (20, 3, 32, 32)
    assert len(store.rows("train")) == 16 and len(store.rows("validation")) == 4
    np.testing.assert_array_equal(store.labels, table.labels)
    expected = to_square(load_rgb(table.folder / table.files[7]), 32, CROP)
    np.testing.assert_array_equal(store.images[7], expected)
    open_store(tmp_path / "s", verify=True)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    again, bad = pack(table, tmp_path / "s", 32)  # the same command again is no fault, and changes nothing
    assert again.digest == store.digest and not bad
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    for other, size in ((table, 16), (table.select(np.arange(20) > 0), 32)):
        with pytest.raises(FolderError, match="finished store of other images"):
            pack(other, tmp_path / "s", size)


def test_packing_twice_gives_the_same_bytes(celeba_folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack(read_celeba(celeba_folder), tmp_path / name, 16, workers=1 if name == "a" else 3)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_an_interrupted_packing_resumes_to_the_same_bytes(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_CHUNK", 4)
    table = read_celeba(celeba_folder)
    pack(table, tmp_path / "whole", 16)

    def stop_midway(stage: str, done: int, total: int, remark: str = "") -> None:
        if stage == "packing" and done == 8:
            raise StoppedError("stop")

    with pytest.raises(StoppedError):
        pack(table, tmp_path / "s", 16, progress=stop_midway)
    with pytest.raises(DataError, match="unfinished"):
        open_store(tmp_path / "s")
    stages: list[tuple[str, int]] = []
    pack(table, tmp_path / "s", 16, progress=lambda stage, done, *rest: stages.append((stage, done)))
    assert stages[0] == ("packing", 12)  # neither checked again nor started over
    assert (tmp_path / "s" / "images.npy").read_bytes() == (tmp_path / "whole" / "images.npy").read_bytes()
    assert (tmp_path / "s" / "store.json").read_bytes() == (tmp_path / "whole" / "store.json").read_bytes()


def test_bad_images_are_all_named_before_anything_is_written(celeba_folder: Path, tmp_path: Path) -> None:
    images = celeba_folder / "img_align_celeba"
    (images / "000002.jpg").unlink()
    whole = (images / "000005.jpg").read_bytes()
    (images / "000005.jpg").write_bytes(whole[: len(whole) // 2])  # Image.verify would pass this
    Image.new("RGB", (100, 100)).save(images / "000009.jpg")
    (images / "000011.jpg").write_bytes(b"GIF89a not allowed")
    with pytest.raises(DataError) as caught:
        pack(read_celeba(celeba_folder), tmp_path / "s", 16)
    text = str(caught.value)
    assert "4 of 20" in text and "000002.jpg: the file is missing" in text and "000005.jpg: broken" in text
    assert "000009.jpg: 100 x 100 pixels instead of 178 x 218" in text and "000011.jpg: not a" in text
    assert not (tmp_path / "s").exists()

    store, bad = pack(read_celeba(celeba_folder), tmp_path / "s", 16, skip_bad=True)
    assert len(store.files) == 16 and "000005.jpg" not in store.files and len(bad) == 4
    assert (tmp_path / "s" / "skipped.txt").read_text().count("\n") == 4


@pytest.mark.parametrize(
    ("file", "line", "text", "says"),
    [
        ("list_attr_celeba.txt", 4, "000003.jpg 1 -1", "line 5.*2 values instead of 40"),
        ("list_attr_celeba.txt", 4, "000003.jpg " + "1 " * 39 + "2", "line 5.*'2' is neither"),
        ("list_attr_celeba.txt", 4, "000002.jpg " + "1 " * 40, "twice"),
        ("list_attr_celeba.txt", 4, "../x.jpg " + "1 " * 40, "not a plain file name"),
        ("list_attr_celeba.txt", 0, "21", "says 21 rows, there are 20"),
        ("list_attr_celeba.txt", 0, "many", "line 1"),
        ("list_eval_partition.txt", 2, "000003.jpg 7", "line 3"),
        ("list_eval_partition.txt", 2, "", "000003.jpg has labels but no split"),
    ],
)
def test_bad_label_rows_are_named(celeba_folder: Path, file: str, line: int, text: str, says: str) -> None:
    path = celeba_folder / file
    lines = path.read_text().splitlines()
    lines[line] = text
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=says):
        read_celeba(celeba_folder)


def test_missing_parts_are_named(celeba_folder: Path, tmp_path: Path) -> None:
    (celeba_folder / "list_eval_partition.txt").unlink()
    with pytest.raises(DataError, match="list_eval_partition.txt is missing"):
        read_celeba(celeba_folder)
    with pytest.raises(DataError, match="no folder"):
        read_celeba(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a packed store"):
        open_store(tmp_path)


def test_a_folder_with_something_else_is_left_alone(celeba_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.txt").write_text("mine")
    with pytest.raises(FolderError, match="something else"):
        pack(read_celeba(celeba_folder), tmp_path / "s", 16)
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["thesis.txt"]


def test_a_changed_store_is_noticed(celeba_folder: Path, tmp_path: Path) -> None:
    pack(read_celeba(celeba_folder), tmp_path / "s", 16)
    path = tmp_path / "s" / "images.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    open_store(tmp_path / "s")
    with pytest.raises(DataError, match=r"images\.npy is not as its checksum"):
        open_store(tmp_path / "s", verify=True)
    path.write_bytes(data[:-100])
    with pytest.raises(DataError, match="damaged"):
        open_store(tmp_path / "s")


def test_decompression_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "big.png")
    monkeypatch.setattr("cfgan.data.decode.MAX_PIXELS", 10_000)
    with pytest.raises(DataError, match="more than 10,000 pixels"):
        load_rgb(tmp_path / "big.png")


def test_another_packing_never_goes_on_in_the_folder(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_CHUNK", 4)
    table = read_celeba(celeba_folder)

    def stop_midway(stage: str, done: int, total: int, remark: str = "") -> None:
        if stage == "packing":
            raise StoppedError("stop")

    with pytest.raises(StoppedError):
        pack(table, tmp_path / "s", 16, progress=stop_midway)
    other = dataclasses.replace(table, labels=-table.labels)
    with pytest.raises(FolderError, match="other images"):
        pack(other, tmp_path / "s", 16)


def test_damaged_descriptions_are_one_sentence(tmp_path: Path) -> None:
    for text in ("[]", "{", "{}", '{"format": "cfgan-store/1"}'):
        (tmp_path / "store.json").write_text(text)
        with pytest.raises(DataError):
            open_store(tmp_path)


def test_every_byte_of_a_store_is_covered(celeba_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    pack(read_celeba(celeba_folder), out, 16)
    about = json.loads((out / "store.json").read_text())
    names = about["vocabulary"]["names"]
    swapped = {**about, "vocabulary": {**about["vocabulary"], "names": [names[1], names[0], *names[2:]]}}
    (out / "store.json").write_text(json.dumps(swapped))
    with pytest.raises(DataError, match=r"store\.json: it was changed"):
        open_store(out)
    (out / "store.json").write_text(json.dumps(about))
    for name in ("labels.npy", "split.npy", "files.txt"):
        whole = (out / name).read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 16)):
            (out / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(DataError, match=name):
                open_store(out)
        (out / name).write_bytes(whole)
    assert open_store(out, verify=True).sealed


def test_an_older_store_opens_and_says_what_is_not_covered(celeba_folder: Path, tmp_path: Path) -> None:
    store, _ = pack(read_celeba(celeba_folder), tmp_path / "s", 16)
    path = tmp_path / "s" / "store.json"
    path.write_text(json.dumps(unsealed(json.loads(path.read_text()))))
    older = open_store(tmp_path / "s", verify=True)
    assert not older.sealed and older.digest == store.digest
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path / "s")])
    assert result.exit_code == 0 and "under no checksum" in result.stderr


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "split.npy", "files.txt", "store.json"])
def test_whatever_stands_in_the_place_of_a_file_is_one_sentence(name: str, celeba_folder: Path, tmp_path: Path) -> None:
    pack(read_celeba(celeba_folder), tmp_path / "s", 16)
    path = tmp_path / "s" / name
    for data in (b"", b"PK\x05\x06" + bytes(18), b"\xff" * 100, b"\x93NUMPY\x01\x00\x00\x00"):
        path.write_bytes(data)
        for verify in (False, True):
            with pytest.raises(DataError, match=str(tmp_path)):
                open_store(tmp_path / "s", verify=verify)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="pipe"):
        open_store(tmp_path / "s")


def test_what_a_classifier_cannot_learn_is_said(celeba_folder: Path, tmp_path: Path) -> None:
    store, _ = pack(read_celeba(celeba_folder), tmp_path / "s", 16)
    assert store.untaught() == []
    labels = store.labels.copy()
    labels[store.rows("validation"), 2] = np.nan
    (said,) = dataclasses.replace(store, labels=labels).untaught()
    assert said == f"not one validation image has a known label of {store.vocabulary.names[2]}"
    (said,) = dataclasses.replace(store, split=np.zeros_like(store.split)).untaught()
    assert "no validation images" in said
