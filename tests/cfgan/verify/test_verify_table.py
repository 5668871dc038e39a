from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.left_out import LeftOut
from cfgan.data.table import LabelTable
from cfgan.errors import InputError, StoppedError
from cfgan.evaluation.labelled import LabelScore, accuracy_by_attribute
from cfgan.model.bundle import Bundle
from cfgan.stats.intervals import wilson_interval
from cfgan.verify.images import Columns, Readings
from cfgan.verify.table import CsvTable, column_titles, open_table, table_file, table_kind


@pytest.fixture
def readings() -> tuple[Columns, Readings]:
    """Two images, one of them broken, two attributes, Red wanted and Cat not."""
    threshold = np.asarray([0.5, 0.25])
    columns = Columns("verifier", ("Red", "Cat"), np.arange(2), threshold, np.asarray([True, False]))
    probability = np.asarray([[0.123456789, 0.75], [np.nan, np.nan]], np.float32)
    seen = np.asarray([[False, True], [False, False]])
    return columns, Readings(["ä,.png", "b.png"], probability, seen, [None, "broken"], np.asarray([False, False]))


def test_json_is_one_object_and_lines_are_its_images(readings: tuple[Columns, Readings], tmp_path: Path) -> None:
    columns, chunk = readings
    for name in ("t.json", "t.jsonl", "empty.json"):
        with open_table(tmp_path / "new" / name, columns) as table:
            table.begin({"by": "verifier"})
            for _ in range(0 if name == "empty.json" else 2):
                table.add(chunk)
            table.end({"read": 2})
    value = json.loads((tmp_path / "new" / "t.json").read_text(encoding="utf-8"))
    row = {"file": "ä,.png", "verifier": {"Red": 0.12346, "Cat": 0.75}, "seen": ["Cat"], "meets": False}
    assert value == {"by": "verifier", "images": [row, {"file": "b.png", "error": "broken"}] * 2, "read": 2}
    lines = (tmp_path / "new" / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == value["images"]
    assert json.loads((tmp_path / "new" / "empty.json").read_text())["images"] == []


def test_csv_quotes_what_it_must(readings: tuple[Columns, Readings], tmp_path: Path) -> None:
    columns, chunk = readings
    with (tmp_path / "t.csv").open("wb") as handle:
        table = CsvTable(handle, columns)
        table.begin({})
        table.add(chunk)
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines() == [
        "file,verifier.Red,verifier.Cat,seen.Red,seen.Cat,meets,error",
        '"ä,.png",0.12346,0.75,0,1,0,',
        "b.png,,,,,,broken",
    ]


@pytest.mark.slow
def test_parquet(readings: tuple[Columns, Readings], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    columns, chunk = readings
    with open_table(tmp_path / "t.parquet", columns) as table:
        table.begin({"by": "verifier"})
        for _ in range(5000):  # more than one group of rows
            table.add(chunk)
        table.end({})
    stored = parquet.read_table(tmp_path / "t.parquet")
    assert stored.column_names == column_titles(columns) and stored.num_rows == 10_000
    first, second = stored.slice(0, 2).to_pylist()
    assert first["file"] == "ä,.png" and first["verifier.Red"] == pytest.approx(0.12346) and first["error"] is None
    assert (first["seen.Cat"], first["meets"]) == (True, False)
    assert second == {**dict.fromkeys(column_titles(columns)), "file": "b.png", "error": "broken"}
    assert json.loads(stored.schema.metadata[b"cfgan"]) == {"by": "verifier"}
    with pytest.raises(StoppedError), open_table(tmp_path / "u.parquet", columns) as table:
        table.begin({})
        table.add(chunk)
        raise StoppedError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_wrong_output_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "batch" / "images").mkdir(parents=True)
    (tmp_path / "batch" / "manifest.csv").touch()
    (tmp_path / "folder.csv").mkdir()
    for name, says in (
        ("t.cvs", "Did you mean .csv"),
        ("t", "ends in none"),
        ("folder.csv", "is a folder"),
        ("batch/manifest.csv", "inside .*a batch"),
    ):
        with pytest.raises(InputError, match=says):
            table_file(tmp_path / name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "cfgan\[parquet\]"'):
        table_kind(tmp_path / "t.parquet")


def test_accuracy_by_hand() -> None:
    """Five images known, one not: of three that have it two are seen, of two that have it not one is."""
    labels = np.asarray([[1], [1], [1], [-1], [-1], [0]], np.int8)
    probability = np.asarray([[0.9], [0.8], [0.1], [0.7], [0.05], [0.99]], np.float32)
    real = {"n": 100, "positives": 20, "recall": 0.9, "specificity": 0.8, "balanced_accuracy": 0.85, "auc": 0.95}
    table = accuracy_by_attribute(["Red"], labels, probability, probability >= 0.5, {"Red": real})
    row = table["Red"]
    assert (row["n"], row["positives"], row["accuracy"]) == (5, 3, 3 / 5)
    assert (row["recall"], row["specificity"], row["balanced_accuracy"]) == (2 / 3, 1 / 2, pytest.approx(7 / 12))
    assert row["recall_interval"] == list(wilson_interval(2, 3))
    assert row["specificity_interval"] == list(wilson_interval(1, 2))
    # Of the six pairs of one that has it and one that has it not, five are in order: 0.1 is below 0.7.
    assert row["auc"] == pytest.approx(5 / 6)
    # One image a bin: |p - truth| averaged.
    assert row["calibration_error"] == pytest.approx((0.1 + 0.2 + 0.9 + 0.7 + 0.05) / 5)
    assert row["real"]["accuracy"] == pytest.approx((0.9 * 20 + 0.8 * 80) / 100) and row["real"]["auc"] == 0.95
    assert row["real"]["calibration_error"] is None


def test_what_one_value_alone_cannot_say_is_nan() -> None:
    labels = np.asarray([[1, 0], [1, 0]], np.int8)
    probability = np.full((2, 2), 0.9, np.float32)
    table = accuracy_by_attribute(["Red", "Cat"], labels, probability, probability > 0.5, {})
    assert table["Red"]["recall"] == 1 and table["Red"]["real"] is None
    for key in ("specificity", "balanced_accuracy", "auc"):
        assert math.isnan(table["Red"][key])
    assert table["Cat"]["n"] == 0 and math.isnan(table["Cat"]["accuracy"]) and math.isnan(table["Cat"]["recall"])


def test_the_score_joins_labels_and_readings(tiny_bundle: Bundle, readings: tuple[Columns, Readings]) -> None:
    columns, chunk = readings
    labels = LabelTable(
        Path("labels.csv"),
        Vocabulary(("Round", "Cat")),
        np.asarray([[1, 1], [1, -1], [1, 1]], np.float32),
        ("lost.png", "b.png", "ä,.png"),
        left_out=LeftOut(columns={"age": "text, not labels"}),
    )
    score = LabelScore(tiny_bundle, columns, labels, ["ä,.png", "b.png", "ä,.png", "c.png"])
    score.add(chunk)
    score.add(replace(chunk, files=["x/ä,.png", "c.png"]))
    report = score.report()
    assert report["images"] == 2  # b.png could not be read, c.png has no label
    assert report["without_labels"] == {"count": 1, "names": ["c.png"]}
    assert report["without_image"] == {"count": 1, "names": ["lost.png"]}
    assert report["left_out"] == ["1 column left out (text, not labels): age"] and report["labels"] == "labels.csv"
    assert list(report["attributes"]) == ["Cat"] and report["attributes"]["Cat"]["positives"] == 2
    assert report["mean"]["accuracy"]["here"] == 1 and math.isnan(report["mean"]["accuracy"]["real"])
    with pytest.raises(InputError, match="none of Red is among the labels of labels.csv"):
        LabelScore(tiny_bundle, replace(columns, names=("Red",)), labels, ["b.png"])


def test_the_ceiling_comes_from_the_bundle(tiny_bundle: Bundle, readings: tuple[Columns, Readings]) -> None:
    columns, chunk = readings
    real = {"n": 10, "positives": 5, "recall": 0.8, "specificity": 0.6, "balanced_accuracy": 0.7, "auc": None}
    config = {**tiny_bundle.config, "verifier": {**tiny_bundle.config["verifier"], "figures": {"Cat": real}}}
    labels = LabelTable(Path("l.csv"), Vocabulary(("Cat",)), np.ones((1, 1), np.float32), ("ä,.png",))
    score = LabelScore(replace(tiny_bundle, config=config), columns, labels, ["ä,.png", "b.png"])
    score.add(chunk)
    report = score.report()
    assert report["attributes"]["Cat"]["real"]["accuracy"] == pytest.approx(0.7)
    assert report["mean"]["accuracy"] == {"here": 1.0, "real": pytest.approx(0.7), "attributes": 1}
