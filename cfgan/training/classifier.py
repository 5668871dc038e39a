"""Training an attribute classifier: the verifier that gates, or the guidance classifier that pulls the generator."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cfgan.data.store import PackedDataset
from cfgan.errors import ConfigError, StoppedError
from cfgan.io.files import write_bytes
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.networks.classifier import AttributeClassifier, ClassifierShape
from cfgan.networks.devices import pick_device
from cfgan.training import state as saved
from cfgan.training.augment import augment_for_classifier
from cfgan.training.config import ClassifierConfig, EncoderConfig, JudgeConfig, to_dict, with_budget
from cfgan.training.data import TensorData, load_split
from cfgan.training.losses import attribute_loss

_MAY_CHANGE = {"threads", "device", "save_images", "log_images"}


def learning_rate(config: ClassifierConfig | JudgeConfig | EncoderConfig, images: int) -> float:
    """One cycle: a linear rise over the warm-up share, then a cosine down to 0 (Smith 2018)."""
    done = min(images / config.images, 1.0)
    if done < config.warmup_share:
        return config.learning_rate * done / config.warmup_share
    rest = (done - config.warmup_share) / max(1e-9, 1 - config.warmup_share)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))


def train_classifier(
    store: PackedDataset, run: Path, config: ClassifierConfig, progress: Progress | None = None
) -> Path:
    """Train on a store's train split until the configuration's images are seen, resuming what ``run`` holds.

    Writes ``model.safetensors`` (averaged weights), ``model.json`` (shape, vocabulary) and
    ``validation.npz`` (logits and labels of the validation split) at the end.

    Returns:
        The path of ``model.safetensors``.

    Raises:
        StoppedError: a stop was asked for; the state is saved.
        TrainingError: a loss is not finite.
        FolderError: ``run`` holds something else.
    """
    config = with_budget(config, len(store.rows("train")))
    device = pick_device(config.device)
    if store.size % 2 ** len(config.widths):
        raise ConfigError(
            f"{len(config.widths)} stages do not divide images of {store.size} pixels.",
            field="widths",
            value=config.widths,
        )
    if config.shift_pixels >= store.size // 2:
        raise ConfigError("is half an image or more.", field="shift_pixels", value=config.shift_pixels)
    torch.manual_seed(config.seed)
    shape = ClassifierShape(len(store.vocabulary), config.widths, config.dropout)
    model = AttributeClassifier(shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = saved.WeightAverage(model, config.ema_images)
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), foreach=True)

    images = 0

    def save() -> None:
        state = {
            "model": model.state_dict(),
            "average": average.module.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        saved.save_state(run, images, state)

    train = load_split(store, "train", device)
    model.train()
    with saved.open_run(run), StopRequest() as stop, saved.use_threads(config.threads):
        if found := saved.load_latest_state(run, device):
            images, state = found

            def load() -> None:
                model.load_state_dict(state["model"])
                average.module.load_state_dict(state["average"])
                optimizer.load_state_dict(state["optimizer"])

            saved.load_or_explain(load, run)
        saved.describe_run(
            run,
            "classifier",
            to_dict(config),
            data_digest=store.digest,
            may_change=_MAY_CHANGE,
            images=images,
            defaults=to_dict(ClassifierConfig()),
        )
        saved.truncate_stats(run / "stats.jsonl", images)
        since, clock, remark = images, time.monotonic(), ""
        while images < config.images:
            rng = saved.step_generator(config.seed, 0, images, device)
            torch.manual_seed(rng.initial_seed())  # dropout draws from the global generator
            batch, labels = train.batch(epoch_rows(len(train), config, images, device))
            batch = augment_for_classifier(
                batch,
                rng,
                shift_pixels=config.shift_pixels,
                brightness=config.brightness,
                cutout_share=config.cutout_share,
                mirror=config.mirror,
            )
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits = model(batch)
            loss = attribute_loss(logits.float(), labels)
            saved.require_finite({"loss": loss}, images)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            saved.require_finite({"gradient": saved.gradient_norm(optimizer)}, images)
            rate = learning_rate(config, images)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            before, images = images, images + config.batch
            average.update(model, config.batch, images)

            if images // config.log_images > before // config.log_images or images >= config.images:
                speed = (images - since) / (time.monotonic() - clock)
                figures = {"loss": float(loss.detach()), "rate": rate, "images_per_second": round(speed, 1)}
                since, clock = images, time.monotonic()
                saved.append_stats(run / "stats.jsonl", {"images": images, **figures})
                remark = saved.remark(figures)
            if progress:
                progress("training", min(images, config.images), config.images, remark)
            if images // config.save_images > before // config.save_images:
                save()
            if stop.asked and images < config.images:
                save()
                raise StoppedError(f"stopped at {images:,} images; the same command goes on from there.")
        save()
        return write_classifier(store, run, average.module, shape.to_dict(), "classifier", device)


def epoch_rows(count: int, config: ClassifierConfig | EncoderConfig, images: int, device: torch.device) -> Tensor:
    """Rows of the step that starts at ``images``: a fresh permutation each epoch, drawn from the seed alone."""
    rows = []
    for position in range(images, images + config.batch):
        epoch, place = divmod(position, count)
        rows.append(int(_permutation(count, config.seed, epoch)[place]))
    return torch.tensor(rows, device=device)


_permutations: dict[tuple[int, int, int], npt.NDArray[np.int64]] = {}


def _permutation(count: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    key = (count, seed, epoch)
    if key not in _permutations:
        for old in [k for k in _permutations if k[2] < epoch - 1 or k[:2] != key[:2]]:
            del _permutations[old]
        _permutations[key] = np.random.default_rng([seed, epoch]).permutation(count)
    return _permutations[key]


@torch.no_grad()
def predict(model: nn.Module, data: TensorData, batch: int = 256) -> tuple[Tensor, Tensor]:
    """Logits and labels (N, A) of a whole split, on the CPU; the model in eval mode."""
    model.eval()
    parts = [
        model(data.batch(torch.arange(start, min(start + batch, len(data)), device=data.images.device))[0]).cpu()
        for start in range(0, len(data), batch)
    ]
    return torch.cat(parts), data.labels.cpu()


def write_classifier(
    store: PackedDataset, run: Path, model: nn.Module, shape: dict[str, Any], kind: str, device: torch.device
) -> Path:
    """Write ``model.safetensors``, ``model.json`` and ``validation.npz``. Returns the path of the first."""
    saved.save_weights(run / "model.safetensors", model)
    about = {"kind": kind, "shape": shape, "size": store.size, "vocabulary": store.vocabulary.to_dict()}
    files = ["model.safetensors"]
    if len(store.rows("validation")):
        logits, labels = predict(model, load_split(store, "validation", device))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, logits=logits.numpy(), labels=labels.numpy())
        write_bytes(run / "validation.npz", buffer.getvalue())
        files.append("validation.npz")
    saved.write_model(run, about, files)
    return run / "model.safetensors"
