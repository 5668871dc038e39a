"""Images in Parquet files, as other people write them; those in tar files are read in the tests of shards."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from cfgan.data import archives
from cfgan.data.image_files import find_images
from cfgan.errors import DataError, InputError
from cfgan.io import extras

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def png(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(out, "PNG")
    return out.getvalue()


PNGS = [png(shade) for shade in range(5)]


def test_bytes_and_paths_as_the_hub_has_them(tmp_path: Path) -> None:
    rows = [{"bytes": data, "path": f"{k}.png" if k else None} for k, data in enumerate(PNGS)]
    table = arrow.table({"label": [0, 1, 0, 1, 0], "image": rows})
    parquet.write_table(table, tmp_path / "train.parquet", row_group_size=2)
    found = find_images([tmp_path], archives=True).files
    assert [file.name for file in found] == [
        "train.parquet/000000000",
        *(f"train.parquet/{k}.png" for k in range(1, 5)),
    ]
    assert [file.content() for file in found] == PNGS
    assert [file.content() for file in reversed(found)] == PNGS[::-1]


def test_a_column_of_bytes(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"jpg": PNGS}), tmp_path / "a.parquet")
    found = find_images([tmp_path / "a.parquet"], archives=True).files
    assert [file.content() for file in found] == PNGS


def test_a_table_of_labels_beside_images_is_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNGS[0])
    parquet.write_table(arrow.table({"image": ["a.png"], "Red": [1]}), tmp_path / "labels.parquet")
    found = find_images([tmp_path], archives=True)
    assert [file.name for file in found.files] == ["a.png"] and found.ignored == {".parquet": 1}
    with pytest.raises(DataError, match="has no images"):
        find_images([tmp_path / "labels.parquet"], archives=True)


def test_damage_is_said(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"jpg": PNGS}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-20])
    with pytest.raises(DataError):
        find_images([tmp_path], archives=True)
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + bytes(len(whole) - 8 - 4) + whole[-8:])
    with pytest.raises(DataError):
        find_images([tmp_path], archives=True)


def test_paths_that_are_no_text_are_numbers_instead(tmp_path: Path) -> None:
    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.binary())])
    rows = arrow.array([{"bytes": data, "path": b"\xff"} for data in PNGS], type=kind)
    parquet.write_table(arrow.table({"image": rows}), tmp_path / "a.parquet")
    found = find_images([tmp_path], archives=True).files
    assert [file.name for file in found][:2] == ["a.parquet/000000000", "a.parquet/000000001"]
    assert [file.content() for file in found] == PNGS


def test_a_small_file_that_stands_for_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(arrow.table({"png": [PNGS[0]] * 4000}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 4000
    with pytest.raises(DataError, match="more rows than it has bytes"):
        find_images([tmp_path], archives=True)
    monkeypatch.setattr(archives, "_GROUP", 1000)
    parquet.write_table(arrow.table({"png": [bytes([k]) * 400 for k in range(5)]}), tmp_path / "a.parquet")
    (first, *_) = find_images([tmp_path], archives=True).files
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        first.content()


def test_without_what_reads_parquet_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(arrow.table({"png": PNGS}), tmp_path / "a.parquet")
    (tmp_path / "a.png").write_bytes(PNGS[0])
    monkeypatch.setattr(archives, "find_spec", lambda name: None)
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    (reason,) = find_images([tmp_path], archives=True).ignored
    assert "cfgan[parquet]" in reason
    with pytest.raises(InputError, match=r"cfgan\[parquet\]"):
        find_images([tmp_path / "a.parquet"], archives=True)
