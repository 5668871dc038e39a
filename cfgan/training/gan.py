"""Training the conditional GAN: one visible loop.

Each step draws rows (rare attribute values more often), makes one fake for each real with the same condition, steps
the discriminator, then the generator, then the weight average. Everything random in a step comes from
(seed, rank, images seen), so a resumed run equals an unbroken one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path

from cfgan.bundle import open_bundle
from cfgan.data.store import Store
from cfgan.errors import ConfigError, StoppedError
from cfgan.interrupt import StopRequest
from cfgan.training import state as saved
from cfgan.training.config import GanConfig, to_dict
from cfgan.training.data import load_split
from cfgan.training.distributed import Team, join_team
from cfgan.training.gan_output import Watch, export_networks
from cfgan.training.players import Players, gan_shape, make_players
from cfgan.training.probe import Probe, adapted
from cfgan.training.sampling_rows import repeat_factors
from cfgan.training.step import draw_inputs, step
from cfgan.training.transfer import start_from

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (images seen, images in all, latest figures)."""

_MAY_CHANGE = {"images", "threads", "device", "save_images", "sample_images", "log_images", "tensorboard"}


def train_gan(
    store: Store, run: Path, config: GanConfig, progress: Progress | None = None, *, change: bool = False
) -> Path:
    """Train on a store's train split until ``config.images`` images are seen, resuming what ``run`` holds.

    Started by ``torchrun``, all processes train together, each with ``config.batch`` images a step. With ``change`` a
    continued run may have other settings than before; they are noted in ``changes.jsonl``.

    Writes ``stats.jsonl``, ``samples-*.png``, states, and at every save ``generator.safetensors`` (averaged weights),
    ``discriminator.safetensors`` and ``model.json``, from which a bundle is built.

    Returns:
        The path of ``generator.safetensors``.

    Raises:
        StoppedError: a stop was asked for; the state is saved.
        TrainingError: a loss or gradient is not finite; the last saved state is good.
        FolderError: ``run`` holds something else.
        ConfigError: the settings do not go together, or do not fit the images or the bundle that is started from.
    """
    with join_team(config.device) as team, saved.use_threads(config.threads):
        shape = gan_shape(config, len(store.vocabulary), store.size)
        players = make_players(config, shape, team.device)
        train = load_split(store, "train", team.device)
        weights = repeat_factors(train.labels, config.rare_threshold)
        probe = Probe(store, config, team.device)
        if config.augment_target is not None and "validation" not in probe.splits:
            raise ConfigError("needs validation images.", field="augment_target", value=config.augment_target)
        with contextlib.ExitStack() as held:
            if team.writes:
                held.enter_context(saved.open_run(run))
            team.wait()
            stop = held.enter_context(StopRequest())
            images = _begin(store, run, config, players, team, change)
            if images == 0:
                players.calibrate_heads(train)
            watch = Watch(run, config, probe, progress) if team.writes else None
            seen_a_step = config.batch * team.size
            if watch:
                watch.start(images)

            def save() -> None:
                if team.writes:
                    saved.save_state(run, images, players.state())
                    export_networks(run, players, shape, store, images)

            while images < config.images:
                set_rates(players, config, images)
                rng = saved.step_generator(config.seed, team.rank, images, team.device)
                inputs = draw_inputs(train, weights, config, rng)
                figures = step(players, inputs, config, images, rng)
                before, images = images, images + seen_a_step
                for average in players.averages:
                    average.update(players.generator, seen_a_step, images + players.images_before)
                if watch:
                    watch.log(before, images, figures, players)
                if config.augment_target is not None and passes(before, images, config.adapt_images):
                    overfit = team.share(probe.measure(players)["overfit"])
                    players.strength = adapted(
                        players.strength, overfit, config.augment_target, config.adapt_images, config.adapt_speed
                    )
                stopping = team.any(stop.asked) and images < config.images
                if stopping or passes(before, images, config.save_images):
                    save()
                if stopping:
                    raise StoppedError(f"stopped at {images:,} images; the same command goes on from there.")
            save()
            team.wait()
        return run / "generator.safetensors"


def _begin(store: Store, run: Path, config: GanConfig, players: Players, team: Team, change: bool) -> int:
    """Bring the players to where the run stands. Returns the images seen."""
    images = 0
    if found := saved.load_latest_state(run, team.device):
        images, state = found
        saved.load_or_explain(lambda: players.load(state, config), run)
    elif config.start:
        start_from(players, store.vocabulary, open_bundle(config.start))
    team.wait()
    if team.writes:
        saved.describe_run(
            run,
            "gan",
            to_dict(config),
            data_digest=store.digest,
            may_change=_MAY_CHANGE,
            images=images,
            change=change,
            defaults=to_dict(GanConfig()),
        )
        saved.truncate_stats(run / "stats.jsonl", images)
    return images


def passes(before: int, images: int, every: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, images]."""
    return images // every > before // every


def rate_factor(config: GanConfig, images: int) -> float:
    """What share of the configured rates applies: rising over ``warmup_images``, 1 until ``rate_hold``, then half a
    cosine down to ``rate_end``."""
    if images < config.warmup_images:
        return (images + config.batch) / (config.warmup_images + config.batch)
    begin = config.rate_hold * config.images
    if images <= begin or config.rate_hold >= 1:
        return 1.0
    done = min((images - begin) / (config.images - begin), 1.0)
    return config.rate_end + (1 - config.rate_end) * 0.5 * (1 + math.cos(math.pi * done))


def set_rates(players: Players, config: GanConfig, images: int) -> None:
    """Give both optimizers the rates that hold at this point of the run."""
    factor = rate_factor(config, images)
    for optimizer, rate in (
        (players.optimizer_g, config.rate_generator),
        (players.optimizer_d, config.rate_discriminator),
    ):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
