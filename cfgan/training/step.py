"""One training step: what is drawn, the discriminator's update, the generator's update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cfgan.networks.norm import mean_over_ranks, world_size
from cfgan.training import losses
from cfgan.training import state as saved
from cfgan.training.augment import augment, augment_for_classifier
from cfgan.training.config import GanConfig
from cfgan.training.data import TensorData
from cfgan.training.networks import TrainingNetworks


@dataclass(frozen=True)
class Inputs:
    """What one step works on.

    Args:
        real: float (N, 3, H, W) in -1..1.
        labels: of the reals, float (N, A); NaN unknown.
        condition: of the fakes and in the discriminator: the labels, unknown ones 0. Losses that read attributes are
            taken over ``labels``, so that nothing is pulled towards 0 where nothing is known.
        z: latents (N, Z).
        strength: of the augmentation, 0..1; a scalar tensor in a step that is recorded.
    """

    real: Tensor
    labels: Tensor
    condition: Tensor
    z: Tensor
    strength: float | Tensor = 1.0


def draw_inputs(
    train: TensorData, weights: Tensor, config: GanConfig, rng: torch.Generator, strength: float | None = None
) -> Inputs:
    """Reals (rare values more often; half of them mirrored, unless configured not) and a latent for each, with the same
    condition. ``strength``: of the augmentation; none: as configured."""
    device = weights.device
    rows = torch.multinomial(weights, config.batch, replacement=True, generator=rng)
    mirrored = (torch.rand(config.batch, generator=rng, device=device) < 0.5) & config.mirror
    real, labels = train.batch(rows, mirrored)
    z = torch.randn(config.batch, config.z_dim, generator=rng, device=device)
    strength = config.augment_strength if strength is None else strength
    return Inputs(real, labels, torch.nan_to_num(labels), z, strength)


def penalty_is_due(config: GanConfig, images: int) -> bool:
    """Whether the step after so many images, of all processes together, takes the gradient penalties."""
    return (images // (config.batch * world_size())) % config.penalty_steps == 0


def step(
    networks: TrainingNetworks,
    inputs: Inputs,
    config: GanConfig,
    images: int,
    rng: torch.Generator,
    *,
    check: bool = True,
) -> dict[str, Tensor]:
    """One discriminator and one generator update. Returns detached figures (scalars), gradient norms among them.

    Args:
        networks: the networks.
        inputs: of :func:`draw_inputs`.
        config: the run's.
        images: images seen so far, by all processes together.
        rng: of this step; augmentation draws from it.
        check: look at losses and norms before the weights change. That waits for the device: who records steps looks
            at the figures later.

    Raises:
        TrainingError: a loss or gradient norm is not finite; raised before the weights change.
    """
    with _autocast(inputs.z, config):
        fake = networks.generator(inputs.z, inputs.condition).float()
    loss, figures = discriminator_loss(networks, inputs, fake.detach(), config, images, rng)
    looked = None
    if networks.heads is not None:
        looked = look(networks, inputs, fake, config, rng)
        extra, more = heads_loss(networks, inputs, looked)
        loss, figures = loss + config.feature_weight * extra, figures | more
    figures["d_gradient"] = _update(networks.optimizer_d, loss, "discriminator", images, check)
    loss, more = generator_loss(networks, inputs, fake, config, rng, looked)
    more["g_gradient"] = _update(networks.optimizer_g, loss, "generator", images, check)
    return {name: value.detach() for name, value in (figures | more).items()}


def _autocast(images: Tensor, config: GanConfig) -> torch.autocast:
    device = images.device.type
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda" and config.bfloat16)


def discriminator_loss(
    networks: TrainingNetworks, inputs: Inputs, fake: Tensor, config: GanConfig, images: int, rng: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """What the discriminator minimises, and its parts."""
    discriminator = networks.discriminator.requires_grad_(True)
    real, condition = inputs.real, inputs.condition
    both = augment(torch.cat([real, fake]), config.augment, inputs.strength, rng)
    twice = torch.cat([condition, condition])
    figures: dict[str, Tensor] = {}
    loss = both.new_zeros(())
    if config.image_weight:
        with _autocast(both, config):
            judged = discriminator(both, twice)
        logit_real, logit_fake = judged.logit.float().chunk(2)
        adversarial = _discriminator(config, logit_real, logit_fake)
        # On fakes the head would teach itself what the generator does wrong; an ablation shows what that costs.
        seen = both if config.attribute_images == "both" else both[: len(real)]
        known = torch.cat([inputs.labels, inputs.labels])[: len(seen)]
        attributes = losses.attribute_loss(judged.attributes.float()[: len(seen)], known)
        loss = config.image_weight * adversarial + config.attribute_weight * attributes
        figures = {"d_loss": adversarial, "d_attributes": attributes}
        figures |= {"d_real": logit_real.mean(), "d_fake": logit_fake.mean()}
        if penalty_is_due(config, images):
            for name, gamma, part in (
                ("r1", config.r1_gamma, both[: len(real)]),
                ("r2", config.r2_gamma, both[len(real) :]),
            ):
                if gamma:
                    figures[name] = _penalty(networks, config, part, condition, rng)
                    loss = loss + config.image_weight * gamma / 2 * config.penalty_steps * figures[name]
    return loss, figures


class Looked(NamedTuple):
    """Feature maps of a step's reals, and of its fakes with their graph: one pass serves both updates."""

    real: list[Tensor]
    fake: list[Tensor]


def look(networks: TrainingNetworks, inputs: Inputs, fake: Tensor, config: GanConfig, rng: torch.Generator) -> Looked:
    """Reals and fakes, augmented, through the frozen features."""
    if networks.features is None:
        raise ValueError("heads need features")
    with torch.no_grad():
        real = networks.features.maps(augment(inputs.real, config.augment, inputs.strength, rng))
    return Looked(real, networks.features.maps(augment(fake, config.augment, inputs.strength, rng)))


def heads_loss(networks: TrainingNetworks, inputs: Inputs, looked: Looked) -> tuple[Tensor, dict[str, Tensor]]:
    """What the feature heads minimise, the mean over maps, and how far each map's head is."""
    if networks.heads is None:
        raise ValueError("there are no heads")
    networks.heads.requires_grad_(True)
    maps = [torch.cat([real, fake.detach()]) for real, fake in zip(looked.real, looked.fake, strict=True)]
    n, twice = len(inputs.condition), torch.cat([inputs.condition, inputs.condition])
    each = [losses.hinge_discriminator(logits[:n], logits[n:]) for logits in networks.heads(maps, twice)]
    loss = torch.stack(each).mean()
    return loss, {"d_features": loss, **{f"d_features_{i}": part for i, part in enumerate(each)}}


def generator_loss(
    networks: TrainingNetworks,
    inputs: Inputs,
    fake: Tensor,
    config: GanConfig,
    rng: torch.Generator,
    looked: Looked | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """What the generator minimises, and its parts."""
    discriminator = networks.discriminator.requires_grad_(False)  # no weight gradients are computed for it
    real, condition = inputs.real, inputs.condition
    both = augment(torch.cat([real, fake]), config.augment, inputs.strength, rng)
    augmented = both[len(real) :]
    loss = fake.new_zeros(())
    figures: dict[str, Tensor] = {}
    if config.image_weight:
        with _autocast(fake, config):
            judged = discriminator(augmented, condition)
            if config.loss == "relativistic":
                with torch.no_grad():
                    logit_real = discriminator(both[: len(real)], condition).logit.float()
        if config.loss == "hinge":
            adversarial = losses.hinge_generator(judged.logit.float())
        else:
            adversarial = losses.relativistic_generator(logit_real, judged.logit.float())
        pull = losses.attribute_loss(judged.attributes.float(), inputs.labels)
        loss = config.image_weight * adversarial + config.attribute_pull * pull
        figures = {"g_loss": adversarial, "g_attributes": pull}
    if networks.heads is not None and looked is not None:
        networks.heads.requires_grad_(False)
        logits = networks.heads(looked.fake, condition)
        figures["g_features"] = torch.stack([losses.hinge_generator(part) for part in logits]).mean()
        loss = loss + config.feature_weight * figures["g_features"]
    if networks.guide is not None:
        # Seen as it was trained to see, and never twice alike, so that no fixed pattern can please it.
        seen = augment_for_classifier(fake, rng, shift_pixels=4, brightness=0.2, cutout_share=0.2, mirror=config.mirror)
        figures["g_guide"] = losses.attribute_loss(networks.guide(seen), inputs.labels)
        loss = loss + config.guide_pull * figures["g_guide"]
    return loss, figures


def _discriminator(config: GanConfig, real: Tensor, fake: Tensor) -> Tensor:
    if config.loss == "hinge":
        return losses.hinge_discriminator(real, fake)
    return losses.relativistic_discriminator(real, fake)


def _penalty(
    networks: TrainingNetworks, config: GanConfig, images: Tensor, condition: Tensor, rng: torch.Generator
) -> Tensor:
    """The gradient penalty on a batch, in full precision, by the configured method."""

    def critic(x: Tensor) -> Tensor:
        logit: Tensor = networks.discriminator(x, condition.repeat(len(x) // len(condition), 1)).logit
        return logit

    if config.penalty == "exact":
        return losses.gradient_penalty(critic, images)
    return losses.finite_gradient_penalty(critic, images, rng)


def _update(optimizer: torch.optim.Optimizer, loss: Tensor, name: str, images: int, check: bool) -> Tensor:
    """Take a step down a loss. Returns the gradient's norm."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if world_size() > 1:
        average_gradients(optimizer)
    norm = saved.gradient_norm(optimizer)
    if check:
        saved.require_finite({f"{name} loss": loss.detach(), f"{name} gradient": norm}, images)
    optimizer.step()
    return norm


def average_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Replace every gradient by its mean over all processes, in one flat all-reduce."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    mean_over_ranks(flat)
    parts = torch.split(flat, [g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
