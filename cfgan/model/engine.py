"""What computes: onnxruntime or torch, behind one small interface.

Both give the same faces from the same seeds, up to one level of a pixel in a hundred thousand; bytes are the same
within one engine. onnxruntime starts in a fraction of the time and needs no torch; torch trains, and serves GPUs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

CPU_BATCH, GPU_BATCH = 32, 256
"""Images of one call, where there are many: on a CPU more spill out of the caches."""

Levels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Generator(Protocol):
    """Draws."""

    def __call__(self, latents: Floats, conditions: Floats) -> Levels:
        """Latents (n, Z) and conditions (n, A) to pixel levels (n, 3, H, W), 0..255."""
        ...


class Network(Protocol):
    """Reads attributes."""

    def logits(self, levels: Levels) -> Floats:
        """Pixel levels (n, 3, H, W) to a logit for each attribute, (n, A)."""
        ...

    def features(self, levels: Levels) -> Floats:
        """Pixel levels (n, 3, H, W) to what the last layer reads, (n, D)."""
        ...

    def workers(self) -> AbstractContextManager[Workers]:
        """For many images: the network as several threads use it at once."""
        ...


@dataclass(frozen=True)
class Workers:
    """A network for several threads.

    Args:
        network: what they call.
        count: how many may call it at once.
        begin: what each calls first.
        batch: images of one call that suit it.
    """

    network: Network
    count: int
    begin: Callable[[], None]
    batch: int


class Engine(Protocol):
    """A bundle's networks where they compute. Each is loaded when it is asked for, once.

    Every method raises BundleError where a file of the bundle is damaged.
    """

    @property
    def name(self) -> str:
        """ "onnxruntime" or "torch"."""
        ...

    @property
    def batch_invariant(self) -> bool:
        """Whether a draw's bytes are the same however many others are computed with it."""
        ...

    def generator(self) -> Generator: ...

    def classifier(self, role: str) -> Network:
        """The bundle's classifier in a role: "verifier" or "judge"."""
        ...
