"""Training the conditional GAN: one visible loop.

Each step draws rows (rare attribute values more often), makes one fake for each real with the same condition, steps
the discriminator, then the generator, then the weight average. Everything random in a step comes from
(seed, rank, images seen), so a resumed run equals an unbroken one.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import torch

from cfgan.data.store import PackedDataset
from cfgan.errors import ConfigError, StoppedError
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.model.bundle import open_bundle
from cfgan.training import state as saved
from cfgan.training.captured import make_stepper, require_capturing
from cfgan.training.config import GanConfig, to_dict, with_budget
from cfgan.training.data import load_split
from cfgan.training.distributed import ProcessGroup, init_distributed
from cfgan.training.gan_output import TrainingLogger, export_networks
from cfgan.training.networks import TrainingNetworks, gan_shape, make_networks
from cfgan.training.probe import Probe, adapted
from cfgan.training.sampling_rows import repeat_factors
from cfgan.training.step import draw_inputs
from cfgan.training.transfer import require_other_guide, require_same_networks, start_from

_MAY_CHANGE = {
    "images",
    "epochs",
    "least_images",
    "threads",
    "device",
    "capture",
    "save_images",
    "sample_images",
    "log_images",
    "tensorboard",
}


def train_gan(
    store: PackedDataset, run: Path, config: GanConfig, progress: Progress | None = None, *, change: bool = False
) -> Path:
    """Train on a store's train split until the configuration's images are seen, resuming what ``run`` holds.

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
    config = with_budget(config, len(store.rows("train")))
    with init_distributed(config.device) as group, saved.use_threads(config.threads):
        require_capturing(config, group)
        shape = gan_shape(config, len(store.vocabulary), store.size)
        if config.start and not (run / "config.yaml").exists():  # before anything is written
            require_same_networks(shape, open_bundle(config.start))
        networks = make_networks(config, shape, group.device)
        if config.start and not (run / "config.yaml").exists():
            require_other_guide(networks.guides, open_bundle(config.start))
        train = load_split(store, "train", group.device)
        weights = repeat_factors(train.labels, config.rare_threshold)
        probe = Probe(store, config, group.device)
        if config.augment_target is not None and "validation" not in probe.splits:
            raise ConfigError("needs validation images.", field="augment_target", value=config.augment_target)
        with contextlib.ExitStack() as held:
            if group.writes:
                held.enter_context(saved.open_run(run))
            group.wait()
            stop = held.enter_context(StopRequest())
            images = _begin(store, run, config, networks, group, change)
            if images == 0:
                networks.calibrate_heads(train)
            logger = TrainingLogger(run, config, probe, progress) if group.writes else None
            seen_a_step = config.batch * group.size
            if logger:
                logger.start(images)

            stepper = make_stepper(networks, config)

            def save() -> None:
                stepper.require_finite(images)
                if group.writes:
                    saved.save_state(run, images, networks.state())
                    export_networks(run, networks, shape, store, images)

            while images < config.images:
                set_rates(networks, config, images)
                rng = saved.step_generator(config.seed, group.rank, images, group.device)
                inputs = draw_inputs(train, weights, config, rng, networks.strength)
                figures = stepper(inputs, images, rng)
                before, images = images, images + seen_a_step
                for average in networks.averages:
                    average.update(networks.generator, seen_a_step, images + networks.averaged_before)
                if saved.passes(before, images, min(config.log_images, config.adapt_images)):
                    stepper.require_finite(images)  # before its figures are told or lead anywhere
                if logger:
                    logger.log(before, images, figures, networks)
                if config.augment_target is not None and saved.passes(before, images, config.adapt_images):
                    overfit = group.share(probe.measure(networks)["overfit"])
                    networks.strength = adapted(
                        networks.strength, overfit, config.augment_target, config.adapt_images, config.adapt_speed
                    )
                stopping = group.any(stop.asked) and images < config.images
                if stopping or saved.passes(before, images, config.save_images):
                    save()
                if stopping:
                    raise StoppedError(f"stopped at {images:,} images; the same command goes on from there.")
            save()
            group.wait()
        return run / "generator.safetensors"


def _begin(
    store: PackedDataset, run: Path, config: GanConfig, networks: TrainingNetworks, group: ProcessGroup, change: bool
) -> int:
    """Bring the networks to where the run stands. Returns the images seen."""
    images = 0
    if found := saved.load_latest_state(run, group.device):
        images, state = found
        saved.load_or_explain(lambda: networks.load(state, config), run)
    elif config.start:
        start_from(networks, store.vocabulary, open_bundle(config.start))
    group.wait()
    if group.writes:
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


def rate_factor(config: GanConfig, images: int) -> float:
    """What share of the configured rates applies: rising over ``warmup_images``, 1 until ``learning_rate_hold``, then
    half a cosine down to ``learning_rate_end``."""
    if images < config.warmup_images:
        return (images + config.batch) / (config.warmup_images + config.batch)
    begin = config.learning_rate_hold * config.images
    if images <= begin or config.learning_rate_hold >= 1:
        return 1.0
    done = min((images - begin) / (config.images - begin), 1.0)
    return config.learning_rate_end + (1 - config.learning_rate_end) * 0.5 * (1 + math.cos(math.pi * done))


def set_rates(networks: TrainingNetworks, config: GanConfig, images: int) -> None:
    """Give both optimizers the rates that hold at this point of the run."""
    factor = rate_factor(config, images)
    for optimizer, rate in (
        (networks.optimizer_g, config.learning_rate_generator),
        (networks.optimizer_d, config.learning_rate_discriminator),
    ):
        for group in optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate * factor)  # what a recorded step reads
            else:
                group["lr"] = rate * factor
