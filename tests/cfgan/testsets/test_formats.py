"""Every export is read by what reads that format outside of this project."""

from __future__ import annotations

import csv
import gc
import io
import json
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from export_helpers import SIDE, make_testset, pixels, seal
from PIL import Image

from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import pack
from cfgan.errors import FolderError, InputError
from cfgan.testsets.export.formats import export_testset
from cfgan.testsets.export.source import ExportOptions
from cfgan.testsets.folder import open_testset

LOSS = 2.0  # mean difference that JPEG and resizing may make, in levels of 255


def export(testset: Path, kind: str, out: Path, **options: Any) -> dict[str, Any]:
    return export_testset(open_testset(testset), kind, out, ExportOptions(**options))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and float(np.abs(a.astype(float) - b.astype(float)).mean()) < LOSS


# LFW


@pytest.mark.slow
@pytest.mark.parametrize("images", ["jpg", "png"])
def test_scikit_learn_reads_lfw(tmp_path: Path, images: str) -> None:
    from sklearn.datasets import fetch_lfw_pairs, fetch_lfw_people

    testset, out = make_testset(tmp_path / "t", folds=3), tmp_path / "lfw"
    export(testset, "lfw", out, images=images)
    index, names = rows_of(out / "index.csv"), {row["file"]: row["of_the_set"] for row in rows_of(out / "names.csv")}
    how: dict[str, Any] = {"data_home": out, "funneled": False, "download_if_missing": False, "color": True}
    whole = {"slice_": (slice(0, 250), slice(0, 250)), "resize": SIDE / 250}
    read = fetch_lfw_pairs(subset="10_folds", **how, **whole)
    assert read.target.tolist() == ([1] * 3 + [0] * 3) * 3  # in each fold mated ones, then non-mated ones
    pairs = {pair.pair: pair for pair in open_testset(testset).pairs}
    for (a, b), row, target in zip(read.pairs, index, read.target, strict=True):
        pair = pairs[row["pair"]]
        assert (int(pair.mated), names[row["a"]], names[row["b"]]) == (target, pair.a, pair.b)
        assert alike(a * 255, pixels(testset / pair.a)) and alike(b * 255, pixels(testset / pair.b))
    assert fetch_lfw_pairs(subset="train", **how).target.tolist() == [1] * 6 + [0] * 6
    assert fetch_lfw_pairs(subset="test", **how).pairs.shape == (6, 2, 62, 47, 3)
    people = fetch_lfw_people(**how)
    assert Counter(people.target.tolist()) == dict.fromkeys(range(9), 2) and people.target_names[0] == "s00001"


def test_torchvision_reads_lfw(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    export(make_testset(tmp_path / "t"), "lfw", tmp_path / "lfw")
    (tmp_path / "lfw" / "lfw_home").rename(tmp_path / "lfw" / "lfw-py")

    class Synthetic(datasets.LFWPairs):  # type: ignore[misc, name-defined]
        def _check_integrity(self) -> bool:
            return True

    for split, targets in (("10fold", [1, 1, 1, 0, 0, 0] * 2), ("test", [1, 1, 1, 0, 0, 0])):
        read = Synthetic(tmp_path / "lfw", split=split, image_set="original")
        assert list(read.targets) == targets and read[0][0].size == (250, 250)


def test_lfw_holds_equal_folds_only(tmp_path: Path) -> None:
    testset, out = make_testset(tmp_path / "t", extra=2), tmp_path / "lfw"
    says = r"fold 1: 3 mated and 5 non-mated; fold 2: 3 mated .* --balance .*Did you mean huggingface"
    with pytest.raises(InputError, match=says):
        export(testset, "lfw", out)
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
    about = export(testset, "lfw", out, balance=True)
    assert about["counts"] == {"folds": 2, "mated": 6, "nonmated": 6, "images": 12}
    assert "2 comparisons of the set were left out" in " ".join((out / "README.txt").read_text().split())
    lines = (out / "lfw_home" / "pairs.txt").read_text().splitlines()
    assert lines[0] == "2\t3" and [len(line.split("\t")) for line in lines[1:]] == ([3] * 3 + [4] * 3) * 2
    assert len({row["pair"] for row in rows_of(out / "index.csv")}) == 12
    impostors = make_testset(tmp_path / "n", mated=None)
    with pytest.raises(InputError, match=r"fold 2: 0 mated and 3 non-mated\. Did you mean huggingface or parquet"):
        export(impostors, "lfw", out)
    with pytest.raises(InputError, match="--balance: nothing would be left"):
        export(impostors, "lfw", out, balance=True)
    about = export(impostors, "insightface", tmp_path / "bin")
    assert any("All are of one kind" in note for note in about["notes"])


@pytest.mark.slow
def test_the_draw_of_balance_favours_no_stratum(tmp_path: Path) -> None:
    """Three of each five stay; over many sets the last comparisons, of another stratum, stay as often as the first."""
    kept: Counter[str] = Counter()
    testset = make_testset(tmp_path / "t", extra=2, folds=1)
    for number in range(40):
        (testset / "spec.yaml").write_text(f"seed: {number}\n")
        export(seal(testset), "insightface", tmp_path / "bin", balance=True, size=16)
        kept.update(row["stratum"] for row in rows_of(tmp_path / "bin" / "index.csv"))
    assert kept["Red"] == kept["random"] + kept["nearest"] == 120 and 32 <= kept["random"] <= 64  # 48 expected


def test_presumed_comparisons_are_given_out_as_mated_only_when_told_to(tmp_path: Path) -> None:
    testset = make_testset(tmp_path / "t", mated="presumed")
    for kind in ("lfw", "insightface"):
        with pytest.raises(InputError, match="6 comparisons are only presumed to be mated.*--presumed-as-mated"):
            export(testset, kind, tmp_path / kind)
        assert not (tmp_path / kind).exists()
        export(testset, kind, tmp_path / kind, presumed_as_mated=True)
        assert "only presumed to be: one latent" in (tmp_path / kind / "README.txt").read_text()
        mated = [row["mated"] for row in rows_of(tmp_path / kind / "index.csv")]
        assert mated == (["presumed"] * 3 + ["0"] * 3) * 2


# insightface


def load_bin(path: Path, side: int) -> tuple[list[np.ndarray], list[bool]]:
    """The lines by which insightface's verification.py reads one, with Pillow as decoder. No package carries them."""
    with path.open("rb") as handle:
        bins, issame = pickle.load(handle, encoding="bytes")
    images = [np.asarray(Image.open(io.BytesIO(bins[i]))) for i in range(len(issame) * 2)]
    assert all(image.shape == (side, side, 3) for image in images)
    return images, issame


@pytest.mark.parametrize("size", [None, 64])
def test_the_bin_is_what_insightface_reads(tmp_path: Path, size: int | None) -> None:
    testset, out = make_testset(tmp_path / "t", extra=1), tmp_path / "bin"
    export(testset, "insightface", out, size=size)
    images, issame = load_bin(out / "matched.bin", size or 112)
    index = rows_of(out / "index.csv")
    assert issame == [True] * 3 + [False] * 4 + [True] * 3 + [False] * 3 and len(images) == 2 * len(index)
    for i, row in enumerate(index):
        assert issame[i] == (row["mated"] == "1")
        for image, name in ((images[2 * i], row["a"]), (images[2 * i + 1], row["b"])):
            assert alike(image, pixels(testset / name, size or 112))
    # A face that stands in several comparisons is stored once.
    assert (out / "matched.bin").stat().st_size < 12 * len(io_bytes(images[0])) * 2


def io_bytes(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def test_enrolled_faces_are_copied_only_when_asked_and_are_not_marked(tmp_path: Path) -> None:
    testset = make_testset(tmp_path / "t", design="gallery")
    with pytest.raises(InputError, match=r"--gallery: the set compares with enrolled faces.*gallery/Jane Doe 1"):
        export(testset, "lfw", tmp_path / "lfw")
    gallery = tmp_path / "people"
    for fold in (1, 2):
        (gallery / f"Jane Doe {fold}").mkdir(parents=True)
        with pytest.raises(InputError, match=rf"has no Jane Doe {fold}/at work.png"):
            export(testset, "lfw", tmp_path / "lfw", gallery=gallery)
        Image.new("RGB", (80, 60), (200, 40 * fold, 0)).save(gallery / f"Jane Doe {fold}" / "at work.png")
    export(testset, "lfw", tmp_path / "lfw", gallery=gallery)
    lfw = tmp_path / "lfw" / "lfw_home"
    assert (lfw / "pairs.txt").read_text().splitlines()[1:3] == ["s00001\t1\t2", "enrolled00001\t1\ts00001\t1"]
    with Image.open(lfw / "lfw" / "enrolled00001" / "enrolled00001_0001.jpg") as image:
        assert image.size == (250, 250) and not {"xmp", "comment"} & set(image.info)
        assert image.getpixel((125, 125)) == pytest.approx((200, 40, 0), abs=4)
    with Image.open(lfw / "lfw" / "s00001" / "s00001_0001.jpg") as image:
        assert b"trainedAlgorithmicMedia" in image.info["xmp"]
        assert json.loads(image.info["comment"]) == {"cfgan": {"bundle": "tiny", "seed": 5, "draw": 0}}
    assert "but for the enrolled ones" in " ".join((tmp_path / "lfw" / "README.txt").read_text().split())
    export(testset, "insightface", tmp_path / "bin", gallery=gallery)
    assert load_bin(tmp_path / "bin" / "gallery.bin", 112)[1] == [True, False] * 2


# CelebA


def test_celeba_is_read_by_pandas_and_packed(tmp_path: Path) -> None:
    testset, out = make_testset(tmp_path / "t"), tmp_path / "c"
    about = export(testset, "celeba", out)
    home = out / "celeba"
    labels = pd.read_csv(home / "list_attr_celeba.txt", sep=r"\s+", header=1)  # as everybody reads the real one
    given = pd.read_csv(testset / "attributes.csv")
    names = pd.read_csv(out / "names.csv", index_col="file")["of_the_set"]
    assert names[labels.index].tolist() == given["file"].tolist() and list(labels) == ["Red", "Round"]
    wanted = given["requested.Red"].fillna((given["verifier.Red"] >= 0.5).map({True: 1, False: -1}))
    assert labels["Red"].tolist() == wanted.tolist() == [-1, 1] * 6 and labels["Round"].tolist() == [1] * 12
    assert about["counts"]["requested_values"] == given["requested.Red"].notna().sum() == 6
    identity = pd.read_csv(home / "identity_CelebA.txt", sep=r"\s+", header=None, index_col=0)[1]
    assert identity.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    split = pd.read_csv(home / "list_eval_partition.txt", sep=r"\s+", header=None, index_col=0)[1]
    assert split.index.tolist() == labels.index.tolist() and set(split) == {2}
    with Image.open(home / "img_align_celeba" / "000001.jpg") as image:
        assert image.size == (178, 218) and b"trainedAlgorithmicMedia" in image.info["xmp"]
    store, bad = pack(read_celeba(home), tmp_path / "store", SIDE)
    assert not bad and len(store.rows("test")) == 12
    for row, file in enumerate(given["file"]):
        assert alike(store.images[row].transpose(1, 2, 0), pixels(testset / file))


def test_torchvision_reads_celeba(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    export(make_testset(tmp_path / "t"), "celeba", tmp_path / "c")

    class Synthetic(datasets.CelebA):  # type: ignore[misc, name-defined]
        def _check_integrity(self) -> bool:
            return True

    read = Synthetic(tmp_path / "c", split="test", target_type=["attr", "identity", "bbox", "landmarks"])
    image, (attributes, identity, box, landmarks) = read[3]
    image.load()  # that class leaves the file open
    assert len(read) == 12 and image.size == (178, 218) and read.attr_names[:2] == ["Red", "Round"]
    assert attributes.tolist() == [1, 1] and int(identity) == 2 and box.tolist() == [0, 20, 178, 178]
    assert landmarks.tolist() == [-1] * 10


def test_celeba_needs_a_value_for_each_attribute(tmp_path: Path) -> None:
    testset = make_testset(tmp_path / "t")
    text = (testset / "attributes.csv").read_text()
    (testset / "attributes.csv").write_text(text.replace(",0.2,0.5", ",,0.5", 1))
    with pytest.raises(FolderError, match="s00001_0001.png: Red was neither requested"):
        export(seal(testset), "celeba", tmp_path / "c")
    (testset / "attributes.csv").write_text(text.replace(".Red", ".Dark red"))
    with pytest.raises(InputError, match="'Dark red' has a space"):
        export(seal(testset), "celeba", tmp_path / "c")
    assert not (tmp_path / "c").exists()


# Tables


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    module = pytest.importorskip("datasets")
    module.disable_progress_bars()
    yield module
    gc.collect()  # it leaves files open; while the warnings of that are ignored, not in whatever test comes next


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_hugging_face_reads_the_image_folder(tmp_path: Path, datasets: Any) -> None:
    testset, out = make_testset(tmp_path / "t", mated="presumed"), tmp_path / "hf"
    export(testset, "huggingface", out)
    given = rows_of(testset / "attributes.csv")
    for how in (("imagefolder", {"data_dir": str(out)}), (str(out), {})):
        read = datasets.load_dataset(how[0], cache_dir=str(tmp_path / "cache"), **how[1])
        assert list(read) == ["test"]
        found = sorted(read["test"], key=lambda row: row["draw"])
        assert [row["subject"] for row in found] == [row["subject"] for row in given]
        for row, image in zip(given, found, strict=True):
            assert (np.asarray(image["image"]) == pixels(testset / row["file"])).all()
            assert image["verifier.Red"] == float(row["verifier.Red"])
    pairs = datasets.load_dataset(
        "csv", data_files={"test": str(out / "pairs.csv")}, cache_dir=str(tmp_path / "cache")
    )["test"]
    assert Counter(pairs["mated"]) == {"presumed": 6, "0": 6}
    assert {pairs[0]["a"], pairs[0]["b"]} <= {row["file_name"] for row in rows_of(out / "test" / "metadata.csv")}
    assert pixels(out / "test" / pairs[0]["a"]).shape == (SIDE, SIDE, 3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("with_images", [False, True])
def test_pandas_and_hugging_face_read_parquet(tmp_path: Path, datasets: Any, with_images: bool) -> None:
    testset, out = make_testset(tmp_path / "t", design="gallery"), tmp_path / "p"
    export(testset, "parquet", out, with_images=with_images)
    pairs = pd.read_parquet(out / "pairs.parquet")
    expected = open_testset(testset).pairs
    assert pairs["mated"].tolist() == [pair.mated for pair in expected] and pairs["fold"].tolist() == [1, 1, 2, 2]
    assert [list(values) for values in pairs["matched"]] == [["-Round"]] * 4
    assert [list(values) for values in pairs["differing"]] == [[], ["Red"]] * 2
    assert pairs["similarity"].isna().tolist() == [True, False] * 2
    read = datasets.load_dataset(
        "parquet", data_files=str(out / "attributes.parquet"), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert read["requested.Red"][:2] == [None, 1.0] and read["draw"][:3] == [0, 1, 2]
    if with_images:
        read = read.cast_column("image", datasets.Image())
        for row in read:
            assert (np.asarray(row["image"]) == pixels(testset / row["file"])).all()
        assert (
            pd.read_parquet(out / "attributes.parquet")["image"][0]["bytes"] == (testset / read[0]["file"]).read_bytes()
        )
    else:
        assert "image" not in read.column_names


def test_detection_sets_go_into_tables_only(tmp_path: Path) -> None:
    testset = make_testset(tmp_path / "t", design="detection")
    for kind in ("lfw", "insightface", "celeba"):
        says = "(a detection set has none|no place for what).* Did you mean huggingface or parquet"
        with pytest.raises(InputError, match=says):
            export(testset, kind, tmp_path / kind)
    export(testset, "huggingface", tmp_path / "hf")
    assert (tmp_path / "hf" / "items.csv").read_bytes() == (testset / "items.csv").read_bytes()
    pytest.importorskip("pyarrow")
    export(testset, "parquet", tmp_path / "p")
    items = pd.read_parquet(tmp_path / "p" / "items.parquet")
    assert items["label"].tolist() == ["attack"] * 12 + ["bona_fide"] * 12 and items["file"][12] == ""
