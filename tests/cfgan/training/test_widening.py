"""A run of a larger width starts from what a bundle's networks say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import SMALL, make_bundle

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import ConfigError
from cfgan.networks.dcgan import Discriminator, Generator
from cfgan.networks.shape import GanShape
from cfgan.training.config import GanConfig, make_config
from cfgan.training.networks import gan_shape, make_networks
from cfgan.training.transfer import require_same_networks, start_from
from cfgan.training.widening import heads_sentence, widened_discriminator, widened_generator, widening_sentence

pytestmark = pytest.mark.slow


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    """Every weight does something, as after training."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network


@pytest.mark.parametrize("upsample", ["resize", "shuffle", "transposed"])
@torch.no_grad()
def test_the_first_pictures_are_the_narrow_ones(upsample: str) -> None:
    torch.manual_seed(0)
    shape = GanShape(3, size=32, width=8, z_dim=8, embed=8, upsample=upsample, refine=(8, 32))
    old = shaken(Generator(shape))
    old.train()
    for _ in range(5):
        old(torch.randn(16, 8), torch.randn(16, 3))
    old.eval()
    new = widened_generator(old, 24)  # type: ignore[arg-type]
    z, asked = torch.randn(8, 8), torch.sign(torch.randn(8, 3))
    assert sum(p.numel() for p in new.parameters()) > 2 * sum(p.numel() for p in old.parameters())
    torch.testing.assert_close(new(z, asked), old(z, asked), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_discriminator_says_what_the_narrow_one_said() -> None:
    torch.manual_seed(0)
    old = shaken(Discriminator(GanShape(3, size=32, width=8, z_dim=8, embed=8)))
    new = widened_discriminator(old, 16)  # type: ignore[arg-type]
    images, asked = torch.randn(8, 3, 32, 32), torch.randn(8, 3)
    torch.testing.assert_close(new(images, asked).logit, old(images, asked).logit)
    torch.testing.assert_close(new(images, asked).attributes, old(images, asked).attributes)


def test_what_is_new_learns() -> None:
    torch.manual_seed(0)
    new = widened_generator(Generator(GanShape(3, size=16, width=8, z_dim=8, embed=8)), 16).train()
    optimizer = torch.optim.SGD(new.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        new(torch.randn(8, 8), torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
    for name, gradient in ((n, p.grad) for n, p in new.named_parameters()):
        assert gradient is not None
        if name.endswith("up.weight"):
            assert float(gradient[-1].abs().max()) > 0, name


def test_a_run_may_be_wider_than_its_bundle_and_never_narrower(tmp_path: Path) -> None:
    names = ("Red", "Round", "Cat")
    counts = np.full((3, 3), 5, dtype=np.int64)
    prior = Prior(Vocabulary(names), np.zeros(3), np.zeros((3, 3)), counts, 2 * counts, 10)
    source = make_bundle(tmp_path / "bundle", prior.vocabulary, prior)
    mine = source.shape
    settings = {k: v for k, v in mine.to_dict().items() if k not in ("attributes", "size")}
    config = make_config(GanConfig, SMALL | settings | {"width": 2 * mine.width})
    networks = make_networks(config, gan_shape(config, len(names), mine.size), torch.device("cpu"))
    start_from(networks, Vocabulary(names), source)
    z, asked = torch.randn(4, mine.z_dim), torch.sign(torch.randn(4, len(names)))
    with torch.no_grad():
        torch.testing.assert_close(
            networks.average.module(z, asked), source.generator()(z, asked), atol=1e-5, rtol=1e-5
        )
    wider = replace(mine, width=2 * mine.width)
    assert f"from {mine.width} to {2 * mine.width} channels" in widening_sentence(source, wider)
    assert widening_sentence(source, mine) == "" and heads_sentence(source, "efficientnet-lite0", 64) == ""
    with pytest.raises(ConfigError, match="width"):
        require_same_networks(replace(mine, width=mine.width // 2), source)


@pytest.mark.parametrize(("key", "known", "asked"), [("width", 8, 16), ("least_channels", 0, 32)])
def test_what_cannot_be_widened_names_the_setting_that_asks_for_it(
    tmp_path: Path, key: str, known: int, asked: int
) -> None:
    names = ("Red", "Round", "Cat")
    counts = np.full((3, 3), 5, dtype=np.int64)
    prior = Prior(Vocabulary(names), np.zeros(3), np.zeros((3, 3)), counts, 2 * counts, 10)
    made = make_bundle(tmp_path / "bundle", prior.vocabulary, prior)
    source = replace(made, config={**made.config, "generator": {**made.config["generator"], "spectral_norm": True}})
    with pytest.raises(ConfigError, match=f"^{key}: .*cannot be widened; say --set {key}={known}"):
        require_same_networks(replace(source.shape, **{key: asked}), source)
