"""Training an attribute classifier: the verifier that gates, or the guidance classifier that pulls the generator."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cfgan.data.store import PackedDataset
from cfgan.errors import ConfigError
from cfgan.io.files import write_bytes
from cfgan.io.progress import Progress, silent
from cfgan.io.signals import StopRequest
from cfgan.networks.classifier import AttributeClassifier, ClassifierShape
from cfgan.networks.devices import pick_device
from cfgan.training import state as saved
from cfgan.training.augment import augment_for_classifier
from cfgan.training.averaged import MAY_CHANGE, AveragedTraining, Figures, epoch_rows, learning_rate
from cfgan.training.config import ClassifierConfig, to_dict, with_budget
from cfgan.training.data import TensorData, load_split
from cfgan.training.losses import attribute_loss


def train_classifier(store: PackedDataset, run: Path, config: ClassifierConfig, progress: Progress = silent) -> Path:
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
    training = AveragedTraining(model, config, run)
    train = load_split(store, "train", device)

    def loss_at(images: int) -> tuple[Tensor, Figures]:
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
        return attribute_loss(logits.float(), labels), {"rate": learning_rate(config, images)}

    with saved.open_run(run), StopRequest() as stop, saved.use_threads(config.threads):
        training.resume(device)
        saved.describe_run(
            run,
            "classifier",
            to_dict(config),
            data_digest=store.digest,
            may_change=MAY_CHANGE,
            images=training.images,
            defaults=to_dict(ClassifierConfig()),
        )
        training.train(loss_at, stop, progress)
        return write_classifier(store, run, training.averaged, shape.to_dict(), "classifier", device)


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
