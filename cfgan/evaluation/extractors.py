"""Networks that turn images into features, behind one small interface; each is named, and its digest says which it is.

Which ones a person can choose by name stands in :mod:`cfgan.evaluation.extractor_names`. No weights are downloaded, and
none are unpickled.
"""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.errors import DataError
from cfgan.external.efficientnet import SHA256, published_efficientnet
from cfgan.io.progress import Progress
from cfgan.networks import efficientnet

_CPU_CHUNK = 4  # images at a time on a CPU: at 224 pixels 32 spill out of the caches and take twice as long


@runtime_checkable
class Extractor(Protocol):
    """Pixel levels to features."""

    @property
    def name(self) -> str:
        """What it is called beside its figures."""
        ...

    @property
    def digest(self) -> str:
        """sha256 of weights and preprocessing, hex: features of equal digests can be compared."""
        ...

    @property
    def dimensions(self) -> int:
        """Length D of a feature vector."""
        ...

    def __call__(self, levels: Tensor) -> Tensor:
        """uint8 (N, 3, H, W), 0..255, to float32 (N, D) on the CPU. Raises DataError: another type or shape."""
        ...


class FeatureNetwork(Protocol):
    """A classifier that shows what its last layer reads."""

    def features(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to (N, D)."""
        ...


class PooledExtractor(ABC):
    """Checks, device and chunks, the same for all."""

    cpu_chunk = _CPU_CHUNK

    def __init__(self, name: str, digest: str, dimensions: int, device: torch.device | None) -> None:
        self.name, self.digest, self.dimensions = name, digest, dimensions
        self._device = device or torch.device("cpu")

    @abstractmethod
    def _features(self, levels: Tensor) -> Tensor:
        """Features of one chunk, (n, D), on the device."""

    @torch.inference_mode()
    def __call__(self, levels: Tensor) -> Tensor:
        if levels.dtype != torch.uint8 or levels.ndim != 4 or levels.shape[1] != 3:
            raise DataError(f"images must be uint8 (N, 3, H, W), not {levels.dtype} {tuple(levels.shape)}.")
        if not len(levels):
            return torch.zeros(0, self.dimensions)
        chunk = self.cpu_chunk if self._device.type == "cpu" else len(levels)
        return torch.cat([self._features(part.to(self._device)).float().cpu() for part in torch.split(levels, chunk)])


class EfficientNetExtractor(PooledExtractor):
    """EfficientNet-Lite0 trained on ImageNet (Tan & Le, ICML 2019), pooled features before the last layer, D = 1,280.

    Images are enlarged to 224 x 224 (bicubic with antialiasing, as Pillow does), the side that the network was trained
    at, and scaled as (level - 127) / 128. The side was chosen by measuring, 64-pixel faces enlarged to 64, 96, 128,
    160, 192 and 224: with every step the distance of two halves of real faces falls, and that of generated, noisy and
    blurred faces rises against it, and a linear reading of the attributes gets better; 224 is slowest and separates
    best.

    Raises:
        ConfigError: the package with the weights is missing, or its file is another one.
    """

    SIDE = 224
    PREPROCESSING = "bicubic antialias 224x224, clamp 0..255, (level-127)/128, pooled features"

    def __init__(self, device: torch.device | None = None) -> None:
        self._network = published_efficientnet()
        digest = digest_of(self.PREPROCESSING, SHA256.encode())
        super().__init__("efficientnet-lite0", digest, efficientnet.FEATURES, device)
        self._network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _features(self, levels: Tensor) -> Tensor:
        x = F.interpolate(levels.float(), size=(self.SIDE, self.SIDE), mode="bicubic", antialias=True)
        x = x.clamp_(0, 255).sub_(127).div_(128)  # bicubic overshoots
        return self._network.features(x.contiguous(memory_format=torch.channels_last))


class ClassifierExtractor(PooledExtractor):
    """Features of a classifier of attributes at hand, at the side that it was trained at.

    They say what that classifier looks at, and no more: a generator that it guided is flattered by it.

    Args:
        network: a module with ``features``; a copy is used, so later training does not change the digest.
        name: to be shown with the figures, "verifier" say.
        size: side of the images in pixels.
        device: where to compute; the CPU by default.
    """

    PREPROCESSING = "level*2/255-1, features"

    def __init__(
        self,
        network: FeatureNetwork,
        name: str = "classifier",
        *,
        size: int = 64,
        device: torch.device | None = None,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError("network must be a torch module")
        module: Any = copy.deepcopy(network).eval().requires_grad_(False)
        weights = (
            f"{key} {value.dtype} {tuple(value.shape)}".encode() + value.cpu().contiguous().numpy().tobytes()
            for key, value in sorted(module.state_dict().items())
        )
        digest = digest_of(f"{type(network).__name__} {self.PREPROCESSING}", *weights)
        self._size = size
        self._network = module.to(device or torch.device("cpu"), memory_format=torch.channels_last)
        super().__init__(name, digest, 0, device)
        self.dimensions = self._features(torch.zeros(1, 3, size, size, dtype=torch.uint8, device=self._device)).shape[1]

    def _features(self, levels: Tensor) -> Tensor:
        if levels.shape[2:] != (self._size, self._size):
            raise DataError(f"{self.name} reads images of {self._size} pixels, not {tuple(levels.shape[2:])}.")
        images = levels.float().mul_(2 / 255).sub_(1).contiguous(memory_format=torch.channels_last)
        features: Tensor = self._network.features(images)
        return features


def extract(
    extractor: Extractor,
    levels: npt.NDArray[np.uint8],
    *,
    rows: npt.NDArray[np.int64] | None = None,
    batch: int = 64,
    progress: Progress | None = None,
) -> npt.NDArray[np.float32]:
    """Features of many images, a batch at a time: a memory-mapped array is never read as a whole.

    Args:
        extractor: which.
        levels: uint8 (N, 3, H, W), 0..255.
        rows: which images; all when None.
        batch: images at a time.
        progress: called with images done and in all.

    Returns:
        float32 (N or rows, D).

    Raises:
        DataError: another type or shape, or features that are not finite.
    """
    chosen = np.arange(len(levels)) if rows is None else rows
    features = np.empty((len(chosen), extractor.dimensions), np.float32)
    for start in range(0, len(chosen), batch):
        part = np.ascontiguousarray(levels[chosen[start : start + batch]])
        features[start : start + len(part)] = extractor(torch.from_numpy(part)).numpy()
        if progress:
            progress("reading", start + len(part), len(chosen))
    if not np.isfinite(features).all():
        raise DataError(f"{extractor.name} gives features that are not finite.")
    return features


def digest_of(preprocessing: str, *weights: bytes) -> str:
    """sha256, hex, over a description of the preprocessing and what tells the weights from others."""
    digest = hashlib.sha256(preprocessing.encode())
    for part in weights:
        digest.update(hashlib.sha256(part).digest())  # so that no two divisions into parts are alike
    return digest.hexdigest()
