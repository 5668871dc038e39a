"""Training one network with AdamW and a weight average, with a log and saved states: a classifier, an encoder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cfgan.errors import StoppedError
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.training import state as saved
from cfgan.training.config import ClassifierConfig, EncoderConfig, JudgeConfig

Figures = Mapping[str, float | Tensor]
"""What a line of ``stats.jsonl`` holds beside loss and speed; scalars."""


MAY_CHANGE = {"threads", "device", "save_images", "log_images"}
"""Settings with which a stopped run may go on otherwise."""


class AveragedTraining:
    """A network, its optimiser and the average of its weights.

    Args:
        network: to be trained, on its device.
        config: of its run.
        run: the run's folder.
    """

    def __init__(self, network: nn.Module, config: ClassifierConfig | EncoderConfig, run: Path) -> None:
        self.network, self.images = network, 0
        self._config, self._run = config, run
        self._average = saved.WeightAverage(network, config.ema_images)
        groups = [
            {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), foreach=True)

    @property
    def averaged(self) -> nn.Module:
        """The network with averaged weights, for inference."""
        return self._average.module

    def resume(self, device: torch.device) -> None:
        """Go on from the newest state of the run, if there is one. Raises FolderError: it does not fit."""
        if (found := saved.load_latest_state(self._run, device)) is None:
            return
        self.images, state = found

        def load() -> None:
            self.network.load_state_dict(state["model"])
            self._average.module.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])

        saved.load_or_explain(load, self._run)

    def train(self, loss_at: Callable[[int], tuple[Tensor, Figures]], stop: StopRequest, progress: Progress) -> None:
        """Take steps until the configuration's images are seen, and save.

        Args:
            loss_at: images seen -> the loss of the step that begins there (scalar), and figures.
            stop: what was asked for is saved first.
            progress: called after every step.

        Raises:
            StoppedError: a stop was asked for; the state is saved.
            TrainingError: a loss or gradient is not finite.
        """
        config, since, clock, remark = self._config, self.images, time.monotonic(), ""
        saved.truncate_stats(self._run / saved.LOG, self.images)
        self.network.train()
        while self.images < config.images:
            loss, figures = loss_at(self.images)
            self._step(loss)
            before, self.images = self.images, self.images + config.batch
            self._average.update(self.network, config.batch, self.images)
            if saved.passes(before, self.images, config.log_images) or self.images >= config.images:
                speed = (self.images - since) / (time.monotonic() - clock)
                row = {key: float(value) for key, value in {"loss": loss.detach(), **figures}.items()}
                row["images_per_second"] = round(speed, 1)
                since, clock = self.images, time.monotonic()
                saved.append_stats(self._run / saved.LOG, {"images": self.images, **row})
                remark = saved.remark(row)
            progress("training", min(self.images, config.images), config.images, remark)
            if saved.passes(before, self.images, config.save_images):
                self._save()
            if stop.asked and self.images < config.images:
                self._save()
                raise StoppedError(f"stopped at {self.images:,} images; the same command goes on from there.")
        self._save()

    def _step(self, loss: Tensor) -> None:
        saved.require_finite({"loss": loss}, self.images)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        saved.require_finite({"gradient": saved.gradient_norm(self._optimizer)}, self.images)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._config, self.images)
        self._optimizer.step()

    def _save(self) -> None:
        state = {
            "model": self.network.state_dict(),
            "average": self._average.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        saved.save_state(self._run, self.images, state)


def learning_rate(config: ClassifierConfig | JudgeConfig | EncoderConfig, images: int) -> float:
    """One cycle: a linear rise over the warm-up share, then a cosine down to 0 (Smith 2018)."""
    done = min(images / config.images, 1.0)
    if done < config.warmup_share:
        return config.learning_rate * done / config.warmup_share
    rest = (done - config.warmup_share) / max(1e-9, 1 - config.warmup_share)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))


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
