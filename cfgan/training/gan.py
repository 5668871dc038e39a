"""Training the conditional GAN: one visible loop.

Each step draws rows (rare attribute values more often), makes one fake for each real with the same condition, steps
the discriminator, then the generator, then the weight average. Everything random in a step comes from
(seed, images seen), so a resumed run equals an unbroken one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from cfgan.data.store import Store
from cfgan.devices import pick_device
from cfgan.errors import StoppedError
from cfgan.interrupt import StopRequest
from cfgan.networks.dcgan import Discriminator
from cfgan.training import losses
from cfgan.training import state as saved
from cfgan.training.augment import augment, augment_for_classifier
from cfgan.training.config import GanConfig, to_dict
from cfgan.training.data import TensorData, load_split
from cfgan.training.gan_output import Watch, export_networks
from cfgan.training.players import Players, gan_shape, make_players
from cfgan.training.sampling_rows import repeat_factors

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (images seen, images in all, latest figures)."""

_MAY_CHANGE = {"images", "threads", "device", "save_images", "sample_images", "log_images", "tensorboard"}


def train_gan(
    store: Store, run: Path, config: GanConfig, progress: Progress | None = None, *, change: bool = False
) -> Path:
    """Train on a store's train split until ``config.images`` images are seen, resuming what ``run`` holds.

    With ``change`` a continued run may have other settings than before; they are noted in ``changes.jsonl``.

    Writes ``stats.jsonl``, ``samples-*.png``, states, and at every save ``generator.safetensors`` (averaged weights),
    ``discriminator.safetensors`` and ``model.json``, from which a bundle is built.

    Returns:
        The path of ``generator.safetensors``.

    Raises:
        StoppedError: a stop was asked for; the state is saved.
        TrainingError: a loss or gradient is not finite; the last saved state is good.
        FolderError: ``run`` holds something else.
    """
    device = pick_device(config.device)
    shape = gan_shape(config, len(store.vocabulary), store.size)
    players = make_players(config, shape, device)
    train = load_split(store, "train", device)
    weights = repeat_factors(train.labels, config.rare_threshold)
    with saved.open_run(run), StopRequest() as stop, saved.use_threads(config.threads):
        images = 0
        if found := saved.load_latest_state(run, device):
            images, state = found
            saved.load_or_explain(lambda: players.load(state, config), run)
        saved.describe_run(
            run, "gan", to_dict(config), data_digest=store.digest, may_change=_MAY_CHANGE, images=images, change=change
        )
        saved.truncate_stats(run / "stats.jsonl", images)
        watch = Watch(store, run, config, device, progress)
        watch.start(images)
        while images < config.images:
            figures = step(players, train, weights, config, images)
            before, images = images, images + config.batch
            players.average.update(players.generator, config.batch, images)
            watch.log(before, images, figures, players)
            stopping = stop.asked and images < config.images
            if stopping or images // config.save_images > before // config.save_images:
                saved.save_state(run, images, players.state())
                export_networks(run, players, shape, store, images)
            if stopping:
                raise StoppedError(f"stopped at {images:,} images; the same command goes on from there.")
        saved.save_state(run, images, players.state())
        return export_networks(run, players, shape, store, images)


def step(players: Players, train: TensorData, weights: Tensor, config: GanConfig, images: int) -> dict[str, Tensor]:
    """One discriminator and one generator update. Returns detached figures (scalars).

    Raises:
        TrainingError: a loss or gradient norm is not finite; raised before the weights change.
    """
    device = weights.device
    rng = saved.step_generator(config.seed, 0, images, device)
    rows = torch.multinomial(weights, config.batch, replacement=True, generator=rng)
    mirrored = torch.rand(config.batch, generator=rng, device=device) < 0.5
    real, labels = train.batch(rows, mirrored)
    condition = torch.nan_to_num(labels)
    z = torch.randn(config.batch, config.z_dim, generator=rng, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        fake = players.generator(z, condition).float()
    figures = _step_discriminator(players, config, real, labels, condition, fake.detach(), rng, images)
    figures |= _step_generator(players, config, real, condition, fake, rng, images)
    return figures


def _step_discriminator(
    players: Players,
    config: GanConfig,
    real: Tensor,
    labels: Tensor,
    condition: Tensor,
    fake: Tensor,
    rng: torch.Generator,
    images: int,
) -> dict[str, Tensor]:
    discriminator = players.discriminator.requires_grad_(True)
    both = augment(torch.cat([real, fake]), config.augment, config.augment_strength, rng)
    with torch.autocast(both.device.type, torch.bfloat16, enabled=both.is_cuda):
        judged = discriminator(both, torch.cat([condition, condition]))
    realness_real, realness_fake = judged.realness.float().chunk(2)
    if config.loss == "hinge":
        adversarial = losses.hinge_discriminator(realness_real, realness_fake)
    else:
        adversarial = losses.relativistic_discriminator(realness_real, realness_fake)
    # The attribute head learns from real images only: on fakes it would teach itself what the generator does wrong.
    attributes = losses.attribute_loss(judged.attributes.float()[: len(real)], labels)
    loss = adversarial + config.attribute_weight * attributes
    figures = {"d_loss": adversarial, "d_attributes": attributes}
    figures |= {"d_real": realness_real.mean(), "d_fake": realness_fake.mean()}

    if images // config.batch % config.penalty_steps == 0:
        for name, gamma, part in (
            ("r1", config.r1_gamma, both[: len(real)]),
            ("r2", config.r2_gamma, both[len(real) :]),
        ):
            if gamma:
                figures[name] = _penalty(discriminator, config, part, condition, rng)
                loss = loss + gamma / 2 * config.penalty_steps * figures[name]
    _update(players.optimizer_d, loss, "discriminator", images)
    return {name: value.detach() for name, value in figures.items()}


def _penalty(
    discriminator: Discriminator, config: GanConfig, images: Tensor, condition: Tensor, rng: torch.Generator
) -> Tensor:
    """The gradient penalty on a batch, in full precision, by the configured method."""

    def critic(x: Tensor) -> Tensor:
        realness: Tensor = discriminator(x, condition.repeat(len(x) // len(condition), 1)).realness
        return realness

    if config.penalty == "exact":
        return losses.gradient_penalty(critic, images)
    return losses.finite_gradient_penalty(critic, images, rng)


def _step_generator(
    players: Players,
    config: GanConfig,
    real: Tensor,
    condition: Tensor,
    fake: Tensor,
    rng: torch.Generator,
    images: int,
) -> dict[str, Tensor]:
    discriminator = players.discriminator.requires_grad_(False)  # no weight gradients are computed for it
    both = augment(torch.cat([real, fake]), config.augment, config.augment_strength, rng)
    with torch.autocast(fake.device.type, torch.bfloat16, enabled=fake.is_cuda):
        judged = discriminator(both[len(real) :], condition)
        if config.loss == "relativistic":
            with torch.no_grad():
                realness_real = discriminator(both[: len(real)], condition).realness.float()
    if config.loss == "hinge":
        adversarial = losses.hinge_generator(judged.realness.float())
    else:
        adversarial = losses.relativistic_generator(realness_real, judged.realness.float())
    pull = losses.attribute_loss(judged.attributes.float(), condition)
    loss = adversarial + config.attribute_pull * pull
    figures = {"g_loss": adversarial, "g_attributes": pull}
    if players.guide is not None:
        # Seen as the guide was trained to see, and never twice alike, so that no fixed pattern can please it.
        seen = augment_for_classifier(fake, rng, shift_pixels=4, brightness=0.2, cutout_share=0.2)
        guided = losses.attribute_loss(players.guide(seen), condition)
        loss = loss + config.guide_pull * guided
        figures["g_guide"] = guided
    _update(players.optimizer_g, loss, "generator", images)
    return {name: value.detach() for name, value in figures.items()}


def _update(optimizer: torch.optim.Optimizer, loss: Tensor, name: str, images: int) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    finite = {f"{name} loss": loss.detach(), f"{name} gradient": saved.gradient_norm(optimizer)}
    saved.require_finite(finite, images)
    optimizer.step()
