"""Labels that stand in shards, beside the images: every command that reads labels reads those too."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cfgan.attributes.spec import make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.balance.data import open_balance_data
from cfgan.data.source import open_source
from cfgan.data.sources.base import Options
from cfgan.data.store import pack
from cfgan.errors import DataError
from cfgan.generate.shards.run import generate_shards
from cfgan.generate.shards.store import open_shard_store
from cfgan.model.bundle import Bundle


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), (shade, 0, 255 - shade)).save(buffer, format="PNG")
    return buffer.getvalue()


def tar(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as out:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))


def said(**labels: Any) -> bytes:
    return json.dumps(labels).encode()


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    tar(
        folder / "faces-train-000.tar",
        {
            "a.png": png(10),
            "a.json": said(Hat=1, Smile=-1, caption="a hat"),
            "b/a.jpg": png(20),
            "b/a.json": said(Smile=1, Hat=-1, caption="none"),
            "c.png": png(30),
        },
    )
    tar(folder / "faces-test-000.tar", {"a.json": said(Hat=-1, Smile=-1), "a.png": png(40), "d.txt": b"words"})
    return folder


def test_json_beside_an_image_is_its_label(shards: Path) -> None:
    source = open_source(shards)
    assert source.kind == "shards" and source.vocabulary.names == ("Hat", "Smile")
    assert source.files == ("faces-test-000.tar/a.png", "faces-train-000.tar/a.png", "faces-train-000.tar/b/a.jpg")
    assert source.labels.tolist() == [[-1, -1], [1, -1], [-1, 1]]
    assert [source.splits[k] for k in (source.split if source.split is not None else [])] == ["test", "train", "train"]
    assert source.left_out.columns == {"caption": "text, not labels"}
    assert [*source.left_out.images] == ["faces-train-000.tar/c.png"] and source.unlabelled == 1
    assert source.ignored == {".txt": 1}


def test_they_can_be_packed_and_balanced(shards: Path, tmp_path: Path) -> None:
    store, _ = pack(open_source(shards).labelled(), tmp_path / "store", 16)
    reds = store.images[:, 0].mean((1, 2)).round().tolist()
    assert reds == [40, 10, 20] and store.split.tolist() == [2, 0, 0]
    data = open_balance_data(shards, Vocabulary(("Smile", "Hat")))
    assert data.folder is None and data.train.tolist() == [[-1, 1], [1, -1]]


def test_classes(tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", {"1.png": png(1), "1.cls": b"cat\n", "2.png": png(2), "2.cls": b"dog"})
    source = open_source(tmp_path / "x.tar")
    assert source.vocabulary.names == ("cat", "dog") and source.labels.tolist() == [[1, -1], [-1, 1]]


def test_nothing_said_and_nonsense_are_told(tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", {"1.png": png(1), "2.png": png(2)})
    with pytest.raises(DataError, match="nothing is said of them"):
        open_source(tmp_path / "x.tar")
    tar(tmp_path / "y.tar", {"1.png": png(1), "1.json": b"[1]"})
    with pytest.raises(DataError, match=r"y\.tar/1\.json is no object"):
        open_source(tmp_path / "y.tar")
    tar(tmp_path / "z.tar", {"1.png": png(1), "1.json": b"{"})
    with pytest.raises(DataError, match=r"z\.tar/1\.json is not JSON"):
        open_source(tmp_path / "z.tar")
    tar(tmp_path / "w.tar", {"1.png": png(1), "1.json": said(Hat="maybe", Smile=1), "2.png": png(2)})
    assert open_source(tmp_path / "w.tar").vocabulary.names == ("Smile",)


def test_a_table_that_is_named_or_lies_there_comes_first(shards: Path) -> None:
    (shards / "one.png").write_bytes(png(5))
    (shards / "labels.csv").write_text("file,Bald\none.png,1\n")
    assert open_source(shards).vocabulary.names == ("Bald",)
    assert open_source(shards, Options(layout="shards")).vocabulary.names == ("Hat", "Smile")


def test_parquet_with_images_and_labels(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    features = {"label": {"_type": "ClassLabel", "names": ["zero", "one"]}, "image": {"_type": "Image"}}
    table = arrow.table(
        {
            "image": [{"bytes": png(k), "path": "same.png"} for k in (10, 20, 30)],
            "label": arrow.array([0, 1, 1], arrow.int64()),
            "Round": [True, False, None],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    parquet.write_table(table, folder / "data/train-00000-of-00001.parquet")
    source = open_source(folder)
    assert source.kind == "shards" and source.splits == ("train",)
    assert source.files is not None and len({*source.files}) == 3
    assert source.vocabulary.names == ("Round", "one", "zero")
    np.testing.assert_array_equal(source.labels[:, 1:], [[-1, 1], [1, -1], [1, -1]])
    np.testing.assert_array_equal(source.labels[:, 0], [1, -1, np.nan])
    store, _ = pack(source.labelled(), tmp_path / "store", 16)
    assert store.images[:, 0].mean((1, 2)).round().tolist() == [10, 20, 30]


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_shards_of_generated_images_hold_requests_and_no_labels(
    kind: str, tiny_bundle: Bundle, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    requests = [{"name": "red", "attributes": "Red", "count": 3}, {"name": "not", "attributes": "-Red", "count": 2}]
    plan = make_plan({"requests": requests, "count": 3, "verify": {"enabled": False}}, vocabulary)
    generate_shards(tiny_bundle, plan, open_shard_store(tmp_path / "made"), kind=kind)
    source = open_source(tmp_path / "made")
    assert source.requested and source.vocabulary.names == ("Red",)
    assert sorted(source.labels[:, 0].tolist()) == [-1, -1, 1, 1, 1]
    with pytest.raises(DataError, match="generated images"):
        open_balance_data(tmp_path / "made", vocabulary)


def test_people_of_long_numbers_stay_apart(tmp_path: Path) -> None:
    first = 202400000001
    members = {f"{k}.png": png(k) for k in range(6)}
    tar(tmp_path / "a.tar", members | {f"{k}.json": said(Hat=k % 2, person_id=first + k // 2) for k in range(6)})
    source = open_source(tmp_path / "a.tar")
    assert source.person is not None and source.person.tolist() == [0, 0, 1, 1, 2, 2]
    assert source.persons == tuple(str(first + k) for k in range(3)) and source.labels.dtype == np.float32
