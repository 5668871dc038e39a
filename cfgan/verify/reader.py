"""Who reads the attributes of an image: the verifier, and the judge where a bundle has one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.io.progress import Progress
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import Calibration
from cfgan.model.engine import Engine, Network

Bools = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.uint8]

_BATCH = 64


@dataclass(frozen=True)
class Reader:
    """A classifier with its calibration, reading at the thresholds of best balanced accuracy.

    Args:
        name: "verifier" or "judge".
        network: pixel levels to logits (N, A).
        calibration: fitted on held-out real images.
    """

    name: str
    network: Network
    calibration: Calibration

    def probability(self, levels: Levels, progress: Progress | None = None) -> npt.NDArray[np.float32]:
        """Pixel levels uint8 (N, 3, H, W) to calibrated probabilities float32 (N, A)."""
        parts = []
        for start in range(0, len(levels), _BATCH):
            parts.append(self.calibration.probabilities(self.network.logits(levels[start : start + _BATCH])))
            if progress:
                progress("reading", min(start + _BATCH, len(levels)), len(levels))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.calibration.threshold)), np.float32)

    def seen(self, levels: Levels, progress: Progress | None = None) -> Bools:
        """Pixel levels uint8 (N, 3, H, W) to which attributes are seen, bool (N, A)."""
        return np.asarray(self.probability(levels, progress) >= self.calibration.threshold)


def readers_of(bundle: Bundle, engine: Engine) -> list[Reader]:
    """The verifier, then the judge if the bundle has one. Raises BundleError."""
    return [reader_of(bundle, engine, role) for role in bundle.classifiers]


def reader_of(bundle: Bundle, engine: Engine, role: str) -> Reader:
    """A bundle's classifier in a role, loaded. Raises BundleError."""
    return Reader(role, engine.classifier(role), bundle.calibrations[role])
