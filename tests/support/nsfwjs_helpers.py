"""A small network in the files of nsfwjs: JavaScript around a literal with unquoted names, and base64 weights."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cfgan.external import nsfwjs
from cfgan.io.files import sha256_of

Arrays = dict[str, np.ndarray]


def layer(kind: str, name: str, reads: list[str], **config: Any) -> dict[str, Any]:
    """A layer as Keras writes it down."""
    nodes = [[[each, 0, 0, {}] for each in reads]] if reads else []
    return {"name": name, "class_name": kind, "config": {"name": name, **config}, "inbound_nodes": nodes}


def conv(kind: str, name: str, reads: str, **config: Any) -> dict[str, Any]:
    """A convolution with the settings that the tests do not care about."""
    common = {"padding": "same", "strides": [1, 1], "dilation_rate": [1, 1], "activation": "linear", "use_bias": False}
    return layer(kind, name, [reads], **(common | config))


def small_network(width: int = 12, seed: int = 0) -> tuple[list[dict[str, Any]], Arrays]:
    """Layers of every kind that the two published networks have, and random weights."""
    rng = np.random.default_rng(seed)

    def norm(name: str, reads: str) -> dict[str, Any]:
        return layer("BatchNormalization", name, [reads], axis=-1, epsilon=0.001, center=True, scale=True)

    layers = [
        layer("InputLayer", "in", [], batch_input_shape=[None, 32, 32, 3]),
        layer("ZeroPadding2D", "pad", ["in"], padding=[[0, 1], [0, 1]]),
        conv("Conv2D", "first", "pad", padding="valid", strides=[2, 2]),
        norm("first_norm", "first"),
        layer("ReLU", "first_relu", ["first_norm"], max_value=6, negative_slope=0, threshold=0),
        conv("DepthwiseConv2D", "deep", "first_relu", strides=[2, 2]),
        norm("deep_norm", "deep"),
        conv("Conv2D", "wide", "deep_norm", use_bias=True, activation="relu"),
        layer("AveragePooling2D", "mean", ["wide"], pool_size=[3, 3], strides=[1, 1], padding="same"),
        layer("MaxPooling2D", "most", ["wide"], pool_size=[3, 3], strides=[1, 1], padding="same"),
        layer("Add", "sum", ["mean", "most"]),
        layer("Concatenate", "both", ["sum", "wide"], axis=-1),
        layer("AveragePooling2D", "pooled", ["both"], pool_size=[8, 8], strides=[8, 8], padding="valid"),
        layer("Flatten", "flat", ["pooled"]),
        layer("Dropout", "drop", ["flat"], rate=0.5),
        layer("Dense", "classes", ["drop"], activation="softmax", use_bias=True),
    ]
    weights: Arrays = {
        "first/kernel": rng.normal(0, 0.4, (3, 3, 3, 8)),
        "deep/depthwise_kernel": rng.normal(0, 0.4, (3, 3, 8, 1)),
        "wide/kernel": rng.normal(0, 0.3, (1, 1, 8, width)),
        "wide/bias": rng.normal(0, 0.1, width),
        "classes/kernel": rng.normal(0, 0.3, (2 * width, 5)),
        "classes/bias": rng.normal(0, 0.1, 5),
    }
    for name in ("first_norm", "deep_norm"):
        weights |= {f"{name}/{part}": rng.uniform(0.5, 1.5, 8) for part in ("gamma", "moving_variance")}
        weights |= {f"{name}/{part}": rng.normal(0, 0.2, 8) for part in ("beta", "moving_mean")}
    return layers, {name: value.astype(np.float32) for name, value in weights.items()}


def write_network(folder: Path, layers: list[dict[str, Any]], weights: Arrays, shards: int = 2) -> Arrays:
    """Write the files; the weights as bytes with a scale and a minimum. Returns what these bytes stand for."""
    folder.mkdir(parents=True)
    entries, raw, kept = [], b"", {}
    for name, value in weights.items():
        least, scale = float(value.min()), max(float(np.ptp(value)) / 255, 1e-6)
        levels = np.round((value - least) / scale).astype(np.uint8)
        quantization = {"min": least, "scale": scale, "dtype": "uint8"}
        entries.append({"name": name, "shape": list(value.shape), "dtype": "float32", "quantization": quantization})
        raw += levels.tobytes()
        kept[name] = levels * np.float32(scale) + np.float32(least)
    names = [f"group1-shard{k + 1}of{shards}" for k in range(shards)]
    model = {
        "modelTopology": {"model_config": {"class_name": "Model", "config": {"name": "m:1", "layers": layers}}},
        "weightsManifest": [{"paths": names, "weights": entries}],
    }
    (folder / "model.min.js").write_text(_wrapped(_literal(model)))
    edges = np.linspace(0, len(raw), shards + 1).astype(int)
    for k, name in enumerate(names):
        text = base64.b64encode(raw[edges[k] : edges[k + 1]]).decode()
        (folder / f"{name}.min.js").write_text(_wrapped(f'"{text}"'))
    return kept


def use_small_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with two small networks under the published names, its digests taken for the published ones."""
    digests = {}
    for seed, name in enumerate(nsfwjs.NETWORKS):
        models = folder / "dist" / "models" / name
        write_network(models, *small_network(seed=seed))
        digests[name] = {path.name: sha256_of(path) for path in models.iterdir()}
    monkeypatch.setattr(nsfwjs, "NETWORKS", digests)
    return folder


def _wrapped(literal: str) -> str:
    before = "!function(e){module.exports=e()}(function(){return({1:[function(e,a,n){a.exports="
    return before + literal + "},{}]})});"


def _literal(value: Any) -> str:
    """As a minifier writes it: names without quotes, !0 and !1, numbers without the 0 before the point."""
    text = json.dumps(value, separators=(",", ":"))
    text = re.sub(r'([{,])"([A-Za-z_]\w*)":', r"\1\2:", text)
    text = re.sub(r"(?<=[:,\[])(-?)0\.(?=\d)", r"\1.", text)
    return re.sub(r"(?<=[:,\[])(true|false)", lambda match: {"true": "!0", "false": "!1"}[match.group()], text)
