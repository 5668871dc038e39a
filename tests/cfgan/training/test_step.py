from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import SEEN, SMALL, small_store

from cfgan.data.store import PackedDataset
from cfgan.errors import ConfigError, TrainingError
from cfgan.training import step as step_module
from cfgan.training.classifier import train_classifier
from cfgan.training.config import ClassifierConfig, GanConfig, make_config
from cfgan.training.data import load_split
from cfgan.training.gan import rate_factor, set_rates
from cfgan.training.networks import TrainingNetworks, gan_shape, make_networks
from cfgan.training.probe import Probe, adapted
from cfgan.training.state import step_generator
from cfgan.training.step import draw_inputs, step

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    return small_store(tmp_path_factory.mktemp("step"))


@pytest.fixture(scope="module")
def classifier(store: PackedDataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    run = tmp_path_factory.mktemp("guide") / "run"
    train_classifier(store, run, make_config(ClassifierConfig, SEEN))
    return str(run)


def one_step(
    store: PackedDataset, config: GanConfig, networks: TrainingNetworks, images: int = 0
) -> dict[str, torch.Tensor]:
    train = load_split(store, "train", CPU)
    rng = step_generator(config.seed, 0, images)
    return step(networks, draw_inputs(train, torch.ones(len(train)), config, rng), config, images, rng)


def players_for(config: GanConfig) -> TrainingNetworks:
    return make_networks(config, gan_shape(config, 3, 16), CPU)


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(
    store: PackedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(GanConfig, SMALL)
    networks = players_for(config)
    before = [p.clone() for p in networks.discriminator.parameters()]
    monkeypatch.setattr(
        step_module.losses, "relativistic_discriminator", lambda real, fake: (real * float("nan")).mean()
    )
    with pytest.raises(TrainingError, match="discriminator loss is not finite at 0 images"):
        one_step(store, config, networks)
    for old, new in zip(before, networks.discriminator.parameters(), strict=True):
        torch.testing.assert_close(old, new)


@pytest.mark.parametrize("images", ["real", "both"])
def test_what_the_attribute_head_learns_from(store: PackedDataset, images: str) -> None:
    config = make_config(GanConfig, SMALL | {"r1_gamma": 0.0, "r2_gamma": 0.0, "attribute_images": images})
    gradients = []
    for scale in (1.0, -1.0):  # other fakes change the head's gradient only if it learns from them
        networks = players_for(config)
        networks.generator.to_rgb.bias.data.fill_(scale)
        one_step(store, config, networks)
        gradients.append(networks.optimizer_d.state[networks.discriminator.attributes.weight]["exp_avg"].clone())
    assert torch.allclose(gradients[0], gradients[1]) == (images == "real")


def test_a_guide_pulls_the_generator(store: PackedDataset, tmp_path: Path, classifier: str) -> None:
    config = make_config(GanConfig, SMALL | {"guide": classifier})
    networks = players_for(config)
    first = one_step(store, config, networks)
    assert "g_guide" in first and torch.isfinite(first["g_guide"])
    assert networks.guide is not None and not any(p.requires_grad for p in networks.guide.parameters())
    assert len(networks.guides) == 1 and len(networks.guides[0]) == 64
    with pytest.raises(ConfigError, match="no trained classifier"):
        players_for(make_config(GanConfig, {"guide": str(tmp_path)}))


@pytest.mark.parametrize("family", ["dcgan", "residual"])
def test_feature_heads_judge_beside_or_instead_of_the_discriminator(
    store: PackedDataset, classifier: str, family: str
) -> None:
    config = make_config(GanConfig, SMALL | {"features": classifier, "family": family})
    networks = players_for(config)
    assert networks.heads is not None and networks.features is not None
    frozen = [p.clone() for p in networks.features.parameters()]
    before = networks.heads.unconditional[0].parametrizations.weight.original.clone()
    figures = one_step(store, config, networks)
    assert {"d_loss", "d_features", "g_loss", "g_features"} <= set(figures)
    assert not torch.equal(before, networks.heads.unconditional[0].parametrizations.weight.original)
    for old, new in zip(frozen, networks.features.parameters(), strict=True):
        assert torch.equal(old, new)
    alone = make_config(GanConfig, SMALL | {"features": classifier, "family": family, "image_weight": 0})
    figures = one_step(store, alone, players_for(alone))
    assert "d_features" in figures and "d_loss" not in figures
    with pytest.raises(ConfigError, match="nothing else that judges"):
        players_for(make_config(GanConfig, SMALL | {"image_weight": 0}))


def test_feature_heads_can_be_added_to_a_run_that_goes_on(store: PackedDataset, classifier: str) -> None:
    plain = make_config(GanConfig, SMALL)
    networks = players_for(plain)
    one_step(store, plain, networks)
    config = make_config(GanConfig, SMALL | {"features": classifier})
    added = players_for(config)
    added.load(networks.state(), config)
    torch.testing.assert_close(added.generator.state_dict(), networks.generator.state_dict())
    one_step(store, config, added, 4)
    again = players_for(config)
    again.load(added.state(), config)
    torch.testing.assert_close(again.heads.state_dict(), added.heads.state_dict())


def test_the_rates_hold_then_fall(store: PackedDataset) -> None:
    config = make_config(GanConfig, {"images": 100, "learning_rate_hold": 0.5, "learning_rate_end": 0.1})
    factors = [rate_factor(config, images) for images in (0, 50, 75, 100, 120)]
    assert factors == pytest.approx([1, 1, 0.55, 0.1, 0.1])
    assert rate_factor(make_config(GanConfig, {"images": 100}), 100) == 1
    networks = players_for(make_config(GanConfig, SMALL))
    set_rates(networks, config, 75)
    assert networks.optimizer_g.param_groups[0]["lr"] == pytest.approx(0.55 * config.learning_rate_generator)
    assert networks.optimizer_d.param_groups[0]["lr"] == pytest.approx(0.55 * config.learning_rate_discriminator)


def test_the_probe_sees_a_discriminator_that_memorises(store: PackedDataset) -> None:
    config = make_config(GanConfig, SMALL)
    networks = players_for(config)
    probe = Probe(store, config, CPU)
    known = {image.numpy().tobytes() for image in probe.splits["train"][0]}

    class Memory(torch.nn.Module):
        def forward(self, images: torch.Tensor, condition: torch.Tensor) -> object:
            from cfgan.networks.shape import Judgement

            seen = [5.0 if image.numpy().tobytes() in known else -5.0 for image in images]
            return Judgement(torch.tensor(seen), condition)

    networks.discriminator = Memory()
    assert probe.measure(networks)["overfit"] == 1.0  # unseen faces look as false to it as generated ones


def test_augmentation_adapts_towards_its_target() -> None:
    assert adapted(0.2, 0.9, 0.5, 4_000, 200_000) == pytest.approx(0.22)
    assert adapted(0.2, 0.1, 0.5, 4_000, 200_000) == pytest.approx(0.18)
    assert adapted(0.0, 0.1, 0.5, 4_000, 200_000) == 0 and adapted(1.0, 0.9, 0.5, 4_000, 200_000) == 1
