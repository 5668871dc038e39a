"""The training step as CUDA graphs: recorded once, then replayed.

A step of networks for small images is some two thousand short kernels, and a GPU waits for each of them to be launched.
A graph (Nguyen et al., "Accelerating PyTorch with CUDA Graphs", 2021) launches them all at once. It reads its inputs,
the rates and the augmentation's strength where they stood when it was recorded, so these are copied there before each
replay; random numbers come from a generator of its own, seeded for every step, so that a resumed run takes the same
steps as an unbroken one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from cfgan.errors import ConfigError, TrainingError
from cfgan.training.config import GanConfig
from cfgan.training.distributed import ProcessGroup
from cfgan.training.networks import TrainingNetworks
from cfgan.training.step import Inputs, penalty_is_due, step

_EAGER = 3  # steps of each kind that are taken as they come, in which libraries choose their kernels


class Stepper(Protocol):
    """Takes training steps."""

    def __call__(self, inputs: Inputs, images: int, rng: torch.Generator) -> dict[str, Tensor]:
        """Update both networks once. Returns the step's figures, scalars on the device."""
        ...

    def require_finite(self, images: int) -> None:
        """Raise TrainingError if any step so far had a loss or gradient that is not finite."""
        ...


class PlainStep:
    """Every step as it comes; its figures are looked at before the weights change."""

    def __init__(self, networks: TrainingNetworks, config: GanConfig) -> None:
        self._networks, self._config = networks, config

    def __call__(self, inputs: Inputs, images: int, rng: torch.Generator) -> dict[str, Tensor]:
        return step(self._networks, inputs, self._config, images, rng)

    def require_finite(self, images: int) -> None:
        """Nothing to do: each step was looked at."""


class CapturedStep:
    """Steps with and without gradient penalty, each recorded after a few that are taken as they come.

    Args:
        networks: on a GPU; their optimizers are made fit for being recorded.
        config: the run's.
    """

    def __init__(self, networks: TrainingNetworks, config: GanConfig) -> None:
        self._networks, self._config = networks, config
        self._device = next(networks.generator.parameters()).device
        self._rng = torch.Generator(self._device)
        self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._held: tuple[Tensor, ...] | None = None
        self._taken = {True: 0, False: 0}
        self._recorded: dict[bool, tuple[torch.cuda.CUDAGraph, list[str], Tensor]] = {}
        self._finite = torch.ones((), dtype=torch.bool, device=self._device)
        for optimizer in (networks.optimizer_g, networks.optimizer_d):
            for group in optimizer.param_groups:
                group |= {"lr": torch.tensor(float(group["lr"]), device=self._device), "capturable": True}

    def __call__(self, inputs: Inputs, images: int, rng: torch.Generator) -> dict[str, Tensor]:
        held = self._hold(inputs)
        self._rng.manual_seed((rng.initial_seed() + 1) & (2**63 - 1))  # not the numbers that drew the inputs
        due = penalty_is_due(self._config, images)
        if self._taken[due] < _EAGER:
            self._taken[due] += 1
            with self._aside(), choosing_kernels():
                names, values = self._step(held, images)
            return dict(zip(names, values.unbind(), strict=True))
        if due not in self._recorded:
            graph = torch.cuda.CUDAGraph()
            graph.register_generator_state(self._rng)
            torch.cuda.synchronize(self._device)
            recording = torch.cuda.graph(graph, pool=self._pool, stream=self._stream)
            with choosing_kernels(), recording:
                names, values = self._step(held, images)
            self._recorded[due] = graph, names, values
        graph, names, values = self._recorded[due]
        graph.replay()
        return dict(zip(names, values.clone().unbind(), strict=True))

    def require_finite(self, images: int) -> None:
        if not bool(self._finite):
            raise TrainingError(
                f"a loss or gradient was not finite before {images:,} images; the last saved state is good."
            )

    def _step(self, inputs: Inputs, images: int) -> tuple[list[str], Tensor]:
        figures = step(self._networks, inputs, self._config, images, self._rng, check=False)
        values = torch.stack([value.float() for value in figures.values()])
        self._finite.logical_and_(torch.isfinite(values).all())
        return list(figures), values

    def _hold(self, inputs: Inputs) -> Inputs:
        """The inputs where the recorded step looks for them."""
        strength = torch.as_tensor(inputs.strength, dtype=torch.float32, device=self._device)
        given = (inputs.real, inputs.labels, inputs.condition, inputs.z, strength)
        if self._held is None:
            self._held = tuple(value.clone() for value in given)
        for mine, value in zip(self._held, given, strict=True):
            mine.copy_(value)
        return Inputs(*self._held)

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """A block on the stream of the graphs, which begins after what was asked for before it."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream(self._device).wait_stream(self._stream)


def choosing_kernels() -> contextlib.AbstractContextManager[None]:
    """A block in which cuDNN times its kernels and keeps the fastest: every step has the same shapes.

    ``enabled`` has to be said: :func:`torch.backends.cudnn.flags` switches cuDNN off where it is not, and convolutions
    then go image by image.
    """
    cudnn = torch.backends.cudnn
    block: contextlib.AbstractContextManager[None] = cudnn.flags(
        enabled=cudnn.enabled, benchmark=True, deterministic=cudnn.deterministic, allow_tf32=cudnn.allow_tf32
    )
    return block


def require_capturing(config: GanConfig, group: ProcessGroup) -> None:
    """Raise ConfigError if steps are to be recorded where that cannot be: on a CPU, or by several processes."""
    if config.capture and (group.device.type != "cuda" or group.size > 1):
        where = "several processes" if group.size > 1 else f"device {group.device.type}"
        raise ConfigError(f"steps are recorded by one process on a GPU, not by {where}.", field="capture", value=True)


def make_stepper(networks: TrainingNetworks, config: GanConfig) -> Stepper:
    """What takes a run's steps: as they come, or with ``capture`` recorded."""
    return CapturedStep(networks, config) if config.capture else PlainStep(networks, config)
