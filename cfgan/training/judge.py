"""Training a judge: the features of a frozen network are taken once, then a small head learns to read attributes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from cfgan.data.store import PackedDataset
from cfgan.errors import ConfigError, StoppedError
from cfgan.external.efficientnet import published_efficientnet
from cfgan.external.nsfwjs import PACKAGE, weights
from cfgan.io.files import read_json_object, storage_errors, write_sealed
from cfgan.io.progress import Progress, silent
from cfgan.io.reading import load_array
from cfgan.io.signals import StopRequest
from cfgan.networks.devices import pick_device
from cfgan.networks.efficientnet import EfficientNetLite0
from cfgan.networks.judge import Judge, JudgeShape
from cfgan.networks.mobilenet import MobileNetV2
from cfgan.training import state as saved
from cfgan.training.averaged import learning_rate
from cfgan.training.classifier import write_classifier
from cfgan.training.config import JudgeConfig, to_dict, with_budget
from cfgan.training.losses import attribute_loss

_CHUNK = 64
_SCALED = 2000  # images whose maps say how large maps are


def train_judge(
    store: PackedDataset,
    run: Path,
    config: JudgeConfig,
    progress: Progress | None = None,
    *,
    nsfwjs: Path | None = None,
) -> Path:
    """Train on a store's train split. The features are kept in ``run`` while it lasts, so a stopped run goes on.

    Writes ``model.safetensors``, ``model.json`` and ``validation.npz`` (logits and labels of the validation split).

    Args:
        store: packed images.
        run: folder of the run.
        config: settings.
        progress: called while it lasts.
        nsfwjs: the unpacked npm package that carries the weights of the trunk "mobilenet-v2".

    Returns:
        The path of ``model.safetensors``.

    Raises:
        StoppedError: a stop was asked for.
        TrainingError: a loss is not finite.
        FolderError: ``run`` holds something else.
        ConfigError: the package with the frozen network's weights is missing.
    """
    config = with_budget(config, len(store.rows("train")))
    device = pick_device(config.device)
    shape = JudgeShape(len(store.vocabulary), config.side, config.width, config.hidden, config.trunk)
    torch.manual_seed(config.seed)
    judge = Judge(shape)
    judge.trunk.load_published(_published(config.trunk, nsfwjs))
    judge.trunk.requires_grad_(False).eval()
    judge = judge.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with saved.open_run(run), StopRequest() as stop, saved.use_threads(config.threads):
        saved.describe_run(
            run,
            "judge",
            to_dict(config),
            data_digest=store.digest,
            may_change={"epochs", "least_images", "threads", "device", "log_images"},
            images=0,
            defaults=to_dict(JudgeConfig()),
        )
        rows = store.rows("train")
        total = len(rows) + config.images
        show = progress or silent
        maps = _features(store, rows, judge, run, stop, lambda done: show("taking features", done, total))
        _fit(
            judge,
            maps,
            store.labels[rows],
            config,
            run,
            stop,
            lambda done, row: show("training", len(rows) + done, total, saved.remark(row)),
        )
        judge.eval()
        path = write_classifier(store, run, judge, shape.to_dict(), "judge", device)
        del maps
        (run / "features.npy").unlink(missing_ok=True)
        (run / "features.json").unlink(missing_ok=True)
    return path


def _published(trunk: str, nsfwjs: Path | None) -> EfficientNetLite0 | MobileNetV2:
    if trunk == "efficientnet-lite0":
        return published_efficientnet()
    if nsfwjs is None:
        raise ConfigError(
            f"the trunk {trunk!r} needs the npm package {PACKAGE}: say --nsfwjs FOLDER.", field="trunk", value=trunk
        )
    return MobileNetV2().load_keras(weights(nsfwjs, "mobilenet_v2"))


def _features(
    store: PackedDataset,
    rows: npt.NDArray[np.int64],
    judge: Judge,
    run: Path,
    stop: StopRequest,
    show: Callable[[int], None],
) -> npt.NDArray[np.float16]:
    """The trunk's maps of all training images, float16 on disk; what an earlier run has done is kept."""
    path, about = run / "features.npy", run / "features.json"
    cells = judge.shape.cells
    shape = (len(rows), judge.shape.map_channels, cells, cells)
    done = _features_done(path, about, shape)
    device = next(judge.parameters()).device
    with storage_errors(path):
        maps = np.lib.format.open_memmap(
            path,
            mode="r+" if done else "w+",
            dtype=np.float16,
            shape=shape,
        )
        with torch.inference_mode():
            for start in range(done, len(rows), _CHUNK):
                levels = torch.from_numpy(store.images[rows[start : start + _CHUNK]]).to(device)
                images = levels.float().mul_(2 / 255).sub_(1)
                maps[start : start + _CHUNK] = judge.trunk(images).half().cpu().numpy()
                done = min(start + _CHUNK, len(rows))
                show(done)
                if stop.asked or done == len(rows) or start // _CHUNK % 32 == 31:
                    maps.flush()
                    write_sealed(about, {"done": done})
                if stop.asked:
                    raise StoppedError(f"stopped at {done:,} images; the same command goes on from there.")
    return maps


def _features_done(path: Path, about: Path, shape: tuple[int, ...]) -> int:
    """How many rows of maps an earlier run left whole; 0 where it left none that can be used."""
    try:
        done, kept = int(read_json_object(about)["done"]), load_array(path, mapped=True)
    except (ValueError, KeyError, TypeError):
        return 0
    return done if kept.shape == shape and kept.dtype == np.float16 and 0 <= done <= len(kept) else 0


def _fit(
    judge: Judge,
    maps: npt.NDArray[np.float16],
    labels: npt.NDArray[np.float32],
    config: JudgeConfig,
    run: Path,
    stop: StopRequest,
    show: Callable[[int, dict[str, float]], None],
) -> None:
    head, device = judge.head.train(), next(judge.parameters()).device
    some = np.sort(np.random.default_rng(config.seed).permutation(len(maps))[:_SCALED])
    sample = torch.from_numpy(np.asarray(maps[some])).float()
    head.scale.copy_((1 / sample.std((0, 2, 3)).clamp(min=1e-3))[:, None, None])
    kind = {"lr": config.learning_rate, "weight_decay": config.weight_decay, "betas": (0.9, 0.99)}
    optimizer = torch.optim.AdamW(head.parameters(), **kind)  # type: ignore[arg-type]
    images, order, clock, since = 0, np.zeros(0, dtype=np.int64), time.monotonic(), 0
    saved.truncate_stats(run / "stats.jsonl", 0)
    while images < config.images:
        rng = saved.step_generator(config.seed, 0, images)
        torch.manual_seed(rng.initial_seed())  # dropout draws from the global generator
        epoch, place = divmod(images, max(1, len(maps) // config.batch * config.batch))
        if place == 0:
            order = np.random.default_rng([config.seed, epoch]).permutation(len(maps))
        rows = np.sort(order[place : place + config.batch])
        x = torch.from_numpy(maps[rows]).to(device).float()
        mirrored = (torch.rand(len(rows), generator=rng) < 0.5) & config.mirror
        x = torch.where(mirrored.to(device)[:, None, None, None], x.flip(3), x)
        loss = attribute_loss(head(x, config.dropout), torch.from_numpy(labels[rows]).to(device))
        saved.require_finite({"loss": loss}, images)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, images)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        before, images = images, images + config.batch
        if saved.passes(before, images, config.log_images) or images >= config.images:
            speed = (images - since) / (time.monotonic() - clock)
            row = {"loss": float(loss.detach()), "images_per_second": round(speed, 1)}
            since, clock = images, time.monotonic()
            saved.append_stats(run / "stats.jsonl", {"images": images, **row})
            show(min(images, config.images), row)
        if stop.asked and images < config.images:
            raise StoppedError("stopped; the same command goes on with the features that were taken.")
