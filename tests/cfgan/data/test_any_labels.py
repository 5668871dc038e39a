"""Labels as people have them: in names, in folders, in other tools' files, listed twice, spelled in two ways."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data_helpers import pattern as drawn

from cfgan.data.left_out import LeftOut, left_out_csv
from cfgan.data.read.bins import parse_bins
from cfgan.data.read.columns import Columns
from cfgan.data.read.splits import Shares
from cfgan.data.source import open_source
from cfgan.data.sources.base import Options, Source
from cfgan.data.sources.patterns import compile_pattern
from cfgan.data.store import pack
from cfgan.data.stratified import stratified
from cfgan.data.table import read_labels
from cfgan.errors import DataError, InputError


def draw(folder: Path, *names: str) -> Path:
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        drawn(k).save(folder / name)
    return folder


def said(source: Source, file: str) -> set[str]:
    """The attributes that an image has."""
    row = (source.files or ()).index(file)
    return {name for k, name in enumerate(source.vocabulary.names) if source.labels[row, k] > 0}


def test_labels_in_file_names_with_bins_for_numbers(tmp_path: Path) -> None:
    folder = draw(
        tmp_path / "chips", "25_0_2_a.jpg.png", "61_1_0_b.jpg.png", "17_1_2_c.png", "40_0_0_d.png", "39_1_e.png"
    )
    options = Options(pattern="{age}_{gender}_{race}_*", columns=Columns(bins=parse_bins(["age=18,40,60"])))
    source = open_source(folder, options)
    assert source.kind == "pattern" and len(source.labels) == 4
    assert said(source, "25_0_2_a.jpg.png") == {"age_18_to_40", "gender_0", "race_2"}
    assert said(source, "61_1_0_b.jpg.png") == {"age_from_60", "gender_1", "race_0"}
    assert said(source, "17_1_2_c.png") == {"age_below_18", "gender_1", "race_2"}
    assert "age_40_to_60" in said(source, "40_0_0_d.png")
    # Exactly one of each set: a request for two ages is impossible.
    assert frozenset({"gender_0", "gender_1"}) in source.vocabulary.exclusive
    assert dict(source.left_out.images) == {"39_1_e.png": "its name does not fit the pattern"}
    store, _ = pack(source.labelled(), tmp_path / "store", 16)
    assert len(store.files) == 4


def test_each_level_of_folders_is_a_set_of_classes(tmp_path: Path) -> None:
    names = [f"{sex}/{hair}/{k}.png" for k, sex in enumerate(("man", "woman")) for hair in ("short", "long")]
    source = open_source(draw(tmp_path / "nested", *names), Options(pattern="{sex}/{hair}/*"))
    assert said(source, "woman/long/1.png") == {"woman", "long"}
    assert set(source.vocabulary.names) == {"man", "woman", "short", "long"}


def test_class_folders_whose_name_means_unknown_are_counted_and_named(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path / "hats", "none/1.png", "none/2.png", "cap/3.png", "bowler/4.png"))
    assert set(source.vocabulary.names) == {"cap", "bowler"} and said(source, "none/1.png") == set()
    [line] = source.left_out.lines()
    assert line == "1 folder level left out (read as an unknown label, not as a class: 2 images): none"
    assert source.left_out.any_unasked()


def test_persons_and_splits_in_names_are_known(tmp_path: Path) -> None:
    names = ("train/ann_happy_1.png", "train/ann_sad_2.png", "test/bob_happy_1.png", "train/cy_sad_3.png")
    source = open_source(draw(tmp_path / "people", *names), Options(pattern="{split}/{person}_{mood}_*"))
    assert set(source.vocabulary.names) == {"happy", "sad"} and set(source.persons) == {"ann", "bob", "cy"}
    assert sorted(source.splits) == ["test", "train"]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("*", "names in braces"),
        ("{a}_{a}", "'a'"),
        ("{}", "''"),
        ("{a b}", "'a b'"),
        ("{a", "'{' stands"),
        ("{file}_*", "'file'"),
    ],
)
def test_a_pattern_that_cannot_be_one_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        compile_pattern(pattern)


def test_a_pattern_that_fits_nothing_says_so(tmp_path: Path) -> None:
    folder = draw(tmp_path / "a", "one.png")
    with pytest.raises(DataError, match=r"--pattern: no image fits it; the first is 'one.png'"):
        open_source(folder, Options(pattern="{age}_{gender}"))
    with pytest.raises(InputError, match="--labels: cannot be combined with --pattern"):
        open_source(folder, Options(pattern="{age}", labels=tmp_path / "x.csv"))
    for text in ("age", "age=", "age=a,b", "age=40,18", "=3"):
        with pytest.raises(InputError, match="--bins"):
            parse_bins([text])
    (tmp_path / "t.csv").write_text("file,age\na,20\nb,50\nc,\n")
    table = read_labels(tmp_path / "t.csv", Columns(bins={"age": (30,)}))
    assert table.vocabulary.names == ("age_below_30", "age_from_30") and np.isnan(table.labels[2]).all()
    with pytest.raises(InputError, match="--bins: t.csv has no column 'agee'. Did you mean age"):
        read_labels(tmp_path / "t.csv", Columns(bins={"agee": (30,)}))


@pytest.mark.parametrize("above", ["", "parts/"])
def test_folders_called_0_1_2_are_classes_or_shards_never_splits(tmp_path: Path, above: str) -> None:
    folder = draw(tmp_path / "digits", *(f"{above}{k}/{n}/{n}.png" for k in range(3) for n in ("a", "b")))
    source = open_source(folder / above)
    assert source.split is None and set(source.vocabulary.names) == {"0", "1", "2"}
    assert set(source.left_out.folders) == {"a", "b"}  # levels that became nothing are named
    (tmp_path / "labels.csv").write_text("file,Hat\n0/a.png,1\n1/b.png,0\n")
    shards = draw(tmp_path / "shards", "0/a.png", "1/b.png")
    assert open_source(shards, Options(labels=tmp_path / "labels.csv")).split is None


def test_stylegans_dataset_json(tmp_path: Path) -> None:
    folder = draw(tmp_path / "sg", "00000/img0.png", "00000/img1.png", "00000/img2.png")
    rows = [["00000/img0.png", 2], ["00000/img1.png", 0], ["00000/img2.png", 2]]
    (folder / "dataset.json").write_text(json.dumps({"labels": rows}))
    source = open_source(folder)
    assert source.kind == "stylegan" and source.vocabulary.names == ("class_0", "class_1", "class_2")
    assert said(source, "00000/img2.png") == {"class_2"}
    (folder / "dataset.json").write_text(json.dumps({"labels": [[name, [k % 2, 1]] for name, k in rows]}))
    assert open_source(folder).labels.tolist() == [[-1, 1], [-1, 1], [-1, 1]]
    for bad in ({"labels": None}, {}, {"labels": [["a.png", 0.5]]}, {"labels": [["a.png"]]}, {"labels": []}):
        (folder / "dataset.json").write_text(json.dumps(bad))
        with pytest.raises(DataError, match=r"dataset\.json"):
            open_source(folder)


def test_celeba_as_kaggle_has_it(tmp_path: Path) -> None:
    names = [f"{k:06d}.png" for k in range(1, 5)]
    folder = draw(tmp_path / "kaggle", *(f"img_align_celeba/img_align_celeba/{name}" for name in names))
    rows = "\n".join(f"{name},{1 if k % 2 else -1},-1" for k, name in enumerate(names))
    (folder / "list_attr_celeba.csv").write_text(f"image_id,Smiling,Bald\n{rows}\n")
    parts = "\n".join(f"{name},{min(k, 2)}" for k, name in enumerate(names))
    (folder / "list_eval_partition.csv").write_text(f"image_id,partition\n{parts}\n")
    source = open_source(folder)
    assert source.vocabulary.names == ("Smiling", "Bald") and len(source.labels) == 4
    assert [source.splits[k] for k in (source.split if source.split is not None else ())] == [
        "train",
        "validation",
        "test",
        "test",
    ]


@pytest.mark.parametrize("inner", ["", "data/"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_metadata_beside_the_images_or_below_data(tmp_path: Path, inner: str, suffix: str) -> None:
    folder = draw(tmp_path / "hub", *(f"{inner}{part}/{part}{k}.png" for part in ("train", "test") for k in range(2)))
    for part in ("train", "test"):
        rows = [{"file_name": f"{part}{k}.png", "Hat": k} for k in range(2)]
        text = "file_name,Hat\n" + "".join(f"{row['file_name']},{row['Hat']}\n" for row in rows)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / inner / part / f"metadata.{suffix}").write_text(text if suffix == "csv" else lines)
    source = open_source(folder)
    assert source.kind == "imagefolder" and sorted(source.splits) == ["test", "train"]
    assert said(source, f"{inner}test/test1.png") == {"Hat"} and not source.left_out.lines()


def test_a_file_that_is_listed_several_times_by_choice(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,Hat,Red\na,1,0\nb,0,0\na,0,1\na,0,\nc,1,1\nc,0,1\n")

    def labels(which: str) -> list[list[float]]:
        return read_labels(tmp_path / "t.csv", Columns(duplicates=which)).labels.tolist()

    assert labels("first") == [[1, -1], [-1, -1], [1, 1]]
    assert read_labels(tmp_path / "t.csv", Columns(duplicates="last")).files == ("b", "a", "c")
    found = labels("majority")
    assert found[0][0] == -1 and np.isnan(found[0][1]) and np.isnan(found[2][0]) and found[2][1] == 1
    with pytest.raises(DataError, match=r"t.csv row 3: a is listed twice; --duplicates"):
        labels("refuse")
    with pytest.raises(InputError, match="--duplicates: 'frist' is not one of .*Did you mean first"):
        labels("frist")
    left = read_labels(tmp_path / "t.csv", Columns(duplicates="first")).left_out
    assert not left.any_unasked() and LeftOut(images={"a.png": "not in the table"}).any_unasked()
    assert left.lines() == ["2 rows left out (listed again; --duplicates first): a, c"]
    assert left_out_csv(left).decode().splitlines()[1:] == [f"row,{n},listed again; --duplicates first" for n in "ac"]


def test_columns_are_ignored_and_capitals_folded_as_asked(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,mood,camera,Hat\na,Happy,7,1\nb,happy,8,0\nc,SAD,9,0\nd,Happy,7,0\n")
    columns = Columns(classes=("mood",), ignore=("camera",), fold_case=True)
    table = read_labels(tmp_path / "t.csv", columns)
    assert table.vocabulary.names == ("Hat", "Happy", "SAD") and dict(table.left_out.columns) == {"camera": "as asked"}
    with pytest.raises(DataError, match="Hat cannot be used and left out"):
        read_labels(tmp_path / "t.csv", Columns(labels=("Hat",), ignore=("Hat",)))
    with pytest.raises(InputError, match="--ignore: t.csv has no column 'camra'. Did you mean camera"):
        read_labels(tmp_path / "t.csv", Columns(ignore=("camra",)))
    folder = draw(tmp_path / "classes", "Mask/a.png", "mask/b.png", "none_on/c.png")
    with pytest.raises(DataError, match="'Mask' and 'mask' differ in capitals alone; --fold-case"):
        open_source(folder)
    assert open_source(folder, Options(columns=Columns(fold_case=True))).vocabulary.names == ("Mask", "none_on")


def test_values_that_no_validation_images_can_prove_are_named(tmp_path: Path) -> None:
    folder = draw(tmp_path / "few", *(f"{'hat' if k < 3 else 'bare'}/{k}.png" for k in range(40)))
    store, _ = pack(open_source(folder).labelled(), tmp_path / "store", 16)
    (line,) = store.hard_to_prove()
    assert line.startswith("under 20 validation images show") and "hat (" in line and "nothing can be promised" in line


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        (["happy", "sad", "angry"], None),
        (["happy", "happy", "sad", "angry", "neutral"], "happy"),
        (["happy", "sad", "sad", ""], "sad"),
        (["", ""], None),
    ],
)
def test_a_majority_is_of_classes_and_not_of_each_by_itself(
    tmp_path: Path, votes: list[str], expected: str | None
) -> None:
    rows = [*(f"a.png,{vote}" for vote in votes), "b.png,happy", "c.png,sad", "d.png,angry", "e.png,neutral"]
    (tmp_path / "t.csv").write_text("file,mood\n" + "\n".join(rows) + "\n")
    table = read_labels(tmp_path / "t.csv", Columns(classes=("mood",), duplicates="majority"))
    row = dict(zip(table.vocabulary.names, table.labels[0], strict=True))
    if expected is None:
        assert np.isnan(list(row.values())).all()
    else:
        assert {name for name, value in row.items() if value == 1} == {expected}
        assert all(value == -1 for name, value in row.items() if name != expected)


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("stratify", [True, False])
def test_generated_images_are_never_held_out(tmp_path: Path, stated: bool, stratify: bool) -> None:
    """A table of `cfgan balance`: what is measured on is real."""
    folder = draw(tmp_path / "f", *(f"{k:03d}.png" for k in range(200)))
    lines = [f"{k:03d}.png,{k % 2}{',train' * stated},{int(k >= 100)}" for k in range(200)]
    (folder / "labels.csv").write_text(f"file,Red{',split' * stated},synthetic\n" + "\n".join(lines) + "\n")
    source = open_source(folder)
    assert source.vocabulary.names == ("Red",) and dict(source.left_out.columns)["synthetic"]
    shares = Shares(0.2, 0.0 if stated else 0.2)
    table = stratified(source, shares) if stratify else source.labelled(shares)
    held = {file for file, split in zip(table.files, table.split.tolist(), strict=True) if split}
    assert 10 <= len(held) <= 50 and all(file < "100" for file in held)


def test_a_set_that_is_all_generated_is_split_like_any_other(tmp_path: Path) -> None:
    folder = draw(tmp_path / "f", *(f"{k:03d}.png" for k in range(100)))
    (folder / "labels.csv").write_text("file,Red,synthetic\n" + "".join(f"{k:03d}.png,{k % 2},1\n" for k in range(100)))
    assert (open_source(folder).labelled(Shares(0.2, 0.2)).split > 0).sum() > 20
