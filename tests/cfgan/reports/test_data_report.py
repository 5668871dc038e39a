"""The report on a data set: it finds what was planted, all of it and nothing else."""

from __future__ import annotations

import csv
import json
import re
import signal
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from data_helpers import NAMES, ROWS, Planted, pattern, plant, planted_labels
from helpers import draw_celeba, small_store
from report_helpers import check_all_or_nothing

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.profile.duplicate_groups import crossing, label_conflicts, shared
from cfgan.data.profile.image_scan import LEAST_IMAGES, MeanImages
from cfgan.data.read.columns import Columns
from cfgan.data.source import open_source, read_identities
from cfgan.data.sources.base import Options, Source
from cfgan.errors import DataError, FolderError, InputError, StoppedError
from cfgan.reports.data.page import data_files, stats_schema
from cfgan.reports.data.report import DataReport, Settings, build_data_report
from cfgan.reports.folder import check_out, replace_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def report(planted: Planted) -> DataReport:
    source = open_source(planted.folder, Options(labels=planted.labels, identity=planted.identity))
    return build_data_report(source, Settings(side=16, workers=3))


def members(report: DataReport, table: str, kind: str) -> list[set[str]]:
    """The groups of a CSV table."""
    groups: dict[int, set[str]] = {}
    for row in report.tables[table]:
        if row["kind"] == kind:
            groups.setdefault(row["group"], set()).add(row["file"])
    return list(groups.values())


def test_the_planted_pairs_are_found_and_no_others(report: DataReport) -> None:
    found = report.data["relations"]["found"]
    assert {(row["kind"], row["first"], row["second"], row["exceptions"]) for row in found} == {
        ("implies", "Hat", "Round", 0),
        ("exclusive", "Red", "Blue", 0),
    }
    labels = planted_labels()
    for row in found:
        second = labels[:, NAMES.index(row["second"])]
        apart = ~second if row["kind"] == "implies" else second
        assert row["rarer"] == min(labels[:, NAMES.index(row["first"])].sum(), apart.sum())
        assert row["n"] == ROWS and row["expected"] > 30 and row["p"] < 1e-6
    rarest = [(row["values"], row["count"]) for row in report.data["combinations"][0]["rarest"][:3]]
    assert sorted(values for values, count in rarest if count == 0) == [["Hat", "-Round"], ["Red", "Blue"]]
    triples = report.data["combinations"][1]
    assert triples["unseen"] > triples["unexplained"] == 0 and triples["rarest"][0]["count"] > 0


def test_the_planted_duplicates_and_broken_files_are_found_and_no_others(report: DataReport) -> None:
    images, duplicates = report.data["images"], report.data["duplicates"]
    assert (images["count"], images["readable"]) == (ROWS + 1, ROWS - 2)
    assert (images["broken"], images["missing"], images["unlabelled"]) == (2, 1, 1)
    assert {row["file"] for row in images["problems"]} == {"b/0050.jpg", "a/0051.png", "b/0052.png"}
    assert images["formats"] == {"PNG": ROWS - 4, "BMP": 1, "JPEG": 1} and images["ignored"] == {".txt": 1}
    sizes = {(row["width"], row["height"]): row["images"] for row in images["sizes"]["commonest"]}
    assert sizes == {(48, 48): ROWS - 4, (24, 24): 1, (96, 60): 1}
    assert members(report, "duplicates", "file") == [{"b/0010.png", "b/0300.png"}]
    pixels = members(report, "duplicates", "pixels")
    assert sorted(map(sorted, pixels)) == [["a/0011.png", "a/0201.bmp"], ["b/0010.png", "b/0300.png"]]
    near = members(report, "duplicates", "near")
    assert sorted(map(sorted, near)) == [["a/0013.png", "a/0203.png"], ["b/0012.png", "b/0302.jpg"]]
    assert duplicates["labels"] == {"groups": 2, "differing": 1, "attributes": {"Big": 1}}
    assert duplicates["complete"] and duplicates["flat"] == 0


def test_the_planted_leaks_are_found_and_no_others(report: DataReport) -> None:
    leakage = report.data["leakage"]
    assert members(report, "leakage", "pixels") == [{"b/0010.png", "b/0300.png"}]
    assert members(report, "leakage", "near") == [{"b/0012.png", "b/0302.jpg"}]
    assert members(report, "leakage", "person") == [{"b/0030.png", "a/0031.png", "b/0330.png"}]
    assert leakage["person"]["between"] == [{"splits": ["train", "test"], "groups": 1, "images": [2, 1]}]
    said = report.data["findings"]
    assert said[0] == "The same image lies in train and in test: 1 time, 1 image of train and 1 of test."
    assert "The same person lies in train and in test: 1 time, 2 images of train and 1 of test." in said
    assert "2 images cannot be read." in said and "In 1 group of exact copies the labels differ." in said
    assert "3 of 2,400 labels are missing; 397 rows of 400 have all." in said


def test_counts_and_gaps_are_those_of_the_table(report: DataReport) -> None:
    labels = planted_labels()
    for k, row in enumerate(report.data["attributes"]):
        known = np.ones(ROWS, dtype=bool)
        if row["name"] == "Big":
            known[[20, 21, 22]] = False
        assert (row["yes"], row["n"], row["missing"]) == (labels[known, k].sum(), known.sum(), (~known).sum())
        assert row["splits"]["train"]["n"] + row["splits"]["test"]["n"] == row["n"]
    assert report.data["source"]["splits"] == {"train": 250, "test": 150}


def test_a_mean_is_that_of_its_images_and_never_of_few() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (130, 3, 8, 8), dtype=np.uint8)
    labels = np.full((130, 2), -1, dtype=np.float32)
    labels[: LEAST_IMAGES - 1, 0] = 1
    labels[:LEAST_IMAGES, 1] = 0.5
    labels[-1] = np.nan
    means = MeanImages(2, 8)
    means.add(images[:77], labels[:77])
    means.add(images[77:], labels[77:])
    assert means.image(0) is None and means.count.tolist() == [49, 80, 50, 79]
    for signed, rows in ((1, images[49:129]), (2, images[:50])):
        mean = means.image(signed)
        assert mean is not None and mean.shape == (8, 8, 3)
        np.testing.assert_allclose(mean, rows.mean(0).transpose(1, 2, 0), atol=0.5001)


def test_the_report_says_which_means_it_shows(report: DataReport) -> None:
    counted = {row["value"]: row["images"] for row in report.data["means"]}
    assert set(report.means) == set(counted) and min(counted.values()) >= LEAST_IMAGES
    assert "-Loud" in counted and "Loud" not in counted, "of Loud there are too few"


def test_figures_follow_their_schema_and_have_tables_and_a_page(report: DataReport, tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(stats_schema())
    validator.check_schema(stats_schema())
    files = data_files(report)
    assert json.loads(files["stats.json"]) == report.data
    validator.validate(report.data)
    page = files["report.html"].decode()
    for part in ("findings", "common", "together", "relations", "rare", "images", "duplicates", "leakage", "means"):
        assert f'id="{part}"' in page
    assert (
        "Hat" in page and "b/0302.jpg" in page and "<script" not in page and not re.search(r"https?://[^\"<\s]+", page)
    )
    assert files == data_files(report), "the same figures, the same bytes"
    replace_report(tmp_path / "r", files)
    with (tmp_path / "r" / "attributes.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["name"], int(row["yes"])) for row in rows] == [
        (row["name"], row["yes"]) for row in report.data["attributes"]
    ]
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**report.data, "more": 1})


def test_all_is_written_or_nothing(report: DataReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, files = tmp_path / "r", data_files(report)
    check_all_or_nothing(lambda folder: replace_report(folder, files), out, monkeypatch)
    check_out(out)
    (out / "mine.txt").write_text("not a part of it")
    with pytest.raises(FolderError, match="something else"):
        check_out(out)


def test_a_stop_ends_the_work(planted: Planted) -> None:
    source = open_source(planted.folder, Options(labels=planted.labels))
    seen: list[int] = []

    def progress(stage: str, done: int, total: int, remark: str = "") -> None:
        if stage == "looking":
            seen.append(done)
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError, match="nothing was written"):
        build_data_report(source, Settings(side=16), progress=progress)
    assert seen == [16], "it ends at the next image that is told of"


def test_stores_celeba_folders_and_tables_are_looked_at_alike(tmp_path: Path) -> None:
    names = ("Red", "Round", "Cat")
    store = build_data_report(open_source(small_store(tmp_path, names).path))
    celeba = build_data_report(open_source(tmp_path / "celeba"))
    table = build_data_report(open_source(tmp_path / "celeba" / "list_attr_celeba.txt"))
    schema = jsonschema.Draft202012Validator(stats_schema())
    for report in (store, celeba, table):
        schema.validate(report.data)
        assert "report.html" in data_files(report)
        assert [(row["name"], row["yes"]) for row in report.data["attributes"]] == [
            (row["name"], row["yes"]) for row in table.data["attributes"]
        ]
    assert store.data["images"]["sizes"]["commonest"] == [{"width": 16, "height": 16, "images": 20}]
    assert celeba.data["images"]["formats"] == {"JPEG": 20} and table.data["images"] is None
    assert store.data["means"] == celeba.data["means"] == [], "twenty images are too few"
    assert build_data_report(open_source(tmp_path / "celeba"), Settings(images=False)).data["images"] is None


def test_a_celeba_folder_with_fewer_and_more_images_than_labels(tmp_path: Path) -> None:
    folder = draw_celeba(tmp_path / "celeba", names=("Red", "Round"))
    images = folder / "img_align_celeba"
    (images / "000003.jpg").unlink()
    (images / "000099.jpg").write_bytes((images / "000004.jpg").read_bytes())
    who = "".join(f"{k:06d}.jpg {k // 4}\n" for k in range(1, 21))
    (folder / "identity_CelebA.txt").write_text(who)
    found = build_data_report(open_source(folder)).data
    assert (found["images"]["missing"], found["images"]["broken"], found["images"]["unlabelled"]) == (1, 0, 1)
    assert found["leakage"]["person"]["between"] == [{"splits": ["train", "validation"], "groups": 1, "images": [1, 3]}]


def test_class_folders_and_packages_are_looked_at_like_the_rest(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/more/2.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pattern(len(name)).save(tmp_path / name)
    report = build_data_report(open_source(tmp_path))
    jsonschema.Draft202012Validator(stats_schema()).validate(report.data)
    assert report.data["source"]["kind"] == "classes" and report.data["images"]["readable"] == 3
    assert [(row["name"], row["yes"], row["no"]) for row in report.data["attributes"]] == [("cat", 2, 1), ("dog", 1, 2)]
    assert "1 folder level left out: more (below the class)." in report.data["findings"]
    assert "a folder for each class" in data_files(report)["report.html"].decode()
    digits = open_source("sklearn:digits")
    assert digits.kind == "sklearn" and digits.pictures is not None and digits.pictures.look(0, 8).size == (8, 8)


def test_odd_tables_make_a_page_too(tmp_path: Path) -> None:
    """One attribute, one value, no row without a gap, names that would be markup elsewhere."""
    nan = np.nan
    for labels in ([[1]], [[nan]], [[1, nan], [nan, -1]], [[1, 1, 0.5]] * 3, [[0, 1]] * 4):
        values = np.asarray(labels, dtype=np.float32)
        names = Vocabulary.of(f"It's {k}" for k in range(values.shape[1]))
        report = build_data_report(Source("table", "<b>&", names, values))
        jsonschema.Draft202012Validator(stats_schema()).validate(report.data)
        assert "&lt;b&gt;&amp;" in data_files(report)["report.html"].decode()
    wide = np.where(np.random.default_rng(0).random((30, 90)) < 0.5, 1, -1).astype(np.float32)
    many = build_data_report(
        Source("table", "wide", Vocabulary.of(f"a{k}" for k in range(90)), wide), Settings(sizes=(4,))
    )
    assert not many.data["combinations"][0]["counted"]
    assert "Too many attributes" in data_files(many)["report.html"].decode()


def test_groups_across_splits() -> None:
    split = np.array([0, 0, 1, 2, -1, 1])
    groups = [[0, 1], [0, 2, 3], [2, 5], [1, 4], [3, 5]]
    assert crossing(groups, split) == [[0, 2, 3], [3, 5]]
    found = {row.splits: (row.groups, row.images) for row in shared(groups, split, ("x", "y", "z"))}
    assert found == {(0, 1): (1, (1, 1)), (0, 2): (1, (1, 1)), (1, 2): (2, (2, 2))}
    labels = np.float32([[1, np.nan], [1, 1], [-1, 1]])
    conflicts = label_conflicts([[0, 1], [1, 2, 3]], np.array([0, 1, 2, -1]), labels)
    assert (conflicts.groups, conflicts.differing, conflicts.attributes) == (2, 1, [1, 0])


def test_what_does_not_fit_is_said(planted: Planted, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--labels: .* name its label table"):
        open_source(planted.folder / "a")
    with pytest.raises(InputError, match="combined with a label table"):
        open_source(planted.labels, Options(labels=planted.labels))
    with pytest.raises(DataError, match="no folder or file"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has its own labels"):
        open_source(small_store(tmp_path).path, Options(columns=Columns(labels=["Red"])))
    bare = tmp_path / "bare.csv"
    bare.write_text("Hat,Tie\n1,0\n")
    with pytest.raises(DataError, match="no column of file names"):
        open_source(planted.folder, Options(labels=bare))
    bare.write_text("a.png anna\na.png bert\n")
    with pytest.raises(DataError, match="line 2: one person a file"):
        read_identities(bare)
    bare.write_text("0001.png anna\na/0001.png bert\n")
    assert open_source(planted.labels, Options(identity=bare)).persons == ("bert",), "the folder decides"
    bare.write_text("c/0001.png anna\n")
    with pytest.raises(DataError, match="names none of the images"):
        open_source(planted.labels, Options(identity=bare))
    for settings in (Settings(tolerance=0.5), Settings(distance=100), Settings(sizes=(1,))):
        with pytest.raises(InputError, match=r"^--"):
            settings.check()
