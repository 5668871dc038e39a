"""The network that published FID figures are measured with. Its weights are a file that the user brings."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cfgan.errors import ConfigError, InputError
from cfgan.evaluation.extractors import PooledExtractor, digest_of
from cfgan.io.files import sha256_of

_MOST = 1 << 30  # bytes, far above that file
_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


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
        _check_file(weights)
        network = _network_class()
        # The package unpickles the file it is given; it is given one that was read without.
        buffer = io.BytesIO()
        torch.save(torch.load(weights, map_location="cpu", weights_only=True), buffer)
        buffer.seek(0)
        self._network = network("inception", ["2048"], feature_extractor_weights_path=buffer)
        super().__init__("inception", digest_of(self.PREPROCESSING, _SHA256.encode()), 2048, device)
        self._network.to(self._device)

    def _features(self, levels: Tensor) -> Tensor:
        features: Tensor = self._network(levels)[0]
        return features


def _check_file(path: Path) -> None:
    field = "inception-weights"
    if not path.is_file():
        raise InputError(f"there is no file {path}.", field=field, value=path)
    try:
        found = sha256_of(path, _MOST)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", field=field, value=path) from None
    if found != _SHA256:
        raise InputError(
            f"{path} is not the published file of the Inception weights: its sha256 begins with {found[:8]}, not "
            f"{_SHA256[:8]}. FID is only FID with pt_inception-2015-12-05-6726825d.pth.",
            field=field,
            value=path,
        )


def _network_class() -> Callable[..., Any]:
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
