"""An encoder: trained for a generator, resumed, put into a bundle, and where a projection begins with it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers import SEEN, SMALL, draw_celeba, make_bundle, small_bundle, small_store
from safetensors.torch import load_file, save
from typer.testing import CliRunner, Result

import cfgan.generate.projection.objective as objective_module
from cfgan.assemble.build import build_bundle
from cfgan.assemble.encoder import with_encoder
from cfgan.assemble.parts import Parts, not_kept
from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import PackedDataset, pack
from cfgan.errors import BundleError, ConfigError, DataError, FolderError, InputError, StoppedError
from cfgan.generate.projection.codes import CodeSpace
from cfgan.generate.projection.condition import read_condition
from cfgan.generate.projection.objective import Objective
from cfgan.generate.projection.projector import EDGE, ENCODED_STEPS, STEPS, Projector
from cfgan.io.files import json_bytes, sha256_of, write_sealed
from cfgan.model.bundle import Bundle, open_bundle, write_files
from cfgan.model.engines import open_engine
from cfgan.networks.encoder import Encoded, Encoder, EncoderShape
from cfgan.training.classifier import train_classifier
from cfgan.training.config import ClassifierConfig, EncoderConfig, GanConfig, make_config
from cfgan.training.encoder import encoder_shape, train_encoder
from cfgan.training.gan import train_gan
from cfgan.verify.reader import reader_of
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

SETTINGS = {"images": 48, "batch": 8, "width": 4, "most_channels": 8, "hidden": 8, "log_images": 8, "save_images": 16}
SETTINGS |= {"device": "cpu", "threads": 1}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the published weights: the verifier's features are compared."""
    monkeypatch.setattr(objective_module, "published_efficientnet", _missing)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("encoded") / "bundle")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    return small_store(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def trained(bundle: Bundle, store: PackedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on draws alone, which the generator can draw exactly, long enough to learn something."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective_module, "published_efficientnet", _missing)
        more = {"images": 1600, "batch": 16, "width": 8, "most_channels": 32, "hidden": 32, "drawn_share": 1.0}
        train_encoder(bundle, store, folder, make_config(EncoderConfig, SETTINGS | more | {"learning_rate": 0.01}))
    return folder


def _missing() -> None:
    raise ConfigError("not installed")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def draws(bundle: Bundle, count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    torch.manual_seed(5)
    condition = torch.rand(count, len(bundle.vocabulary)) * 1.9 - 0.95
    with torch.no_grad():
        images = bundle.generator()(torch.randn(count, bundle.z_dim), condition)
    return images.add(1).mul(127.5).round().to(torch.uint8).numpy(), condition.numpy()


def loss(bundle: Bundle, projector: Projector, faces: npt.NDArray[np.uint8], steps: int) -> float:
    """How far what is drawn after some steps is from the faces, as the search measures it."""
    condition = np.zeros((len(faces), len(bundle.vocabulary)), np.float32)
    objective, target = Objective(bundle, CPU), torch.from_numpy(faces).float() / 127.5 - 1
    drawn = torch.from_numpy(projector.render(projector.project(faces, condition, steps=steps))).float() / 127.5 - 1
    return float(objective.unlikeness(drawn, target, objective.maps(target)).mean())


def test_a_resumed_run_has_the_same_weights_as_an_unbroken_one(
    bundle: Bundle, store: PackedDataset, tmp_path: Path
) -> None:
    config = make_config(EncoderConfig, SETTINGS)
    whole = train_encoder(bundle, store, tmp_path / "whole", config)

    def stop(stage: str, done: int, total: int, remark: str = "") -> None:
        if stage == "training" and done == 24:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError, match="stopped at 24 images"):
        train_encoder(bundle, store, tmp_path / "broken", config, stop)
    assert sha256_of(train_encoder(bundle, store, tmp_path / "broken", config)) == sha256_of(whole)
    log = (tmp_path / "broken" / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line)["images"] for line in log] == [8, 16, 24, 32, 40, 48]


def test_a_run_for_one_generator_does_not_go_on_for_another(
    bundle: Bundle, store: PackedDataset, tmp_path: Path
) -> None:
    config = make_config(EncoderConfig, SETTINGS | {"images": 8})
    train_encoder(bundle, store, tmp_path / "run", config)
    other = make_bundle(tmp_path / "other", bundle.vocabulary, bundle.prior(), seed=1)
    with pytest.raises(FolderError, match="generator"):
        train_encoder(other, store, tmp_path / "run", config)
    with pytest.raises(InputError, match="another generator"):
        with_encoder(other, tmp_path / "run", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_the_encoder_is_as_wide_as_was_said_and_reads_what_the_generator_draws(bundle: Bundle) -> None:
    shape = encoder_shape(bundle, make_config(EncoderConfig, SETTINGS))
    assert (shape.widths, shape.size, shape.places) == ((4, 8), bundle.size, 3)
    space = CodeSpace(bundle, CPU)
    found = Encoder(shape)(torch.zeros(2, 3, 16, 16), torch.zeros(2, 3))
    assert found.start.shape == (2, space.start) and found.styles.shape == (2, shape.places, space.embed)
    drawn = space.draw(space.codes(found.z, torch.zeros(2, 3), found.start, found.styles))
    mean = bundle.generator()(torch.zeros(2, bundle.z_dim), torch.zeros(2, 3))
    assert (drawn - mean).abs().mean() < 0.05  # it begins near the average of all draws
    assert EncoderShape.from_dict(json.loads(json.dumps(shape.to_dict()))) == shape


def test_what_is_learnt_is_nearer_than_the_nearest_of_draws(bundle: Bundle, trained: Path, tmp_path: Path) -> None:
    encoded = with_encoder(bundle, trained, tmp_path / "encoded")
    encoded.verify()
    faces, _ = draws(bundle, 16)
    with_one, without = Projector(encoded), Projector(bundle)
    assert (with_one.steps, without.steps) == (ENCODED_STEPS, STEPS)
    guess = loss(bundle, with_one, faces, 0)
    assert guess < 0.9 * loss(bundle, without, faces, 0)
    assert loss(bundle, with_one, faces, 30) < 0.8 * guess


def test_the_objective_counts_only_what_differs(bundle: Bundle) -> None:
    objective = Objective(bundle, CPU)
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    goal = objective.maps(images)
    assert objective.unlikeness(images, images, goal).abs().max() < 1e-6
    far = objective.unlikeness(images.roll(1, 0), images, goal)
    assert far.shape == (3,) and bool((far > 0.01).all())
    assert objective.pull(torch.zeros(3, 8), torch.zeros(3, 2, 4)).tolist() == [0, 0, 0]


def test_a_copy_with_an_encoder_is_the_same_model_with_another_digest(
    bundle: Bundle, trained: Path, tmp_path: Path
) -> None:
    made = with_encoder(bundle, trained, tmp_path / "copy")
    again = with_encoder(made, trained, tmp_path / "copy")
    assert again.digest == made.digest != bundle.digest
    changed = {name for name, digest in made.sums.items() if bundle.sums.get(name) != digest}
    assert changed == {"config.json", "README.md", "encoder.safetensors"}
    card = (made.path / "README.md").read_text()
    assert card.startswith("# tiny") and card.count("## Encoder") == 1
    assert "1,600 images and no labels" in card and "features of verifier" in card
    assert run("bundle", "check", made.path).exit_code == 0


def test_a_bundle_of_a_new_generator_does_without_the_encoder_and_says_so(
    bundle: Bundle, store: PackedDataset, trained: Path, tmp_path: Path
) -> None:
    made = with_encoder(bundle, trained, tmp_path / "encoded")
    train_gan(store, tmp_path / "gan", make_config(GanConfig, SMALL | {"images": 8}))
    assert not_kept(Parts(tmp_path / "gan", keep=made)) == {"encoder": "has learnt with another generator"}


def test_another_verifier_is_refused_for_the_conditions_came_from_the_old_one(
    bundle: Bundle, store: PackedDataset, trained: Path, tmp_path: Path
) -> None:
    other = make_bundle(tmp_path / "other", bundle.vocabulary, bundle.prior(), seed=1)
    files = {name: bundle.file(name).read_bytes() for name in bundle.sums}
    write_files(tmp_path / "mixed", files | {"verifier.safetensors": other.file("verifier.safetensors").read_bytes()})
    mixed = open_bundle(tmp_path / "mixed")
    with pytest.raises(InputError, match="another verifier"):
        with_encoder(mixed, trained, tmp_path / "copy")
    config = make_config(EncoderConfig, SETTINGS | {"images": 16})
    train_encoder(bundle, store, tmp_path / "run", config)
    with pytest.raises(FolderError, match="verifier"):
        train_encoder(mixed, store, tmp_path / "run", config)


def test_the_same_generator_and_verifier_keep_the_encoder(bundle: Bundle, store: PackedDataset, tmp_path: Path) -> None:
    """A bundle is built again from the same runs, for another card or gate."""
    train_gan(store, tmp_path / "gan", make_config(GanConfig, SMALL | {"images": 8}))
    train_classifier(store, tmp_path / "verifier", make_config(ClassifierConfig, SEEN))
    first = build_bundle(tmp_path / "first", Parts(tmp_path / "gan", tmp_path / "verifier", keep=bundle), draws=100)
    train_encoder(first, store, tmp_path / "run", make_config(EncoderConfig, SETTINGS))
    encoded = with_encoder(first, tmp_path / "run", tmp_path / "encoded")
    parts = Parts(tmp_path / "gan", keep=encoded, gate="value")
    assert not_kept(parts) == {}
    again = build_bundle(tmp_path / "again", parts, draws=100)
    assert again.config["encoder"] == encoded.config["encoder"] and again.encoder() is not None
    assert (again.path / "README.md").read_text().count("## Encoder") == 1


def test_weights_that_half_precision_cannot_hold_are_refused(bundle: Bundle, trained: Path, tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    shutil.copytree(trained, run_folder)
    tensors = load_file(run_folder / "model.safetensors")
    tensors["z.weight"] = tensors["z.weight"] * 1e9
    (run_folder / "model.safetensors").write_bytes(save(tensors))
    about = json.loads((run_folder / "model.json").read_text())
    about["sha256"]["model.safetensors"] = sha256_of(run_folder / "model.safetensors")
    del about["seal"]
    write_sealed(run_folder / "model.json", about)
    with pytest.raises(BundleError, match="half precision"):
        with_encoder(bundle, run_folder, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("card", [None, b"\xff\xfe not text", b"# mine\n\n## Encoder\n\nof my own\n"])
def test_a_card_of_any_kind_stays_and_is_added_to(
    bundle: Bundle, trained: Path, tmp_path: Path, card: bytes | None
) -> None:
    files = {name: bundle.file(name).read_bytes() for name in bundle.sums if name != "README.md"}
    write_files(tmp_path / "plain", files if card is None else files | {"README.md": card})
    made = with_encoder(open_bundle(tmp_path / "plain"), trained, tmp_path / "copy")
    text = (made.path / "README.md").read_text()
    assert "An encoder guesses" in text and ("of my own" in text) == (card is not None and b"own" in card)


def test_a_store_without_training_images_leaves_nothing_behind(bundle: Bundle, tmp_path: Path) -> None:
    store = small_store(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store), "rows", lambda self, split: np.zeros(0, np.int64))
        with pytest.raises(DataError, match="no train images"):
            train_encoder(bundle, store, tmp_path / "run", make_config(EncoderConfig, SETTINGS))
    assert not (tmp_path / "run").exists()


def test_settings_that_no_bundle_may_hold_are_refused_at_once() -> None:
    for key in ("width", "most_channels", "hidden"):
        with pytest.raises(ConfigError, match="4096") as refused:
            make_config(EncoderConfig, {key: 4097})
        assert refused.value.field == key


def test_each_photo_goes_with_what_is_read_in_it_or_in_its_mirror_image(
    bundle: Bundle, store: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    forward = Encoder.forward

    def watch(self: Encoder, images: torch.Tensor, condition: torch.Tensor) -> Encoded:
        seen.append((images.detach().clone(), condition.clone()))
        return forward(self, images, condition)

    monkeypatch.setattr(Encoder, "forward", watch)
    train_encoder(bundle, store, tmp_path / "run", make_config(EncoderConfig, SETTINGS | {"drawn_share": 0.0}))
    verifier = reader_of(bundle, open_engine(bundle, "cpu"), "verifier")
    photos = store.images[store.rows("train")]
    flips = 0
    for images, condition in seen:
        levels = images.add(1).mul(127.5).round().to(torch.uint8).numpy()
        read = read_condition(verifier, np.ascontiguousarray(levels)).clip(-EDGE, EDGE)
        np.testing.assert_allclose(condition.numpy(), read, atol=1e-5)
        flips += sum(not (photos == each).all((1, 2, 3)).any() for each in levels)
    assert 0 < flips < sum(len(images) for images, _ in seen)


@pytest.mark.parametrize(("key", "value"), [("z_dim", 9), ("places", 2), ("widths", [4, 8, 8]), ("channels", 4)])
def test_an_encoder_that_does_not_fit_is_refused_when_the_bundle_is_opened(
    bundle: Bundle, trained: Path, tmp_path: Path, key: str, value: object
) -> None:
    made = with_encoder(bundle, trained, tmp_path / "encoded")
    files = {name: made.file(name).read_bytes() for name in made.sums}
    config = json.loads(files["config.json"])
    config["encoder"]["shape"][key] = value
    write_files(tmp_path / "bad", files | {"config.json": json_bytes(config)})
    with pytest.raises(BundleError, match="encoder"):
        open_bundle(tmp_path / "bad")


def test_images_of_another_size_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    large = pack(read_celeba(draw_celeba(tmp_path / "celeba", 4)), tmp_path / "store", 32)[0]
    with pytest.raises(ConfigError, match=r"images of 32 pixels, tiny draws 16"):
        train_encoder(bundle, large, tmp_path / "run", make_config(EncoderConfig, SETTINGS))


def test_the_command_trains_and_adds(bundle: Bundle, store: PackedDataset, tmp_path: Path) -> None:
    given = ["--data", store.path, "--bundle", bundle.path, "--out", tmp_path / "run", "-q"]
    settings = [word for key, value in (SETTINGS | {"images": 8}).items() for word in ("--set", f"{key}={value}")]
    done = run("train", "encoder", *given, *settings)
    assert done.exit_code == 0, done.output
    added = run("bundle", "add-encoder", bundle.path, "--encoder", tmp_path / "run", "--out", tmp_path / "copy")
    assert added.exit_code == 0 and open_bundle(tmp_path / "copy").digest in added.stdout.replace("\n", "")
    wrong = run("bundle", "add-encoder", bundle.path, "--encoder", tmp_path, "--out", tmp_path / "copy2")
    assert wrong.exit_code == 2 and "no trained encoder" in wrong.stderr and not (tmp_path / "copy2").exists()
