from __future__ import annotations

import csv
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from testset_helpers import use_colours

from cfgan.attributes.spec import make_plan
from cfgan.errors import DataError, FolderError, InputError, RequestError, SpecError, StoppedError
from cfgan.generate.job import generate
from cfgan.model.bundle import Bundle
from cfgan.testsets.building.build import TestsetSummary, build_testset, check_testset_plan
from cfgan.testsets.check import check_testset
from cfgan.testsets.folder import Testset, open_testset, subject_of
from cfgan.testsets.spec import make_testset_plan

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    use_colours(monkeypatch)


MATCHED = {"design": "matched", "attributes": "Red", "pairs": 24, "folds": 3, "seed": 4}
TRANSECT = {"design": "transect", "attributes": "Red", "change": ["Round", "-Very_Big"], "subjects": 12, "folds": 2}


def build(bundle: Bundle, out: Path, values: dict[str, Any], **kind: Any) -> tuple[TestsetSummary, Testset]:
    summary = build_testset(bundle, make_testset_plan(values, bundle.vocabulary), out, device="cpu", **kind)
    return summary, open_testset(out)


def faces(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "attributes.csv").open(newline="") as handle:
        return {row["file"]: row for row in csv.DictReader(handle)}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_matched_pairs_share_what_is_stated_and_get_harder(tiny_bundle: Bundle, tmp_path: Path) -> None:
    summary, found = build(tiny_bundle, tmp_path / "t", MATCHED)
    assert summary.complete and Counter(p.stratum for p in found.pairs) == dict.fromkeys(
        ("random", "matched", "nearest"), 24
    )
    table = faces(tmp_path / "t")
    fold_of_subject: dict[str, int] = {}
    for pair in found.pairs:
        assert pair.mated == "0" and pair.similarity is not None
        assert pair.similarity < -0.02  # screened
        assert subject_of(pair.a) != subject_of(pair.b)
        assert table[pair.a]["requested.Red"] == "1"
        if pair.stratum != "random":
            assert pair.matched == ("Red",) and pair.differing == () and table[pair.b]["requested.Red"] == "1"
        for file in (pair.a, pair.b):
            assert fold_of_subject.setdefault(subject_of(file), pair.fold) == pair.fold
            assert table[file]["face_found"] == "1"
    by_level = {level: [p for p in found.pairs if p.stratum == level] for level in ("random", "matched", "nearest")}
    for pairs in by_level.values():
        assert len({frozenset((p.a, p.b)) for p in pairs}) == 24
    assert np.mean([p.similarity for p in by_level["nearest"]]) > np.mean([p.similarity for p in by_level["matched"]])
    assert [p.group for p in by_level["random"]] == [p.group for p in by_level["nearest"]]  # the same enrolled faces


def test_a_changed_face_differs_in_one_attribute_only(tiny_bundle: Bundle, tmp_path: Path) -> None:
    summary, found = build(tiny_bundle, tmp_path / "t", TRANSECT)
    table = faces(tmp_path / "t")
    assert set(summary.survival) == {"Round", "-Very_Big"}
    mated = [pair for pair in found.pairs if pair.mated == "presumed"]
    assert len(mated) == sum(row["kept"]["hits"] for row in summary.survival.values()) > 0
    for pair in mated:
        a, b = table[pair.a], table[pair.b]
        assert (a["seed"], a["draw"], a["subject"]) == (b["seed"], b["draw"], b["subject"]) and b["of"] == pair.a
        changed = [key for key in a if key.startswith("condition.") and a[key] != b[key]]
        assert changed == [f"condition.{pair.stratum.lstrip('-')}"] and pair.differing == (pair.stratum,)
        assert abs(float(b[changed[0]])) == float(b["strength"])
    assert {p.stratum for p in found.pairs if p.mated == "0"} == {"imposter"}
    with Image.open(tmp_path / "t" / "contact_sheet.png") as sheet:
        assert (sheet.width - 2) % 18 == 0 and "trainedAlgorithmicMedia" in sheet.text["XML:com.adobe.xmp"]  # type: ignore[attr-defined]


def test_the_search_keeps_at_least_what_the_plain_change_does(tiny_bundle: Bundle, tmp_path: Path) -> None:
    searched, _ = build(tiny_bundle, tmp_path / "a", TRANSECT)
    plain, _ = build(tiny_bundle, tmp_path / "b", {**TRANSECT, "search": False})
    for change, row in searched.survival.items():
        assert row["moved"] >= row["plain_moved"]
        assert plain.survival[change]["kept"] == row["plain"]
    assert sum(row["moved"] for row in searched.survival.values()) > sum(
        row["moved"] for row in plain.survival.values()
    )


def test_factorial_cells_are_equal_or_named(tiny_bundle: Bundle, tmp_path: Path) -> None:
    spec = {"design": "factorial", "cross": ["Red", "Round"], "per_cell": 8, "folds": 2, "change": ["Cat"]}
    summary, found = build(tiny_bundle, tmp_path / "t", spec)
    kept = summary.survival["Cat"]["kept"]
    assert summary.unmet == {"changes to Cat": kept["n"] - kept["hits"]}, "a change that faces lack is an unmet quota"
    assert "Every quota was met" not in (tmp_path / "t" / "datasheet.md").read_text()
    cells = Counter(row["role"] for row in faces(tmp_path / "t").values() if not row["of"])
    assert cells == dict.fromkeys(("Red,Round", "Red,-Round", "-Red,Round", "-Red,-Round"), 8)
    assert set(found.protocol["counts"]["strata"]) == set(cells)
    spec["verify"] = {"max_draws": 10}
    summary, found = build(tiny_bundle, tmp_path / "u", spec)
    assert not summary.complete and found.protocol["unmet"] == summary.unmet
    assert "missing" in (tmp_path / "u" / "datasheet.md").read_text()


def test_subjects_are_all_unlike_where_that_is_asked(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_colours(monkeypatch, screen=-0.1)
    spec = {**MATCHED, "levels": ["matched"], "pairs": 12, "identity": {"screen": "all"}, "folds": 2}
    summary, found = build(tiny_bundle, tmp_path / "t", spec)
    assert found.protocol["draws"]["enrolled"]["too_alike"] > 0
    assert all(pair.similarity is not None and pair.similarity < -0.1 for pair in found.pairs)


def test_the_same_spec_gives_the_same_bytes_also_after_a_stop(tiny_bundle: Bundle, tmp_path: Path) -> None:
    spec = {**MATCHED, "change": ["Round"]}
    build(tiny_bundle, tmp_path / "a", spec)
    steps = []

    def stop_at(number: int) -> Any:
        def progress(stage: str, done: int, total: int, remark: str = "") -> None:
            steps.append(stage)
            if len(steps) == number:
                os.kill(os.getpid(), signal.SIGTERM)

        return progress

    for number in (1, 2):
        steps.clear()
        with pytest.raises(StoppedError, match="goes on"):
            build(tiny_bundle, tmp_path / "b", spec, progress=stop_at(number))
    journal = tmp_path / "b" / "journal.jsonl"
    orphan = tmp_path / "b" / "images" / "s09999"
    orphan.mkdir()
    (orphan / "s09999_0001.png").write_bytes(b"half")
    some = next((tmp_path / "b" / "images").glob("s0*/"))
    (some / f"{some.name}_0001.png.123.partial").write_bytes(b"half")  # what a killed write leaves
    with journal.open("ab") as handle:
        handle.write(b'{"role": "enrol')  # killed in the middle of a line
    theirs = [tmp_path / "b" / "images" / ".DS_Store", some / "notes.txt", some / "s1.png"]
    for path in theirs:
        path.write_bytes(b"mine")
    build(tiny_bundle, tmp_path / "b", spec)
    for path in theirs:
        assert path.read_bytes() == b"mine", "what somebody else put there stays, and ends no build"
        path.unlink()
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert not orphan.exists()
    before = contents(tmp_path / "b")
    again, _ = build(tiny_bundle, tmp_path / "b", spec)  # finished: nothing is done again
    assert again.counts == again.counts and contents(tmp_path / "b") == before


def test_a_damaged_image_is_made_again_on_resuming(tiny_bundle: Bundle, tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int, remark: str = "") -> None:
        os.kill(os.getpid(), signal.SIGINT)

    build(tiny_bundle, tmp_path / "a", MATCHED)
    with pytest.raises(StoppedError):
        build(tiny_bundle, tmp_path / "b", MATCHED, progress=stop)
    next((tmp_path / "b" / "images").rglob("*.png")).write_bytes(b"damaged")
    build(tiny_bundle, tmp_path / "b", MATCHED)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_set_is_never_written_into(tiny_bundle: Bundle, tmp_path: Path) -> None:
    build(tiny_bundle, tmp_path / "a", MATCHED)
    with pytest.raises(FolderError, match="another test set"):
        build(tiny_bundle, tmp_path / "a", {**MATCHED, "seed": 5})


def people(bundle: Bundle, folder: Path) -> Path:
    """A gallery of two people, an image each in a folder of their own."""
    generate(bundle, make_plan({"count": 2, "verify": {"enabled": False}}, bundle.vocabulary), folder / "batch")
    for i, name in enumerate(("anna", "bob")):
        (folder / "people" / name).mkdir(parents=True)
        (folder / "batch" / "images" / f"{i:06d}.png").rename(folder / "people" / name / "one.png")
    return folder / "people"


def test_imposters_show_what_a_person_of_the_gallery_shows(tiny_bundle: Bundle, tmp_path: Path) -> None:
    spec = {"design": "gallery", "gallery": str(people(tiny_bundle, tmp_path)), "match": ["Red", "Cat"], "imposters": 3}
    spec |= {"folds": 1}
    _, found = build(tiny_bundle, tmp_path / "t", spec)
    table = faces(tmp_path / "t")
    imposters = [pair for pair in found.pairs if pair.stratum == "gallery"]
    assert Counter(pair.a for pair in imposters) == {"gallery/anna/one.png": 3, "gallery/bob/one.png": 3}
    for pair in imposters:
        for value in pair.matched:
            name = value.lstrip("-")
            assert table[pair.b][f"requested.{name}"] == ("-1" if value.startswith("-") else "1")
        assert pair.matched and pair.similarity is not None and pair.similarity < -0.02
    # Of two images of a person the one that is most like the imposter stands in the pair, and the set is sound.
    one = Path(spec["gallery"]) / "anna" / "one.png"
    (one.parent / "two.png").write_bytes((Path(spec["gallery"]) / "bob" / "one.png").read_bytes())
    build(tiny_bundle, tmp_path / "two", {**spec, "imposters": 12})
    assert check_testset(tmp_path / "two") == []
    (one.parent / "two.png").unlink()
    assert not (tmp_path / "t" / "gallery").exists() and str(tmp_path).encode() not in b"".join(
        data for name, data in contents(tmp_path / "t").items()
    )
    build(tiny_bundle, tmp_path / "u", {**spec, "copy_gallery": True})
    assert (tmp_path / "u" / "gallery" / "anna" / "one.png").exists()


def test_a_gallery_may_be_a_table_of_attributes(tiny_bundle: Bundle, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_text("name,Red,Cat\nAnna Lena,1,0\nbob,0,1\n")
    spec = {"design": "gallery", "gallery": str(table), "match": ["Red", "Cat"], "imposters": 2, "folds": 1}
    _, found = build(tiny_bundle, tmp_path / "t", spec)
    assert [pair.matched for pair in found.pairs] == [("Red", "-Cat")] * 2 + [("-Red", "Cat")] * 2
    table.write_text("name,Cat,Dog\nbob,1,1\n")
    with pytest.raises(DataError, match="bob.*exclude"):
        build(tiny_bundle, tmp_path / "u", {**spec, "match": ["Cat", "Dog"]})


def test_attacks_and_bona_fide_faces_are_alike_in_all_but_the_label(tiny_bundle: Bundle, tmp_path: Path) -> None:
    generate(
        tiny_bundle, make_plan({"count": 30, "seed": 8, "attributes": "Red"}, tiny_bundle.vocabulary), tmp_path / "r"
    )
    spec = {"design": "detection", "attacks": 60, "match": ["Round"], "folds": 2, "bona_fide": str(tmp_path / "r")}
    _, found = build(tiny_bundle, tmp_path / "t", spec)
    strata = {label: Counter(i.stratum for i in found.items if i.label == label) for label in ("attack", "bona_fide")}
    assert strata["bona_fide"].total() == 30
    assert strata["attack"] == {name: 2 * count for name, count in strata["bona_fide"].items()}
    sizes = set()
    for item in found.items:
        path = tmp_path / "t" / item.file
        sizes.add(path.stat().st_size)
        with Image.open(path) as image:
            assert not image.info and image.size == (16, 16)
    assert len(sizes) == 1  # no file property tells them apart
    labels = [item.label for item in found.items]
    assert labels != sorted(labels)
    summary, found = build(tiny_bundle, tmp_path / "u", {"design": "detection", "attacks": 6, "match": ["Round"]})
    assert found.protocol["counts"]["slots"] == 6 and summary.complete


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"design": "matchd"}, "Did you mean matched"),
        ({}, "one of matched"),
        ({"design": "matched", "pair": 3}, "Did you mean pairs"),
        ({"design": "matched", "pairs": 0}, "pairs"),
        ({"design": "matched", "levels": ["hard"]}, "levels"),
        ({"design": "matched", "levels": ["matched", "matched"]}, "twice"),
        ({"design": ["matched"]}, "is not one of"),
        ({"design": "gallery", "gallery": ""}, "there is no"),
        ({"design": "matched", "attributes": "Redd"}, "Did you mean Red"),
        ({"design": "matched", "identity": {"screem": "all"}}, "Did you mean screen"),
        ({"design": "transect"}, "change"),
        ({"design": "transect", "change": ["Round", "Round"]}, "twice"),
        ({"design": "transect", "change": ["Round=0.5"]}, "wanted or unwanted"),
        ({"design": "transect", "attributes": "Round", "change": ["Round"]}, "requested already"),
        ({"design": "factorial", "cross": ["-Red"]}, "Did you mean Red"),
        ({"design": "gallery", "gallery": "/nowhere/at/all"}, "there is no"),
        ({"design": "matched", "unspecified": {"Red": True}, "attributes": "Red"}, "requested already"),
    ],
)
def test_a_wrong_spec_names_the_setting_and_the_nearest(
    tiny_bundle: Bundle, values: dict[str, Any], message: str
) -> None:
    with pytest.raises((SpecError, RequestError, InputError), match=message):
        make_testset_plan(values, tiny_bundle.vocabulary)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"design": "matched", "pairs": 20, "folds": 10}, "Did you mean 5"),
        ({"design": "factorial", "cross": ["Red"], "per_cell": 4, "per_face": 2, "folds": 1}, "fewer than 5"),
        ({"design": "matched", "attributes": "Cat", "change": ["Dog"]}, "exclude each other"),
        ({"design": "matched", "identity": {"enabled": False}}, "nearest needs the embedder"),
        ({"design": "matched", "attributes": "Cat,Dog"}, "exclude each other"),
        ({"design": "transect", "subjects": 4, "change": ["Cat"], "folds": 4}, "Did you mean 1"),
        ({"design": "matched", "identity": {"screen_fmr": 0.00001}}, "support"),
    ],
)
def test_a_plan_that_cannot_be_built_is_refused_before_anything_is_written(
    tiny_bundle: Bundle, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    plan = make_testset_plan(values, tiny_bundle.vocabulary)
    with pytest.raises(InputError, match=message):
        check_testset_plan(plan, tiny_bundle)
    with pytest.raises(InputError, match=message):
        build_testset(tiny_bundle, plan, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_what_a_user_brings_is_read_before_anything_is_written(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = people(tiny_bundle, tmp_path)
    spec = {"design": "gallery", "gallery": str(folder), "match": ["Red"], "imposters": 1, "folds": 1}
    detection = {"design": "detection", "bona_fide": str(folder), "attacks": 4, "match": ["Red"], "folds": 1}

    def refused(values: dict[str, Any], message: str) -> None:
        with pytest.raises(DataError, match=message):
            build(tiny_bundle, tmp_path / "t", values)
        assert not (tmp_path / "t").exists()

    (folder / "anna" / "broken.png").write_bytes(b"no image")
    refused(spec, r"anna/broken\.png")
    refused(detection, r"anna/broken\.png")
    (folder / "anna" / "broken.png").unlink()
    (folder / "bob").rename(folder / "Bob, the second")
    refused(spec, "Bob, the second")
    (folder / "Bob, the second").rename(folder / "Bob II")
    refused({**spec, "copy_gallery": True}, "cannot be copied")
    (folder / "anna" / "older").mkdir()
    (folder / "anna" / "one.png").rename(folder / "anna" / "older" / "one.png")
    refused(spec, "one folder")


def test_what_is_not_verified_is_changed_at_full_strength(tiny_bundle: Bundle, tmp_path: Path) -> None:
    summary, _ = build(tiny_bundle, tmp_path / "t", {**TRANSECT, "verify": {"enabled": False}})
    assert {row["median_strength"] for row in summary.survival.values()} == {1.0}
    assert "Nothing was verified" in (tmp_path / "t" / "datasheet.md").read_text()


def test_one_setting_of_identity_leaves_the_others_as_the_spec_has_them(tiny_bundle: Bundle) -> None:
    spec = {"design": "matched", "identity": {"keep_fmr": 0.0001, "require_face": False}}
    plan = make_testset_plan(spec, tiny_bundle.vocabulary, {"identity": {"screen": "none"}})
    identity = plan.model.identity
    assert (identity.keep_fmr, identity.require_face, identity.screen) == (0.0001, False, "none")
