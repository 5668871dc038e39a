"""A run on images of twice the side starts from a bundle's pictures, enlarged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import SEEN, SMALL, draw_celeba, make_bundle
from safetensors.torch import save
from torch.nn import functional as F

from cfgan.assemble.parts import Parts, assemble, not_kept
from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import PackedDataset, pack
from cfgan.errors import ConfigError, InputError
from cfgan.model.bundle import Bundle, write_bundle
from cfgan.networks.dcgan import Discriminator, Generator
from cfgan.networks.families import make_discriminator, make_generator
from cfgan.networks.shape import GanShape
from cfgan.training.classifier import train_classifier
from cfgan.training.config import ClassifierConfig, GanConfig, make_config
from cfgan.training.gan import train_gan
from cfgan.training.growth import grown_discriminator, grown_generator, growth_sentence
from cfgan.training.networks import gan_shape, load_classifier, make_networks
from cfgan.training.transfer import shape_settings, start_from

pytestmark = pytest.mark.slow

NAMES = ("Red", "Round", "Cat")
SETTINGS = SMALL | {"z_dim": 8, "width": 4}
LEVELS = 2.0
"""Grey levels by which averages of 2 x 2 pixels may differ from the old pixels, on average: exact before the tanh."""


@pytest.fixture(scope="module")
def prior() -> Prior:
    counts = np.full((3, 3), 5, dtype=np.int64)
    return Prior(Vocabulary(NAMES), np.zeros(3), np.zeros((3, 3)), counts, 2 * counts, 10)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, prior: Prior) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("source") / "bundle", prior.vocabulary, prior)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    folder = tmp_path_factory.mktemp("large")
    return pack(read_celeba(draw_celeba(folder / "celeba", names=NAMES)), folder / "store", 32)[0]


def with_networks(source: Bundle, folder: Path, shape: GanShape) -> Bundle:
    """The bundle with other, random networks."""
    torch.manual_seed(1)
    weights = {name: source.file(name).read_bytes() for name in source.sums if name.endswith(".safetensors")}
    weights["generator.safetensors"] = save(make_generator(shape).state_dict())
    weights["discriminator.safetensors"] = save(make_discriminator(shape).state_dict())
    return write_bundle(folder, {**source.config, "generator": shape.to_dict()}, weights, "")


def trained(shape: GanShape) -> Generator:
    """A generator whose every layer does something, as after training: refinements and statistics too."""
    torch.manual_seed(2)
    generator = Generator(shape)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for _ in range(20):
            generator(torch.randn(32, shape.z_dim), torch.randn(32, shape.attributes))
    return generator.eval()


@pytest.mark.parametrize("upsample", ["resize", "shuffle", "transposed"])
@pytest.mark.parametrize("refine", [(), (16,)])
@torch.no_grad()
def test_the_first_pictures_are_the_old_ones_enlarged(prior: Prior, upsample: str, refine: tuple[int, ...]) -> None:
    old = trained(GanShape(3, size=16, width=8, z_dim=8, embed=8, upsample=upsample, refine=refine))
    new = grown_generator(old, prior)
    z, asked = torch.randn(16, 8), torch.sign(torch.randn(16, 3))
    before, after = old(z, asked), new(z, asked)
    assert after.shape == (16, 3, 32, 32) and float(before.std()) > 0.1
    torch.testing.assert_close(
        F.avg_pool2d(torch.atanh(after.double()), 2), torch.atanh(before.double()), atol=1e-3, rtol=1e-3
    )
    if upsample == "shuffle":
        torch.testing.assert_close(after, F.interpolate(before, scale_factor=2), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_discriminator_says_what_it_said_of_the_picture_made_small() -> None:
    torch.manual_seed(3)
    old = Discriminator(GanShape(3, size=16, width=8, z_dim=8, embed=8))
    images, asked = torch.randn(6, 3, 32, 32), torch.randn(6, 3)
    before, after = old(F.avg_pool2d(images, 2), asked), grown_discriminator(old)(images, asked)
    torch.testing.assert_close(after.logit, before.logit)
    torch.testing.assert_close(after.attributes, before.attributes)


@torch.no_grad()
def test_a_run_starts_from_grown_networks_with_attributes_of_its_own(source: Bundle) -> None:
    config = make_config(GanConfig, SETTINGS)
    networks = make_networks(config, gan_shape(config, 2, 32), torch.device("cpu"))
    start_from(networks, Vocabulary(("Cat", "Old")), source)
    old, new = source.generator(), networks.average.module
    for name, value in old.state_dict().items():
        if name.startswith("blocks."):
            assert torch.equal(new.state_dict()[name], value), name
    z, asked = torch.randn(6, 8), torch.sign(torch.randn(6, 2))
    translated = torch.stack([torch.zeros(6), torch.zeros(6), asked[:, 0]], 1)  # Red and Round are even in the labels
    assert float((F.avg_pool2d(new(z, asked), 2) - old(z, translated)).abs().mean()) * 127.5 < LEVELS
    assert networks.start["size"] == 16


@torch.no_grad()
def test_it_may_be_wider_at_once(source: Bundle) -> None:
    config = make_config(GanConfig, SETTINGS | {"width": 12})
    networks = make_networks(config, gan_shape(config, 3, 32), torch.device("cpu"))
    start_from(networks, Vocabulary(NAMES), source)
    z, asked = torch.randn(6, 8), torch.sign(torch.randn(6, 3))
    enlarged = F.avg_pool2d(networks.average.module(z, asked), 2)
    assert float((enlarged - source.generator()(z, asked)).abs().mean()) * 127.5 < LEVELS


@torch.no_grad()
def test_it_may_have_more_channels_at_the_new_side(source: Bundle) -> None:
    config = make_config(GanConfig, SETTINGS | {"least_channels": 24})
    networks = make_networks(config, gan_shape(config, 3, 32), torch.device("cpu"))
    assert networks.generator.shape.channels[-1] == 24
    start_from(networks, Vocabulary(NAMES), source)
    z, asked = torch.randn(6, 8), torch.sign(torch.randn(6, 3))
    enlarged = F.avg_pool2d(networks.average.module(z, asked), 2)
    assert float((enlarged - source.generator()(z, asked)).abs().mean()) * 127.5 < LEVELS


def test_a_guide_reads_larger_images_as_averages(large: PackedDataset, tmp_path: Path) -> None:
    train_classifier(large, tmp_path / "guide", make_config(ClassifierConfig, SEEN))
    guide = load_classifier(str(tmp_path / "guide"), "guide", torch.device("cpu"))
    images = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(guide(images), guide(F.avg_pool2d(images, 2)))


def test_it_trains_and_becomes_a_bundle_whose_classifiers_read_averages(
    source: Bundle, large: PackedDataset, tmp_path: Path
) -> None:
    assert shape_settings(source, 32)["width"] == 4
    assert "32" in growth_sentence(source, 32) and growth_sentence(source, 16) == ""
    config = make_config(GanConfig, SETTINGS | {"start": str(source.path), "images": 8})
    train_gan(large, tmp_path / "run", config)  # TrainingError if a loss is not finite
    parts = Parts(tmp_path / "run", keep=source, name="large")
    with pytest.raises(InputError, match="images of another size") as told:
        assemble(parts)
    assert told.value.field == "--data"
    parts = replace(parts, data="drawn")
    with pytest.raises(InputError, match="real images of 32 pixels") as told:
        assemble(parts)  # what it reads in them is not known
    assert told.value.field == "--measure-on"
    config_of, weights = assemble(replace(parts, store=large))
    bundle = write_bundle(tmp_path / "built", config_of, weights, "")
    assert bundle.size == 32 and not_kept(parts) == {}
    validation = bundle.validation()
    assert validation is not None and len(validation.labels) == len(large.rows("validation"))
    fine = torch.from_numpy(large.images[:4] / 127.5 - 1).float()
    with torch.no_grad():
        old, new = source.classifiers["verifier"].load(), bundle.classifiers["verifier"].load()
        assert bundle.config["verifier"]["shape"]["reads"] == 16
        torch.testing.assert_close(new(fine), old(F.avg_pool2d(fine, 2)))

    train_classifier(large, tmp_path / "verifier", make_config(ClassifierConfig, SEEN))
    own, _ = assemble(replace(parts, verifier=tmp_path / "verifier", store=large))
    assert own["verifier"]["shape"]["reads"] == 0


def test_what_cannot_grow_is_refused_before_anything_is_written(
    source: Bundle, large: PackedDataset, tmp_path: Path
) -> None:
    def refused(bundle: Bundle, message: str, store: PackedDataset = large, **settings: object) -> None:
        given = SETTINGS | settings | {"start": str(bundle.path)}
        with pytest.raises(ConfigError, match=message):
            train_gan(store, tmp_path / "run", make_config(GanConfig, given))
        assert not (tmp_path / "run").exists()

    shape = source.shape
    refused(source, r"for images of 32 pixels tiny has embed = 8, this run 16; say --set 'embed=8'", embed=16)
    for name, other, message in (
        ("twice", replace(shape, size=64), "64 pixels and these have 32: its last block"),
        ("residual", replace(shape, family="residual"), "the residual family cannot"),
        ("spectral", replace(shape, spectral_norm=True), "under a spectral norm"),
        ("odd", replace(shape, width=9), "width of 9 cannot be halved"),
    ):
        refused(with_networks(source, tmp_path / name, other), message)
    small = replace(large, images=np.zeros((len(large.images), 3, 128, 128), np.uint8))
    refused(source, "at 16 and at 32 pixels", small)
