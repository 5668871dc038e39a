"""What a GAN run leaves for people and for bundles: figures, sample grids, exported networks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cfgan.data.store import PackedDataset
from cfgan.errors import ConfigError
from cfgan.io.files import write_bytes
from cfgan.io.png import encode_png, grid
from cfgan.io.progress import Progress
from cfgan.model.torch_engine import to_levels
from cfgan.networks.shape import GanShape
from cfgan.training import state as saved
from cfgan.training.config import GanConfig
from cfgan.training.networks import TrainingNetworks
from cfgan.training.probe import Probe

_GRID = 8  # faces along a side of the sample grid


class TrainingLogger:
    """Writes ``stats.jsonl`` (and TensorBoard events) and sample grids of one run."""

    def __init__(
        self,
        run: Path,
        config: GanConfig,
        probe: Probe,
        progress: Progress | None,
    ) -> None:
        self._run, self._config, self._probe, self._progress = run, config, probe, progress
        labels = probe.splits.get("validation", probe.splits["train"])[1][: _GRID * _GRID]
        self._conditions = labels.repeat(-(-_GRID * _GRID // len(labels)), 1)[: _GRID * _GRID]
        rng = torch.Generator().manual_seed(0)
        self._latents = torch.randn(_GRID * _GRID, config.z_dim, generator=rng).to(labels.device)
        self._sums: dict[str, list[Tensor]] = {}
        self._since, self._clock = 0, time.monotonic()
        self._remark = ""
        self._board = _tensorboard(run) if config.tensorboard else None

    def start(self, images: int) -> None:
        """Set the clock when the first step is about to begin."""
        self._since, self._clock = images, time.monotonic()

    def log(self, before: int, images: int, figures: dict[str, Tensor], networks: TrainingNetworks) -> None:
        """Collect a step's figures; write a line, a grid or both when it is time."""
        for name, figure in figures.items():
            self._sums.setdefault(name, []).append(figure)
        last = images >= self._config.images
        sample = images // self._config.sample_images > before // self._config.sample_images or last
        if not (sample or images // self._config.log_images > before // self._config.log_images):
            self._show(images)
            return
        row: dict[str, float] = {
            name: round(float(torch.stack(values).mean()), 5) for name, values in self._sums.items()
        }
        self._sums.clear()
        elapsed = time.monotonic() - self._clock
        row["images_per_second"] = round((images - self._since) / max(elapsed, 1e-9), 1)
        row["rate"] = float(networks.optimizer_g.param_groups[0]["lr"])
        row["augment_strength"] = round(networks.strength, 4)
        if sample:
            row |= self._probe.measure(networks)
            write_bytes(self._run / f"samples-{images:010d}.png", self._grid(networks.average.module))
        saved.append_stats(self._run / "stats.jsonl", {"images": images, **row})
        if self._board is not None:
            for name, value in row.items():
                self._board.add_scalar(name, value, images)
            self._board.flush()
        self._remark = saved.remark(row)
        self._show(images)
        self.start(images)

    def _show(self, images: int) -> None:
        """Every step: at a few images a second a line of the log is long in coming, and so would be the time left."""
        if self._progress:
            self._progress("training", min(images, self._config.images), self._config.images, self._remark)

    @torch.no_grad()
    def _grid(self, generator: nn.Module) -> bytes:
        images = generator(self._latents, self._conditions)
        return encode_png(grid(to_levels(images).to(torch.uint8).cpu().numpy(), _GRID))


def export_networks(run: Path, networks: TrainingNetworks, shape: GanShape, store: PackedDataset, images: int) -> Path:
    """Write the averaged generator and the discriminator as safetensors, with ``model.json``."""
    modules = {"discriminator": networks.discriminator, "generator": networks.average.module}
    for average in networks.averages[1:]:
        modules[f"generator-{average.half_life_images:.0f}"] = average.module
    if networks.heads is not None:
        modules["heads"] = networks.heads
    for name, module in modules.items():
        saved.save_weights(run / f"{name}.safetensors", module)
    about: dict[str, Any] = {
        "kind": "gan",
        "shape": shape.to_dict(),
        "images": images,
        "vocabulary": store.vocabulary.to_dict(),
        "guides": networks.guides,
        "features": networks.feature_networks,
        "start": networks.start,
    }
    if networks.heads is not None:
        about["heads"] = networks.heads.shape.to_dict()
    saved.write_model(run, about, [f"{name}.safetensors" for name in modules])
    return run / "generator.safetensors"


def _tensorboard(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "needs the extra: pip install 'cfgan[tensorboard]'.", field="tensorboard", value=True
        ) from None
    return SummaryWriter(str(run / "tensorboard"))
