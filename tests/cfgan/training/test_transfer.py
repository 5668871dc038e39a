from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import SEEN, SMALL, make_bundle, small_store

from cfgan.assemble.parts import Parts, assemble
from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import ConfigError, InputError
from cfgan.model.bundle import Bundle, write_bundle
from cfgan.training.classifier import train_classifier
from cfgan.training.config import ClassifierConfig, GanConfig, make_config
from cfgan.training.gan import train_gan
from cfgan.training.networks import gan_shape, make_networks
from cfgan.training.transfer import start_from

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SETTINGS = SMALL | {"z_dim": 8}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    vocabulary = Vocabulary(("Round", "Dog", "Red"))
    counts = np.full((3, 3), 5, dtype=np.int64)
    prior = Prior(vocabulary, np.zeros(3), np.zeros((3, 3)), counts, 2 * counts, 10)
    return make_bundle(tmp_path_factory.mktemp("source") / "bundle", vocabulary, prior)


def test_known_attributes_keep_their_effect_by_name_and_new_ones_start_without(source: Bundle) -> None:
    vocabulary = Vocabulary(("Red", "Cat", "Round", "Old"))
    config = make_config(GanConfig, SETTINGS)
    networks = make_networks(config, gan_shape(config, 4, 16), CPU)
    start_from(networks, vocabulary, source)
    old, new = source.generator(), networks.average.module
    z = torch.randn(6, 8)
    asked = torch.randn(6, 4)
    translated = torch.stack([asked[:, 2], torch.zeros(6), asked[:, 0]], 1)  # Round, Dog, Red
    torch.testing.assert_close(new(z, asked), old(z, translated))  # Cat and Old change nothing
    images = torch.randn(6, 3, 16, 16)
    before, after = source.discriminator()(images, translated), networks.discriminator(images, asked)
    torch.testing.assert_close(after.logit, before.logit)
    torch.testing.assert_close(after.attributes[:, [0, 2]], before.attributes[:, [2, 0]])
    assert (after.attributes[:, [1, 3]] == 0).all()
    assert networks.start == {"name": "tiny", "digest": source.digest, "images": 0}


def test_new_attributes_learn(source: Bundle, tmp_path: Path) -> None:
    store = small_store(tmp_path)  # Red, Round, Cat
    config = make_config(GanConfig, SETTINGS | {"start": str(source.path)})
    train_gan(store, tmp_path / "run", config)
    again = train_gan(store, tmp_path / "run", config)  # goes on with its own state, not with the bundle's
    from safetensors.torch import load_file

    column = load_file(again)["input.weight"][:, -1]
    assert column.abs().max() > 0


def test_networks_of_another_shape_are_refused_by_name(source: Bundle) -> None:
    config = make_config(GanConfig, SETTINGS | {"width": 12})
    networks = make_networks(config, gan_shape(config, 3, 16), CPU)
    with pytest.raises(ConfigError, match=r"width = 8, this run 12; say --set width=8"):
        start_from(networks, Vocabulary(("a", "b", "c")), source)


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
