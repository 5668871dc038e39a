"""``cfgan project``: what is printed, what is stored, and what is refused. Tiny networks, drawn images, no person."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from framing_helpers import Dots, dotted
from helpers import make_bundle
from PIL import Image
from typer.testing import CliRunner, Result

import cfgan.external.face_embedder
import cfgan.external.landmarks
import cfgan.generate.projection.identity as identity
import cfgan.generate.projection.objective as objective_module
from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import ConfigError
from cfgan.external.face_embedder import Embedded
from cfgan.model.bundle import Bundle
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

runner = CliRunner()


class Alike:
    """A recogniser that finds every face equally near."""

    name, digest, distance = "dlib-resnet", "", 0.4

    def __call__(self, levels: np.ndarray, progress: object = None) -> Embedded:
        vectors = np.zeros((len(levels), 1), np.float32)
        vectors[1:] = self.distance
        return Embedded(vectors, np.ones(len(levels), np.bool_))


@pytest.fixture(autouse=True)
def mocked(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ConfigError("not installed")

    monkeypatch.setattr(objective_module, "published_efficientnet", missing)
    monkeypatch.setattr(identity, "FaceEmbedder", Alike)
    monkeypatch.setattr(cfgan.external.landmarks, "FaceLandmarks", Dots)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny", vocabulary, prior, with_judge=True)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A face of dots."""
    path = tmp_path / "photos" / "me.png"
    path.parent.mkdir()
    dotted((300, 360), [(150, 170, 1.0, 0)]).save(path)
    return path


def run(bundle: Bundle, *arguments: object) -> Result:
    return runner.invoke(
        app, ["project", *(str(each) for each in arguments), "--bundle", str(bundle.path), "--steps", "3"]
    )


def test_figures_are_printed_and_nothing_is_stored(
    bundle: Bundle, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = run(bundle, photo, "--edit", "Red,-Cat", "--edit", "Round=0.5")
    assert result.exit_code == 0, result.output
    assert "pixels differ by" in result.stdout and "The person is kept: the identity distance is 0.40" in result.stdout
    assert "shown as asked" in result.stdout and ", says the judge; identity distance 0.40" in result.stdout
    assert "Round=0.5: identity distance" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    monkeypatch.setattr(Alike, "distance", 0.7)
    assert "The person is lost: the identity distance is 0.70, over 0.62" in run(bundle, photo).stdout


def test_a_folder_holds_projection_edits_and_figures(bundle: Bundle, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(bundle, photo, "--edit", "Red", "--edit", "Dog", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert sorted(path.name for path in out.iterdir()) == [
        "edit-1.png",
        "edit-2.png",
        "projection.json",
        "projection.png",
    ]
    kept = json.loads((out / "projection.json").read_text())
    assert kept["format"] == "cfgan-projection/1" and kept["bundle"]["digest"] == bundle.digest
    assert [each["edit"] for each in kept["edits"]] == ["Red", "Dog"] == [each["edit"] for each in said["edits"]]
    assert (
        kept["identity"] == said["identity"] == {"distance": 0.4, "threshold": 0.6208, "face_found": True, "kept": True}
    )
    assert "me.png" not in (out / "projection.json").read_text(), "the photo's name is not kept"
    for name in ("projection.png", "edit-1.png"):
        with Image.open(out / name) as image:
            assert image.size == (bundle.size, bundle.size) and "trainedAlgorithmicMedia" in image.info["xmp"].decode()
            text = json.loads(image.info["cfgan"])
            assert text["kind"] == "projection of a photo" and text["bundle"]["digest"] == bundle.digest
            assert text.get("edit") == ("Red" if name == "edit-1.png" else None)
    assert run(bundle, photo, "--out", out).exit_code == 0, "an older projection is replaced"
    assert sorted(path.name for path in out.iterdir()) == ["projection.json", "projection.png"]


def test_a_wrong_edit_names_the_nearest(bundle: Bundle, photo: Path, tmp_path: Path) -> None:
    result = run(bundle, photo, "--edit", "Stripe", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "--edit" in result.stderr and "Did you mean Striped?" in result.stderr
    assert run(bundle, photo, "--edit", "Cat,Dog").exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_image_without_a_face_says_so(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "green.png"
    Image.new("RGB", (90, 80), "green").save(path)
    result = run(bundle, path, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "no face was found" in result.stderr and not (tmp_path / "out").exists()
    assert run(bundle, path, "--no-align").exit_code == 0
    missing = run(bundle, tmp_path / "gren.png")
    assert missing.exit_code == 2 and "the file is missing" in missing.stderr


def test_a_folder_of_somebody_else_stays(bundle: Bundle, photo: Path, tmp_path: Path) -> None:
    result = run(bundle, photo, "--out", photo.parent)
    assert result.exit_code == 2 and "already holds something else" in result.stderr
    assert [path.name for path in photo.parent.iterdir()] == ["me.png"]


def test_without_a_recogniser_it_says_that_identity_was_not_measured(
    bundle: Bundle, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ConfigError("no dlib")

    monkeypatch.setattr(identity, "FaceEmbedder", missing)
    result = run(bundle, photo)
    assert result.exit_code == 0 and "was not measured" in result.stderr and "The person" not in result.stdout
    assert json.loads(run(bundle, photo, "--json").stdout)["identity"] is None
