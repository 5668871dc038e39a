"""Training an encoder: it guesses codes, the frozen generator draws them, and what comes out is held against the photo.

What is made small is what a search makes small (:class:`cfgan.generate.projection.objective.Objective`), so that the
guess lies where the search would go. Some of the images are the generator's own, which it can draw exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfgan.data.store import PackedDataset
from cfgan.errors import ConfigError, StoppedError
from cfgan.generate.projection.codes import CodeSpace
from cfgan.generate.projection.condition import read_condition
from cfgan.generate.projection.objective import Objective
from cfgan.generate.projection.projector import EDGE
from cfgan.io.progress import Progress, silent
from cfgan.io.signals import StopRequest
from cfgan.model.bundle import Bundle
from cfgan.model.engines import open_engine
from cfgan.networks.devices import pick_device
from cfgan.networks.encoder import Encoder, EncoderShape
from cfgan.training import state as saved
from cfgan.training.averaged import MAY_CHANGE, AveragedTraining, Figures, epoch_rows
from cfgan.training.captured import choosing_kernels
from cfgan.training.config import EncoderConfig, to_dict, with_budget
from cfgan.training.data import load_split
from cfgan.verify.reader import Levels, reader_of

_READ = 512  # images whose attributes are read between two shows of progress


def train_encoder(
    bundle: Bundle, store: PackedDataset, run: Path, config: EncoderConfig, progress: Progress = silent
) -> Path:
    """Train on a store's train split until the configuration's images are seen, resuming what ``run`` holds.

    The labels of the store are not looked at: the condition of each image is what the bundle's verifier reads in it,
    as it is when a photo is projected. Writes ``model.safetensors`` (averaged weights) and ``model.json`` at the end.

    Args:
        bundle: whose generator is to draw the photos, of the family dcgan.
        store: packed images of the bundle's size.
        run: folder of the run.
        config: settings.
        progress: called while it lasts.

    Returns:
        The path of ``model.safetensors``.

    Raises:
        StoppedError: a stop was asked for; the state is saved.
        TrainingError: a loss is not finite.
        FolderError: ``run`` holds something else.
        InputError: the bundle's generator is not of the family dcgan.
        DataError: the store has no training images.
        ConfigError: the store's images have another size than the bundle's.
        BundleError: a file of the bundle is damaged.
    """
    if store.size != bundle.size:
        text = f"holds images of {store.size} pixels, {bundle.name} draws {bundle.size}."
        raise ConfigError(text, field="data", value=store.path)
    config = with_budget(config, len(store.rows("train")))
    device = pick_device(config.device)
    space, objective = CodeSpace(bundle, device), Objective(bundle, device)
    shape = encoder_shape(bundle, config)
    torch.manual_seed(config.seed)
    encoder = Encoder(shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = AveragedTraining(encoder, config, run)
    data = load_split(store, "train", device)
    learnt_with = {
        "generator": bundle.sums["generator.safetensors"],
        "verifier": bundle.sums["verifier.safetensors"],
        "features": objective.features,
    }
    conditions = torch.empty(0)

    def loss_at(images: int) -> tuple[Tensor, Figures]:
        rng = saved.step_generator(config.seed, 0, images, device)
        rows = epoch_rows(len(data), config, images, device)
        flip = (torch.rand(len(rows), generator=rng, device=device) < 0.5) & config.mirror
        photos, _ = data.batch(rows, flip)
        condition = conditions[flip.long(), rows]
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            drawn = round(config.drawn_share * len(photos))
            if drawn:
                z = torch.randn(drawn, shape.z_dim, generator=rng, device=device)
                with torch.no_grad():
                    photos[:drawn] = space.generator(z, condition[:drawn]).float()
            with torch.no_grad():
                goal = objective.maps(photos)
            z, start, styles = (part.float() for part in encoder(photos, condition))
            made = space.draw(space.codes(z, condition, start, styles)).float()
            unlike = objective.unlikeness(made, photos, goal)
        pull = objective.pull(start, styles) + config.latent_pull * z.square().mean(1)
        figures = {"unlikeness": unlike[drawn:].detach().mean()} if drawn < len(unlike) else {}  # of photos
        return (unlike + pull).mean(), figures

    with saved.open_run(run), StopRequest() as stop, saved.use_threads(config.threads), choosing_kernels():
        training.resume(device)
        saved.describe_run(
            run,
            "encoder",
            {**to_dict(config), **learnt_with},
            data_digest=store.digest,
            may_change=MAY_CHANGE,
            images=training.images,
            defaults=to_dict(EncoderConfig()),
        )
        if training.images < config.images:
            conditions = read_conditions(bundle, data.images, config, stop, progress)
        training.train(loss_at, stop, progress)
        saved.save_weights(run / "model.safetensors", training.averaged)
        about = {
            "kind": "encoder",
            "shape": shape.to_dict(),
            "vocabulary": bundle.vocabulary.to_dict(),
            **learnt_with,
        }
        saved.write_model(run, about, ["model.safetensors"])
    return run / "model.safetensors"


def encoder_shape(bundle: Bundle, config: EncoderConfig) -> EncoderShape:
    """What an encoder for a bundle is built from: as many halvings as take its images to 4 x 4."""
    generator = bundle.shape
    halvings = len(generator.sides) - 1
    widths = tuple(min(config.width * 2**k, config.most_channels) for k in range(halvings))
    return EncoderShape(**generator.codes, widths=widths, hidden=config.hidden)


def read_conditions(
    bundle: Bundle, images: Tensor, config: EncoderConfig, stop: StopRequest, progress: Progress
) -> Tensor:
    """What the verifier reads in images uint8 (N, 3, S, S) as they are, and in their mirror images, (2, N, A) in -1..1;
    (1, N, A) where nothing is mirrored.

    Raises:
        StoppedError: a stop was asked for.
    """
    verifier = reader_of(bundle, open_engine(bundle, config.device), "verifier")
    both: list[Any] = []
    total = (1 + config.mirror) * len(images)
    for mirrored in (False, True)[: 1 + config.mirror]:
        parts = []
        for place in range(0, len(images), _READ):
            part = images[place : place + _READ]
            levels: Levels = (part.flip(3) if mirrored else part).contiguous().cpu().numpy()
            parts.append(read_condition(verifier, levels).clip(-EDGE, EDGE))
            progress("reading attributes", len(both) * len(images) + min(place + _READ, len(images)), total)
            if stop.asked:
                raise StoppedError("stopped while attributes were read; the same command goes on.")
        both.append(np.concatenate(parts))
    return torch.from_numpy(np.stack(both)).to(images.device)
