"""Steps recorded as CUDA graphs; what needs a GPU is left out without one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import SMALL, small_store

from cfgan.errors import ConfigError
from cfgan.training.captured import CapturedStep, PlainStep, choosing_kernels, make_stepper
from cfgan.training.config import GanConfig, make_config
from cfgan.training.data import TensorData
from cfgan.training.gan import set_rates, train_gan
from cfgan.training.networks import TrainingNetworks, gan_shape, make_networks
from cfgan.training.state import step_generator
from cfgan.training.step import draw_inputs

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="steps are recorded on a GPU")


def test_a_cpu_takes_its_steps_as_they_come(tmp_path: Path) -> None:
    config = make_config(GanConfig, SMALL)
    networks = make_networks(config, gan_shape(config, 3, 16), torch.device("cpu"))
    assert isinstance(make_stepper(networks, config), PlainStep)
    store = small_store(tmp_path, ("Red", "Round", "Cat"))
    with pytest.raises(ConfigError, match="one process on a GPU, not by device cpu"):
        train_gan(store, tmp_path / "run", make_config(GanConfig, SMALL | {"capture": True, "device": "cpu"}))
    assert not (tmp_path / "run").exists(), "a run that cannot begin leaves nothing"


def test_cudnn_stays_on_where_its_kernels_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.backends.cudnn.flags switches off what it is not told to keep, and steps take eight times as long."""
    for enabled in (True, False):
        monkeypatch.setattr(torch.backends.cudnn, "enabled", enabled)
        with choosing_kernels():
            assert torch.backends.cudnn.enabled == enabled
            assert torch.backends.cudnn.benchmark
        assert not torch.backends.cudnn.benchmark


class Run:
    """A few steps on random images on a GPU, as ``train_gan`` takes them."""

    def __init__(self) -> None:
        self.device = torch.device("cuda")
        settings = {"capture": True, "batch": 8, "penalty_steps": 2, "augment_strength": 0.5, "warmup_images": 0}
        self.config = make_config(GanConfig, SMALL | settings)
        self.networks: TrainingNetworks = make_networks(self.config, gan_shape(self.config, 3, 16), self.device)
        rng = torch.Generator().manual_seed(0)
        pictures = torch.randint(0, 256, (64, 3, 16, 16), generator=rng, dtype=torch.uint8)
        labels = torch.sign(torch.randn(64, 3, generator=rng))
        self.train = TensorData(pictures.to(self.device), labels.to(self.device))
        self.step = make_stepper(self.networks, self.config)
        self.images = 0

    def go(self, steps: int) -> dict[str, float]:
        figures: dict[str, torch.Tensor] = {}
        for _ in range(steps):
            set_rates(self.networks, self.config, self.images)
            rng = step_generator(0, 0, self.images, self.device)
            inputs = draw_inputs(self.train, torch.ones(64, device=self.device), self.config, rng)
            figures = self.step(inputs, self.images, rng)
            self.images += self.config.batch
        return {name: float(value) for name, value in figures.items()}

    def weights(self) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in self.networks.generator.parameters()])


@needs_gpu
def test_recorded_steps_go_on_learning() -> None:
    run = Run()
    assert isinstance(run.step, CapturedStep)
    run.go(12)
    seen = []
    for _ in range(6):
        before = run.weights()
        seen.append(run.go(1))
        assert not torch.equal(run.weights(), before)
    run.step.require_finite(run.images)
    assert len({figures["d_loss"] for figures in seen}) == 6, "each step sees other images"
    assert ["r1" in figures for figures in seen] == [True, False] * 3


@needs_gpu
def test_a_recorded_step_reads_the_rate_of_its_moment() -> None:
    run = Run()
    run.go(12)
    object.__setattr__(run.config, "learning_rate_generator", 0.0)
    before = run.weights()
    run.go(2)
    assert torch.equal(run.weights(), before)


@needs_gpu
def test_the_same_steps_twice() -> None:
    first, second = Run(), Run()
    a, b = first.go(20), second.go(20)
    assert a.keys() == b.keys()
    assert all(abs(a[name] - b[name]) < 0.05 * (1 + abs(a[name])) for name in a)


@needs_gpu
def test_what_is_not_finite_is_said_before_anything_is_saved() -> None:
    from cfgan.errors import TrainingError

    run = Run()
    run.go(12)
    with torch.no_grad():
        next(run.networks.generator.parameters()).fill_(float("nan"))
    run.go(1)
    with pytest.raises(TrainingError, match="not finite"):
        run.step.require_finite(run.images)
