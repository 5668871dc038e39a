"""Who reads the attributes of an image: the verifier, and the judge where a bundle has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cfgan.io.progress import Progress
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import Calibration
from cfgan.model.classifiers import Classifier
from cfgan.verify.gate import probabilities

if TYPE_CHECKING:
    import torch
    from torch import nn

Bools = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.uint8]

_BATCH = 64


@dataclass(frozen=True)
class Reader:
    """A classifier with its calibration, reading at the thresholds of best balanced accuracy.

    Args:
        name: "verifier" or "judge".
        network: images in -1..1 to logits (N, A).
        calibration: fitted on held-out real images.
        device: where the network is.
    """

    name: str
    network: nn.Module
    calibration: Calibration
    device: torch.device

    def probability(self, levels: Levels, progress: Progress | None = None) -> npt.NDArray[np.float32]:
        """Pixel levels uint8 (N, 3, H, W) to calibrated probabilities float32 (N, A)."""
        import torch

        parts = []
        for start in range(0, len(levels), _BATCH):
            chunk = torch.from_numpy(np.ascontiguousarray(levels[start : start + _BATCH])).to(self.device)
            images = chunk.float().mul_(2 / 255).sub_(1).contiguous(memory_format=torch.channels_last)
            parts.append(probabilities(self.network, self.calibration, images))
            if progress:
                progress("reading", min(start + _BATCH, len(levels)), len(levels))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.calibration.threshold)), np.float32)

    def seen(self, levels: Levels, progress: Progress | None = None) -> Bools:
        """Pixel levels uint8 (N, 3, H, W) to which attributes are seen, bool (N, A)."""
        return np.asarray(self.probability(levels, progress) >= self.calibration.threshold)


def readers_of(bundle: Bundle, device: torch.device) -> list[Reader]:
    """The verifier, then the judge if the bundle has one. Raises BundleError."""
    return [reader_of(classifier, device) for classifier in bundle.classifiers.values()]


def reader_of(classifier: Classifier, device: torch.device) -> Reader:
    """A bundle's classifier, loaded, on a device. Raises BundleError."""
    return Reader(classifier.role, classifier.load().to(device), classifier.calibration, device)
