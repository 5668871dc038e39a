"""The networks that take part in a GAN run: made, saved and loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cfgan.errors import ConfigError
from cfgan.files import read_json_object, sha256_of
from cfgan.networks.classifier import AttributeClassifier, ClassifierShape, load_frozen
from cfgan.networks.dcgan import Discriminator, GanShape, Generator
from cfgan.training import state as saved
from cfgan.training.config import GanConfig


@dataclass
class Players:
    """The networks that take part in a run, and their optimizers."""

    generator: Generator
    discriminator: Discriminator
    average: saved.WeightAverage
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    guide: nn.Module | None
    guides: list[str]  # sha256 of every guide that has pulled this generator

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.module.state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
            "guides": list(self.guides),
        }

    def load(self, state: dict[str, Any], config: GanConfig) -> None:
        """Inverse of :meth:`state`; rates and betas are those of the configuration, which may have changed."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.average.module.load_state_dict(state["average"])
        self.optimizer_g.load_state_dict(state["optimizer_g"])
        self.optimizer_d.load_state_dict(state["optimizer_d"])
        self.guides = [*state.get("guides", []), *(g for g in self.guides if g not in state.get("guides", []))]
        for optimizer, rate in (
            (self.optimizer_g, config.rate_generator),
            (self.optimizer_d, config.rate_discriminator),
        ):
            for group in optimizer.param_groups:
                group["lr"], group["betas"] = rate, (config.beta1, config.beta2)


def gan_shape(config: GanConfig, attributes: int, size: int) -> GanShape:
    """The networks' shape for a configuration and a data set. Raises ConfigError for sizes that they cannot make."""
    try:
        return GanShape(
            attributes=attributes,
            size=size,
            width=config.width,
            z_dim=config.z_dim,
            embed=config.embed,
            upsample=config.upsample,
            conditioning=config.conditioning,
            spectral_norm=config.spectral_norm,
        )
    except ValueError as error:
        raise ConfigError(f"{error}; pack the images at such a size.", field="data", value=size) from None


def make_players(config: GanConfig, shape: GanShape, device: torch.device) -> Players:
    """Freshly initialised networks, the same for the same seed."""
    guide, guides = None, []
    if config.guide:
        guide = load_guide(config.guide, device)
        guides.append(sha256_of(Path(config.guide) / "model.safetensors"))
    torch.manual_seed(config.seed)
    generator = Generator(shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    discriminator = Discriminator(shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    betas = (config.beta1, config.beta2)
    fused = device.type == "cuda"
    kind: dict[str, Any] = {"betas": betas, "fused": True} if fused else {"betas": betas, "foreach": True}
    return Players(
        generator=generator,
        discriminator=discriminator,
        average=saved.WeightAverage(generator, config.ema_images),
        optimizer_g=torch.optim.Adam(generator.parameters(), lr=config.rate_generator, **kind),
        optimizer_d=torch.optim.Adam(discriminator.parameters(), lr=config.rate_discriminator, **kind),
        guide=guide,
        guides=guides,
    )


def load_guide(run: str, device: torch.device) -> nn.Module:
    """A trained classifier from its run folder, frozen. Raises ConfigError if it is not there."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(run)
    try:
        about = read_json_object(folder / "model.json")
        model = AttributeClassifier(ClassifierShape.from_dict(about["shape"]))
        load_frozen(model, load_file(folder / "model.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ConfigError(f"{run} holds no trained classifier ({error}).", field="guide", value=run) from None
    return model.to(device)
