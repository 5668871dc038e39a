"""Two ImageNet networks that nothing here was trained, guided or chosen by: MobileNet-v2 and Inception-v3 of nsfwjs.

They were trained on ImageNet and fine-tuned to tell five kinds of photographs and drawings apart (G. Laborde, NSFWJS,
2019; MIT). Their pooled features serve as an outside look at faces; their classes are of no use here. The npm package
carries the weights:

    npm pack nsfwjs@4.4.0
    tar xzf nsfwjs-4.4.0.tgz
    cfgan evaluate --data STORE --nsfwjs package

Each file is compared with its sha256. The files are JavaScript around a literal, which is read as data and never run.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError, InputError
from cfgan.external.keras_layers import LayersModel
from cfgan.external.tensorflow_js import unpack
from cfgan.io.files import is_published

PACKAGE = "nsfwjs@4.4.0"
FIELD = "--nsfwjs"

NETWORKS: Mapping[str, Mapping[str, str]] = {
    "mobilenet_v2": {
        "model.min.js": "c32f104fd562b08cdff5ed69dfe1209643afa47e792fb12751d2949aa61a397a",
        "group1-shard1of1.min.js": "ef2e0a63f7d2c4960b37b024b669313f65d3c45cd59e9042636c55b39de53517",
    },
    "inception_v3": {
        "model.min.js": "8c2b793b9d277840fc757725bf3b135c96d5a54ec020e2b4ab569fc3df6b3848",
        "group1-shard1of6.min.js": "e9316ac20ff634f990e483062050afe9a4826885c3a212d676ce2cfda93a4884",
        "group1-shard2of6.min.js": "467b33d62b4c470edf8acd3da554e331f2d49f3f93ddd718f944f595c516cd82",
        "group1-shard3of6.min.js": "075300e057ca7e9fd2e282afbc3a6596a0404288c94bf781e9b20658cbeee664",
        "group1-shard4of6.min.js": "b51ee46e062e752e81c28761a56369432671bfb3d59f4f062f5bd4dd58ff5303",
        "group1-shard5of6.min.js": "d4149969b3c61e0d4dde1d4f555f5b00f4fc87f6bab1a4cd4967b24f62725de6",
        "group1-shard6of6.min.js": "b684762a7d7c39b80183d260bdab6f072321349300f9f2ff144a085a382acfc4",
    },
}
"""Network -> file -> sha256, as the package has them."""

_EXPORT = re.compile(r"\.exports=(?=[{\"])")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|([{,])([A-Za-z_$][\w$]*):|!([01])|(?<![\w.])\.(?=\d)')


def network(folder: Path, name: str) -> LayersModel:
    """One of ``NETWORKS``, for inference, on the CPU; it reads images (N, 3, H, W) in 0..1.

    Args:
        folder: the unpacked package.
        name: which.

    Raises:
        InputError: a file is missing there, or another one than that of the version named.
    """
    return read_network(checked(folder, name))


def checked(folder: Path, name: str) -> Path:
    """Where the package keeps a network, after each of its files was compared. Raises InputError."""
    models = folder / "dist" / "models" / name
    for file, digest in NETWORKS[name].items():
        _check(models / file, digest, folder)
    return models


def weights(folder: Path, name: str) -> dict[str, npt.NDArray[np.float32]]:
    """The weights of one of ``NETWORKS`` by Keras's names, ``block_1_expand/kernel`` say, axes as TensorFlow has them.

    Raises:
        InputError: a file is missing there, or another one than that of the version named.
    """
    models = checked(folder, name)
    return _unpacked(models, _exported(models / "model.min.js"))


def read_network(models: Path) -> LayersModel:
    """A network from a folder in the package's form: ``model.min.js`` and the files of weights that it names.

    Raises:
        DataError: the files are not of that form, or the network has layers that are not implemented.
    """
    try:
        about = _exported(models / "model.min.js")
        return LayersModel(about["modelTopology"]["model_config"], _unpacked(models, about))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise DataError(f"{models} does not hold a layers model: {error}.") from None


def _unpacked(models: Path, about: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float32]]:
    manifest = about["weightsManifest"]
    paths = [path for group in manifest for path in group["paths"]]
    raw = b"".join(base64.b64decode(_exported(models / f"{path}.min.js"), validate=True) for path in paths)
    return unpack(manifest, raw)


def digest_parts(name: str) -> list[bytes]:
    """What tells the weights of a network from others: the sha256 of its files."""
    return [f"{file} {digest}".encode() for file, digest in sorted(NETWORKS[name].items())]


def _exported(path: Path) -> Any:
    """What a CommonJS module exports: one literal of objects, lists, strings, numbers and truth values."""
    text = path.read_text(encoding="utf-8")
    places = list(_EXPORT.finditer(text))
    if not places:
        raise DataError(f"{path} exports nothing.")
    literal = text[places[-1].end() :]
    value, _ = json.JSONDecoder().raw_decode(_TOKEN.sub(_as_json, literal))
    return value


def _as_json(token: re.Match[str]) -> str:
    text = token.group()
    if text.startswith('"'):
        return text
    if token.group(2) is not None:
        return f'{token.group(1)}"{token.group(2)}":'
    return {"!0": "true", "!1": "false"}.get(text, "0.")


def _check(path: Path, digest: str, folder: Path) -> None:
    if not path.is_file():
        raise InputError(
            f"{folder} is not the unpacked npm package {PACKAGE}: no {path.parent.name}/{path.name}.",
            field=FIELD,
            value=folder,
        )
    if not is_published(path, digest):
        raise InputError(f"{path} is not the file of {PACKAGE}: its sha256 is another.", field=FIELD, value=folder)
