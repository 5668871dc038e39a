"""Test sets against photographs as they come: faces found and framed, what has none named. Faces are dots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framing_helpers import Dots, dotted
from PIL import Image
from testset_helpers import ColourEmbedder, use_colours

import cfgan.external.landmarks
from cfgan.data.decode import CROP, read_picture, to_square
from cfgan.data.framing.faces import Framer
from cfgan.errors import DataError, SpecError
from cfgan.model.bundle import Bundle
from cfgan.testsets.building.build import TestsetSummary, build_testset
from cfgan.testsets.check import check_testset
from cfgan.testsets.export.formats import export_testset
from cfgan.testsets.export.source import ExportOptions
from cfgan.testsets.folder import Testset, open_testset
from cfgan.testsets.scores.baseline import baseline_scores
from cfgan.testsets.spec import make_testset_plan
from cfgan.verify.framing import Framing, FramingLook

pytestmark = pytest.mark.slow

COUNTS = {"as_learnt": 3, "tighter": 0, "looser": 0, "shifted": 0, "without_face": 0}


@pytest.fixture(autouse=True)
def dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cfgan.external.landmarks, "FaceLandmarks", Dots)
    monkeypatch.setattr(FramingLook, "result", lambda self: Framing(COUNTS, 1.0))
    use_colours(monkeypatch)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ann has two photographs and a picture of grass, bob one that shows two people, cara grass alone."""
    folder = tmp_path / "people"
    for person in ("ann", "bob", "cara"):
        (folder / person).mkdir(parents=True)
    dotted((300, 360), [(120, 170, 1.0, 0)], (120, 100, 90)).save(folder / "ann" / "one.png")
    dotted((330, 260), [(180, 120, 1.1, 10)], (80, 110, 90)).save(folder / "ann" / "two.png")
    dotted((420, 300), [(110, 140, 1.0, 0), (300, 140, 0.7, 0)], (160, 100, 90)).save(folder / "bob" / "both.png")
    for person in ("ann", "cara"):
        Image.new("RGB", (90, 80), "green").save(folder / person / "grass.png")
    return folder


GALLERY = {"design": "gallery", "match": ["Red"], "imposters": 2, "folds": 1, "align": True}
DETECTION = {"design": "detection", "attacks": 4, "match": ["Red"], "folds": 1, "align": True}


def build(bundle: Bundle, out: Path, values: dict[str, Any]) -> tuple[TestsetSummary, Testset]:
    summary = build_testset(bundle, make_testset_plan(values, bundle.vocabulary), out, device="cpu")
    return summary, open_testset(out)


def test_enrolled_people_are_framed_and_who_has_no_face_is_named(
    tiny_bundle: Bundle, tmp_path: Path, photos: Path
) -> None:
    spec = {**GALLERY, "gallery": str(photos), "copy_gallery": True}
    summary, found = build(tiny_bundle, tmp_path / "t", spec)
    assert summary.left_out == {"ann/grass.png": "no face was found.", "cara/grass.png": "no face was found."}
    assert summary.unmet == {"imposters of cara, without a face": 2}
    assert found.protocol["user_images"] == {"framing": "dots, largest", "left_out": summary.left_out}
    assert found.manifest["header"]["framing"] == "dots, largest" and found.manifest["header"]["spec"]["align"]
    assert "dots, largest" in (text := (tmp_path / "t" / "datasheet.md").read_text()) and "cara/grass.png" in text
    assert check_testset(tmp_path / "t") == []
    named = {pair.a for pair in found.pairs} | {pair.b for pair in found.pairs if pair.b.startswith("gallery/")}
    assert named == {"gallery/ann/one.png", "gallery/ann/two.png", "gallery/bob/both.png"}
    # What is kept, and what the verifier and the embedders saw, is the face in CelebA's frame.
    with Image.open(tmp_path / "t" / "gallery" / "ann" / "one.png") as kept:
        assert kept.size == (178, 218)
    picture = read_picture(photos / "ann" / "one.png")
    face = to_square(Framer().choose(picture)[0].framed(picture), 16, CROP)
    other = read_picture(photos / "ann" / "two.png")
    second = to_square(Framer().choose(other)[0].framed(other), 16, CROP)
    vectors = ColourEmbedder()(np.stack([face, second])).vectors
    (pair,) = [pair for pair in found.pairs if pair.mated == "1"]
    assert pair.similarity == pytest.approx(-float(np.linalg.norm(vectors[0] - vectors[1])), abs=1e-5)


def test_a_set_that_holds_no_enrolled_face_scores_and_exports_those_at_home_as_it_was_built(
    tiny_bundle: Bundle, tmp_path: Path, photos: Path
) -> None:
    _, with_them = build(tiny_bundle, tmp_path / "t", {**GALLERY, "gallery": str(photos), "copy_gallery": True})
    _, without = build(tiny_bundle, tmp_path / "u", {**GALLERY, "gallery": str(photos)})
    held = dict(baseline_scores(with_them, ColourEmbedder()))
    home = dict(baseline_scores(without, ColourEmbedder(), gallery=photos))
    assert [*held] == [*home]
    assert held == home and any(score is not None for score in held.values())
    for name, gallery, testset in (("t", None, with_them), ("u", photos, without)):
        export_testset(testset, "insightface", tmp_path / f"{name}.out", ExportOptions(gallery=gallery))
    exported = [sorted((tmp_path / f"{name}.out").glob("*.bin")) for name in ("t", "u")]
    assert exported[0] and [p.read_bytes() for p in exported[0]] == [p.read_bytes() for p in exported[1]]


def test_bona_fide_faces_are_framed(tiny_bundle: Bundle, tmp_path: Path, photos: Path) -> None:
    spec = {**DETECTION, "bona_fide": str(photos), "faces": "refuse"}
    summary, found = build(tiny_bundle, tmp_path / "t", spec)
    assert summary.left_out["bob/both.png"] == "2 faces were found." and len(summary.left_out) == 3
    assert found.protocol["counts"]["bona_fide"] == 2 and check_testset(tmp_path / "t") == []
    picture = read_picture(photos / "ann" / "one.png")
    face = to_square(Framer().choose(picture, "refuse")[0].framed(picture), 16, CROP)
    files = [item.file for item in found.items if item.label == "bona_fide"]
    shown = [np.asarray(read_picture(tmp_path / "t" / file)).transpose(2, 0, 1) for file in files]
    assert any(np.array_equal(image, face) for image in shown)
    again, _ = build(tiny_bundle, tmp_path / "t", spec)  # finished before: the same is said
    assert again.left_out == summary.left_out
    for person in ("ann", "bob"):
        for file in (photos / person).iterdir():
            file.unlink()
    with pytest.raises(DataError, match=r"none of 1 images gave a face \(cara/grass.png: no face was found"):
        build(tiny_bundle, tmp_path / "u", spec)
    assert not (tmp_path / "u").exists()


def test_sets_that_are_not_aligned_say_nothing_of_it(tiny_bundle: Bundle, tmp_path: Path, photos: Path) -> None:
    plain = {key: value for key, value in GALLERY.items() if key != "align"} | {"gallery": str(photos)}
    summary, found = build(tiny_bundle, tmp_path / "t", plain)
    assert summary.left_out == {} and "user_images" not in found.protocol
    header = found.manifest["header"]
    assert "framing" not in header and not {"align", "faces"} & header["spec"].keys()
    assert not {"align", "faces"} & make_testset_plan({**plain, "align": False}, tiny_bundle.vocabulary).resolved.keys()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**DETECTION}, "no images to align"),
        ({"design": "detection", "faces": "refuse"}, "only for align"),
        ({"design": "matched", "align": True}, "align"),
        ({**GALLERY, "gallery": "people.csv"}, "no images to align"),
        ({**GALLERY, "gallery": "people", "faces": "all"}, "faces"),
    ],
)
def test_what_cannot_be_aligned_is_refused(
    tiny_bundle: Bundle, tmp_path: Path, photos: Path, values: dict[str, Any], message: str
) -> None:
    (tmp_path / "people.csv").write_text("name,Red\nann,1\n")
    if "gallery" in values:
        values = {**values, "gallery": str(tmp_path / values["gallery"])}
    with pytest.raises(SpecError, match=message):
        make_testset_plan(values, tiny_bundle.vocabulary)


def test_the_command_names_what_it_left_out_and_remarks_on_frames(
    tiny_bundle: Bundle, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from cfgan_cli.app import app

    counts = COUNTS | {"as_learnt": 0, "tighter": 3}
    monkeypatch.setattr(FramingLook, "result", lambda self: Framing(counts, 1.6))
    spec = tmp_path / "spec.yaml"
    spec.write_text("design: detection\nattacks: 4\nmatch: [Red]\nfolds: 1\n")
    common = ("testset", "build", str(spec), "--bundle", str(tiny_bundle.path), "--bona-fide", str(photos))
    done = CliRunner().invoke(app, [*common, "--align", "--out", str(tmp_path / "t"), "--json"])
    assert done.exit_code == 0, done.output
    assert "2 images left out (no face was found.): ann/grass.png, cara/grass.png" in done.stderr
    assert json.loads(done.stdout)["left_out"] == dict.fromkeys(
        ("ann/grass.png", "cara/grass.png"), "no face was found."
    )
    plain = CliRunner().invoke(app, [*common, "--out", str(tmp_path / "u")])
    assert "3 of 3 are tighter than CelebA's frame: the verifier did not learn on such; try --align" in plain.stderr
