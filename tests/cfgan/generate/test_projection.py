"""A photo found again among what a generator draws: tiny networks, drawn images, no person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers import make_bundle

import cfgan.generate.projection.objective as objective_module
from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import ConfigError, InputError, RequestError, VocabularyError
from cfgan.external.face_embedder import Embedded
from cfgan.generate.projection.condition import read_condition
from cfgan.generate.projection.edits import STRENGTHS, edit, edited_condition, parse_edits
from cfgan.generate.projection.identity import likeness
from cfgan.generate.projection.projector import Projector
from cfgan.model.bundle import Bundle
from cfgan.model.engines import open_engine
from cfgan.verify.reader import Reader, reader_of


@pytest.fixture(autouse=True)
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the published weights: the verifier's features are compared."""

    def missing() -> None:
        raise ConfigError("not installed")

    monkeypatch.setattr(objective_module, "published_efficientnet", missing)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny", vocabulary, prior, with_judge=True)


@pytest.fixture(scope="module")
def verifier(bundle: Bundle) -> Reader:
    return reader_of(bundle, open_engine(bundle, "torch:cpu"), "verifier")


@pytest.fixture(scope="module")
def faces(bundle: Bundle) -> npt.NDArray[np.uint8]:
    """Two images of the generator's own."""
    torch.manual_seed(3)
    z, condition = torch.randn(2, bundle.z_dim), torch.rand(2, len(bundle.vocabulary)) * 2 - 1
    with torch.no_grad():
        images = bundle.generator()(z, condition)
    return np.asarray(images.add(1).mul(127.5).round().to(torch.uint8).numpy())


def psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / max(1e-3, np.square(a.astype(float) - b).mean())))


def test_the_generator_in_parts_is_the_generator(bundle: Bundle) -> None:
    generator = bundle.generator()
    z, condition = torch.randn(2, bundle.z_dim), torch.zeros(2, len(bundle.vocabulary))
    with torch.no_grad():
        start, style = generator.entries(z, condition)
        whole, parts = generator(z, condition), generator.synthesis(start, [style] * generator.places)
        assert torch.equal(whole, parts)
        for block in generator.blocks:
            block.up.keep_kernel()
        torch.testing.assert_close(generator(z, condition), whole)


@pytest.mark.slow
def test_what_the_generator_drew_is_found_again(bundle: Bundle, faces: npt.NDArray[np.uint8], verifier: Reader) -> None:
    projector, read = Projector(bundle), read_condition(verifier, faces)
    codes = projector.project(faces, read, steps=60)
    found = projector.render(codes)
    begun = projector.render(projector.project(faces, read, steps=0))
    assert psnr(found, faces) > 33 and psnr(found, faces) > psnr(begun, faces) + 3
    assert codes.condition.abs().max() <= 1
    again = projector.render(projector.project(faces, read, steps=60))
    assert np.array_equal(again, found), "the same photo and seed give the same projection"
    alone = projector.render(projector.project(faces[:1], read[:1], steps=60))
    assert psnr(alone, faces[:1]) > 30, "each photo is searched for by itself"


def test_an_edit_changes_the_condition_only(bundle: Bundle, faces: npt.NDArray[np.uint8], verifier: Reader) -> None:
    projector = Projector(bundle)
    codes = projector.project(faces, read_condition(verifier, faces), steps=10)
    held = [part.clone() for part in (codes.z, codes.condition, codes.start, codes.styles)]
    done = edit(projector, codes, {"Red": 1.0, "Cat": -1.0}, verifier)
    for before, after in zip(held, (codes.z, codes.condition, codes.start, codes.styles), strict=True):
        assert torch.equal(before, after)
    names = bundle.vocabulary.names
    others = [k for k, name in enumerate(names) if name not in ("Red", "Cat")]
    np.testing.assert_array_equal(done.condition[:, others], held[1].numpy()[:, others])
    assert (done.condition[:, names.index("Red")] == 1).all() and (done.condition[:, names.index("Cat")] == -1).all()
    assert set(done.strength) <= set(STRENGTHS)
    same = projector.render(codes, codes.condition.numpy(), 3.0)
    assert np.array_equal(same, projector.render(codes)), "no change of the condition, no change of the image"


def test_an_edit_goes_no_further_than_the_verifier_asks(bundle: Bundle, faces: npt.NDArray[np.uint8]) -> None:
    projector = Projector(bundle)
    codes = projector.project(faces, np.zeros((2, len(bundle.vocabulary)), np.float32), steps=0)

    class Sees:
        """A network that sees every attribute, plainly or not at all."""

        def __init__(self, logit: float) -> None:
            self.logit = logit

        def logits(self, levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            return np.full((len(levels), len(bundle.vocabulary)), self.logit, np.float32)

    for logit, strength in ((9.0, STRENGTHS[0]), (-9.0, STRENGTHS[-1])):
        reader = Reader("verifier", Sees(logit), bundle.calibration)  # type: ignore[arg-type]
        assert (edit(projector, codes, {"Red": 1.0}, reader).strength == strength).all()
        graded = edit(projector, codes, {"Red": 0.5}, reader)
        assert (graded.strength == 1).all(), "there is nothing to verify in a graded value"


def test_what_an_attribute_excludes_goes(vocabulary: Vocabulary) -> None:
    before = np.full((1, len(vocabulary)), 0.5, np.float32)
    after = edited_condition(before, {"Cat": 1.0}, vocabulary)
    assert after[0, vocabulary.index("Cat")] == 1 and after[0, vocabulary.index("Dog")] == -1
    assert (edited_condition(before, {"Cat": -1.0}, vocabulary)[0, vocabulary.index("Dog")]) == 0.5


def test_edits_that_cannot_be_made_are_named(vocabulary: Vocabulary) -> None:
    assert parse_edits(["Red,-Cat", "round=0.5"], vocabulary) == {
        "Red,-Cat": {"Red": 1, "Cat": -1},
        "Round=0.5": {"Round": 0.5},
    }
    with pytest.raises(VocabularyError, match="Did you mean Striped") as caught:
        parse_edits(["Stripes"], vocabulary)
    assert caught.value.field == "--edit"
    for wrong in ("Cat,Dog", "any", "Red=2"):
        with pytest.raises(RequestError):
            parse_edits([wrong], vocabulary)


def test_another_family_is_refused(tiny_bundle: Bundle) -> None:
    config = {**tiny_bundle.config, "generator": {**tiny_bundle.config["generator"], "family": "residual"}}
    other = Bundle(Path(), config, {}, tiny_bundle.vocabulary, tiny_bundle.calibrations, "")
    with pytest.raises(InputError, match="only dcgan"):
        Projector(other)


@pytest.mark.parametrize(
    ("distance", "found", "said"), [(0.5, True, "kept"), (0.7, True, "lost"), (0.1, False, "no face")]
)
def test_whether_the_person_is_kept_is_said_plainly(distance: float, found: bool, said: str) -> None:
    class Fixed:
        name, digest = "dlib-resnet", ""

        def __call__(self, levels: npt.NDArray[np.uint8], progress: object = None) -> Embedded:
            return Embedded(np.asarray([[0.0], [distance]], np.float32), np.asarray([True, found]))

    image = np.zeros((3, 16, 16), np.uint8)
    (like,) = likeness(Fixed(), image, image[None])
    assert said in like.sentence() and like.kept == (said == "kept")
    assert like.threshold == pytest.approx(0.62075)
