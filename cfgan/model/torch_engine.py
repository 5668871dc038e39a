"""A bundle's networks in torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import nn

from cfgan.model.bundle import Bundle
from cfgan.model.engine import CPU_BATCH, GPU_BATCH, Floats, Levels, Workers
from cfgan.networks.devices import pick_device


def to_levels(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) in -1..1 to whole pixel levels 0..255, still floating-point."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255)


class TorchGenerator:
    """A generator as a function of arrays; ``network`` maps latents and conditions to images in -1..1."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network, self._device = network.to(device), device

    @torch.inference_mode()
    def __call__(self, latents: Floats, conditions: Floats) -> Levels:
        inputs = (torch.from_numpy(part).to(self._device) for part in (latents, conditions))
        pixels: Levels = to_levels(self._network(*inputs)).to(torch.uint8).cpu().numpy()
        return pixels


class TorchNetwork:
    """A classifier as a function of arrays; ``network`` maps images in -1..1 to logits."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network, self._device = network.to(device), device

    @torch.inference_mode()
    def logits(self, levels: Levels) -> Floats:
        return np.asarray(self._network(self._images(levels)).float().cpu().numpy())

    @torch.inference_mode()
    def features(self, levels: Levels) -> Floats:
        return np.asarray(self._network.features(self._images(levels)).float().cpu().numpy())  # type: ignore[operator]

    @contextmanager
    def workers(self) -> Iterator[Workers]:
        """On a CPU as many as torch has threads, each by one of them. All of torch's threads on one batch would wait
        for each other after every layer, and whenever a decoder has taken the place of one of them."""
        threads = torch.get_num_threads()
        if self._device.type != "cpu" or threads == 1:
            yield Workers(self, 1, lambda: None, CPU_BATCH if self._device.type == "cpu" else GPU_BATCH)
            return
        try:
            yield Workers(self, threads, partial(torch.set_num_threads, 1), CPU_BATCH)
        finally:
            torch.set_num_threads(threads)

    def _images(self, levels: Levels) -> torch.Tensor:
        # Rows of RGB pixels, seen from here, are in channels_last already: nothing is moved.
        pixels = torch.from_numpy(levels).to(self._device).float()
        return pixels.mul_(2 / 255).sub_(1).contiguous(memory_format=torch.channels_last)


class TorchEngine:
    """See :class:`cfgan.model.engine.Engine`. Raises InputError: the device cannot be used."""

    name = "torch"
    batch_invariant = False  # its libraries choose their kernels by the size of a batch

    def __init__(self, bundle: Bundle, device: str) -> None:
        self._bundle, self._device = bundle, pick_device(device)
        self._generator: TorchGenerator | None = None
        self._classifiers: dict[str, TorchNetwork] = {}

    def generator(self) -> TorchGenerator:
        if self._generator is None:
            self._generator = TorchGenerator(self._bundle.generator(), self._device)
        return self._generator

    def classifier(self, role: str) -> TorchNetwork:
        if role not in self._classifiers:
            self._classifiers[role] = TorchNetwork(self._bundle.classifiers[role].load(), self._device)
        return self._classifiers[role]
