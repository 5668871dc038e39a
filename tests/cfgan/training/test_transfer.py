from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import SEEN, SMALL, make_bundle, small_store
from safetensors.torch import save

from cfgan.assemble.parts import Parts, assemble
from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import ConfigError, InputError
from cfgan.model.bundle import Bundle, write_bundle
from cfgan.networks.dcgan import Generator
from cfgan.training.classifier import train_classifier
from cfgan.training.config import ClassifierConfig, GanConfig, make_config
from cfgan.training.gan import train_gan
from cfgan.training.networks import TrainingNetworks, gan_shape, make_networks
from cfgan.training.transfer import start_from

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SETTINGS = SMALL | {"z_dim": 8}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    vocabulary = Vocabulary(("Round", "Dog", "Red"))
    counts = np.full((3, 3), 5, dtype=np.int64)
    known = 2 * counts
    counts[1, 1] = 2
    prior = Prior(vocabulary, np.zeros(3), np.zeros((3, 3)), counts, known, 10)
    return make_bundle(tmp_path_factory.mktemp("source") / "bundle", vocabulary, prior)


MEAN_OF_DOG = -0.6
"""Two in ten of the source's labels are dogs."""


def started(source: Bundle, names: tuple[str, ...], **settings: object) -> TrainingNetworks:
    config = make_config(GanConfig, SETTINGS | settings)
    networks = make_networks(config, gan_shape(config, len(names), 16), CPU)
    start_from(networks, Vocabulary(names), source)
    return networks


def test_kept_attributes_keep_their_effect_new_ones_have_none_and_dropped_ones_count_as_on_average(
    source: Bundle,
) -> None:
    networks = started(source, ("Red", "Cat", "Round", "Old"))
    old, new = source.generator(), networks.average.module
    z = torch.randn(6, 8)
    asked = torch.randn(6, 4)
    translated = torch.stack([asked[:, 2], torch.full((6,), MEAN_OF_DOG), asked[:, 0]], 1)  # Round, Dog, Red
    torch.testing.assert_close(new(z, asked), old(z, translated))  # Cat and Old change nothing
    torch.testing.assert_close(networks.generator(z, asked), networks.average.module.train()(z, asked))
    images = torch.randn(6, 3, 16, 16)
    before, after = source.discriminator()(images, translated), networks.discriminator(images, asked)
    torch.testing.assert_close(after.logit, before.logit)
    torch.testing.assert_close(after.attributes[:, [0, 2]], before.attributes[:, [2, 0]])
    assert (after.attributes[:, [1, 3]] == 0).all()
    start = {"name": "tiny", "digest": source.digest, "images": 0, "new_attributes": ["Cat", "Old"]}
    assert networks.start == start


def test_a_run_that_knows_all_attributes_starts_from_the_very_same_networks(source: Bundle) -> None:
    networks = started(source, source.vocabulary.names)
    for module, same in ((networks.generator, source.generator()), (networks.discriminator, source.discriminator())):
        for name, value in same.state_dict().items():
            assert torch.equal(module.state_dict()[name], value), name


def test_a_condition_that_does_not_enter_beside_the_latent_takes_no_columns_of_it(
    source: Bundle, tmp_path: Path
) -> None:
    """As many attributes as before, others: nothing but the names says that they are others."""
    shape = replace(source.shape, conditioning="modulate")
    torch.manual_seed(1)
    weights = {name: source.file(name).read_bytes() for name in source.sums if name.endswith(".safetensors")}
    weights["generator.safetensors"] = save(Generator(shape).state_dict())
    bundle = write_bundle(tmp_path / "modulated", {**source.config, "generator": shape.to_dict()}, weights, "")
    networks = started(bundle, ("Red", "Cat", "Old"), conditioning="modulate")
    assert torch.equal(networks.generator.input.weight, bundle.generator().input.weight)
    z, asked = torch.randn(6, 8), torch.randn(6, 3)
    translated = torch.stack([torch.zeros(6), torch.full((6,), MEAN_OF_DOG), asked[:, 0]], 1)
    torch.testing.assert_close(networks.average.module(z, asked), bundle.generator()(z, translated))


def test_new_attributes_learn(source: Bundle, tmp_path: Path) -> None:
    store = small_store(tmp_path)  # Red, Round, Cat
    config = make_config(GanConfig, SETTINGS | {"start": str(source.path)})
    train_gan(store, tmp_path / "run", config)
    again = train_gan(store, tmp_path / "run", config)  # goes on with its own state, not with the bundle's
    from safetensors.torch import load_file

    column = load_file(again)["input.weight"][:, -1]
    assert column.abs().max() > 0


def test_averages_do_not_remember_a_bundle_that_did_not_know_what_is_learned(source: Bundle) -> None:
    """Their half-life is at most a tenth of the images that count as seen; of a bundle these are millions."""
    for names, counted in ((("Red", "Dog", "Round"), 1_000_000), (("Red", "Dog"), 1_000_000), (("Red", "Cat"), 0)):
        networks = started(source, names)
        networks.start["images"] = 1_000_000
        assert networks.averaged_before == counted and networks.images_before == 1_000_000


def test_networks_of_another_shape_are_refused_by_name_and_nothing_is_written(source: Bundle, tmp_path: Path) -> None:
    store = small_store(tmp_path)
    for settings, words in (
        ({"width": 4}, r"width = 8, this run 4; say --set 'width=8'"),
        ({"conditioning": "concat"}, r"conditioning = \"both\", this run 'concat'; say --set 'conditioning=\"both\"'"),
    ):
        config = make_config(GanConfig, SETTINGS | settings | {"start": str(source.path)})
        with pytest.raises(ConfigError, match=words):
            train_gan(store, tmp_path / "refused", config)
    larger = replace(store, images=np.zeros((len(store.images), 3, 64, 64), np.uint8))
    with pytest.raises(
        ConfigError, match=r"makes images of 16 pixels and these have 64: .*; pack .*--size 16"
    ) as refused:
        train_gan(larger, tmp_path / "refused", make_config(GanConfig, SETTINGS | {"start": str(source.path)}))
    assert refused.value.field == "data"
    assert not (tmp_path / "refused").exists()


def test_training_goes_on_from_a_bundle_alone_with_the_guide_that_it_keeps(tmp_path: Path, source: Bundle) -> None:
    store = small_store(tmp_path, ("Round", "Dog", "Red"))
    train_classifier(store, tmp_path / "guide", make_config(ClassifierConfig, SEEN))
    guide = str(tmp_path / "guide")
    train_gan(store, tmp_path / "gan", make_config(GanConfig, SETTINGS | {"guide": guide, "features": guide}))
    config, weights = assemble(Parts(tmp_path / "gan", keep=source, guide=tmp_path / "guide"))
    built = write_bundle(tmp_path / "built", config, weights, "")
    again = SETTINGS | dict.fromkeys(("start", "guide", "features"), str(built.path))
    train_gan(store, tmp_path / "more", make_config(GanConfig, again))
    kept, weights = assemble(Parts(tmp_path / "more", keep=built))
    assert kept["training"]["guides"] == config["training"]["guides"]  # the same classifier, by its digest
    assert weights["guide.safetensors"] == (tmp_path / "guide" / "model.safetensors").read_bytes()

    train_classifier(store, tmp_path / "other", make_config(ClassifierConfig, SEEN | {"seed": 1}))
    with pytest.raises(InputError, match="has not guided"):
        assemble(Parts(tmp_path / "gan", keep=source, guide=tmp_path / "other"))
    with pytest.raises(ConfigError, match="keeps no guide"):
        train_gan(store, tmp_path / "none", make_config(GanConfig, SETTINGS | {"guide": str(source.path)}))
    two = small_store(tmp_path / "two", ("Round", "Dog"))
    with pytest.raises(ConfigError, match="knows 3 attributes, the images 2"):
        train_gan(two, tmp_path / "none", make_config(GanConfig, SETTINGS | {"guide": guide}))


def test_heads_under_a_spectral_norm_start_with_no_attribute_in_common(tmp_path: Path, source: Bundle) -> None:
    """A projection of zeros alone has no norm to divide by: its first loss would not be a number."""
    store = small_store(tmp_path, ("Round", "Dog", "Red"))
    train_classifier(store, tmp_path / "guide", make_config(ClassifierConfig, SEEN))
    features = {"features": str(tmp_path / "guide"), "guide": str(tmp_path / "guide"), "spectral_norm": True}
    train_gan(store, tmp_path / "gan", make_config(GanConfig, SETTINGS | features))
    config, weights = assemble(Parts(tmp_path / "gan", keep=source, guide=tmp_path / "guide"))
    built = write_bundle(tmp_path / "built", config, weights, "")
    others = small_store(tmp_path / "others", ("Masked", "Plain", "Old"))
    again = SETTINGS | {"start": str(built.path), "features": str(built.path), "spectral_norm": True, "images": 8}
    train_gan(others, tmp_path / "more", make_config(GanConfig, again))  # TrainingError if it is not finite
