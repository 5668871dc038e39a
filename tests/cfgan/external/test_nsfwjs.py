"""Networks of TensorFlow.js read and run without it, against plain numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nsfwjs_helpers import Arrays, layer, small_network, use_small_package, write_network

from cfgan.errors import DataError, InputError
from cfgan.external import nsfwjs
from cfgan.external.keras_layers import LayersModel
from cfgan.external.tensorflow_js import unpack


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def _convolved(x: np.ndarray, kernel: np.ndarray, stride: int, *, same: bool, depthwise: bool = False) -> np.ndarray:
    """x (N, H, W, C), kernel (h, w, in, out or multiplier): the definition, one output pixel after the other."""
    size = kernel.shape[0]
    if same:
        side = -(-x.shape[1] // stride)
        total = max((side - 1) * stride + size - x.shape[1], 0)
        edges = (total // 2, total - total // 2)
        x = np.pad(x, ((0, 0), edges, edges, (0, 0)))
    side = (x.shape[1] - size) // stride + 1
    rows = []
    for i in range(side):
        for j in range(side):
            patch = x[:, i * stride : i * stride + size, j * stride : j * stride + size]
            out = (patch * kernel[..., 0]).sum((1, 2)) if depthwise else np.einsum("nhwc,hwco->no", patch, kernel)
            rows.append(out)
    return np.stack(rows, 1).reshape(len(x), side, side, -1)


def _pooled(x: np.ndarray, how: Any) -> np.ndarray:
    """3 x 3 at every pixel, over what lies inside of the image."""
    y = np.empty_like(x)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            y[:, i, j] = how(x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2], axis=(1, 2))
    return y


def _by_numpy(images: torch.Tensor, w: Arrays) -> tuple[np.ndarray, np.ndarray]:
    def normed(x: np.ndarray, name: str) -> np.ndarray:
        part = {key: w[f"{name}/{key}"] for key in ("gamma", "beta", "moving_mean", "moving_variance")}
        return (x - part["moving_mean"]) / np.sqrt(part["moving_variance"] + 0.001) * part["gamma"] + part["beta"]

    x = np.pad(images.numpy().transpose(0, 2, 3, 1), ((0, 0), (0, 1), (0, 1), (0, 0)))
    x = np.clip(normed(_convolved(x, w["first/kernel"], 2, same=False), "first_norm"), 0, 6)
    x = normed(_convolved(x, w["deep/depthwise_kernel"], 2, same=True, depthwise=True), "deep_norm")
    x = np.maximum(_convolved(x, w["wide/kernel"], 1, same=True) + w["wide/bias"], 0)
    x = np.concatenate([_pooled(x, np.mean) + _pooled(x, np.max), x], -1)
    features = x.mean((1, 2))
    logits = features @ w["classes/kernel"] + w["classes/bias"]
    probability = np.exp(logits - logits.max(1, keepdims=True))
    return features, probability / probability.sum(1, keepdims=True)


def test_a_network_computes_what_its_layers_are_defined_to(tmp_path: Path, images: torch.Tensor) -> None:
    kept = write_network(tmp_path / "model", *small_network())
    network = nsfwjs.read_network(tmp_path / "model")
    features, classes = _by_numpy(images, kept)
    np.testing.assert_allclose(network.features(images).numpy(), features, atol=1e-4)
    np.testing.assert_allclose(network(images).numpy(), classes, atol=1e-5)


def test_features_are_pooled_over_whatever_side_there_is(tmp_path: Path) -> None:
    layers, weights = small_network(width=7)
    network = LayersModel({"config": {"layers": layers}}, weights)
    for side in (16, 33, 48):
        assert network.features(torch.zeros(3, 3, side, side)).shape == (3, 14)


def test_an_activation_read_beside_its_convolution_changes_neither(images: torch.Tensor) -> None:
    """Two layers read the convolution, so neither may be computed in its place."""
    layers = [
        layer("InputLayer", "in", []),
        {**small_network()[0][2], "inbound_nodes": [[["in", 0, 0, {}]]]},
        layer("Activation", "relu", ["first"], activation="relu"),
        layer("Concatenate", "both", ["first", "relu"], axis=3),
        layer("GlobalAveragePooling2D", "pooled", ["both"]),
    ]
    found = LayersModel({"config": {"layers": layers}}, small_network()[1]).features(images)
    assert (found[:, :8] < found[:, 8:]).all()  # some of the convolution is below 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"class_name": "LSTM"}, "kind LSTM"),
        ({"class_name": "Activation", "config": {"name": "x", "activation": "swish"}}, "swish"),
        ({"class_name": "ReLU", "config": {"name": "x", "negative_slope": 0.1}}, "leaky"),
    ],
)
def test_a_layer_that_is_not_implemented_is_named(changed: dict[str, Any], words: str) -> None:
    layers, weights = small_network()
    layers[4] = {**layers[4], **changed}
    with pytest.raises(DataError, match=words):
        LayersModel({"config": {"layers": layers}}, weights)


def test_missing_weights_are_named() -> None:
    layers, weights = small_network()
    del weights["wide/kernel"]
    with pytest.raises(DataError, match="wide lacks"):
        LayersModel({"config": {"layers": layers}}, weights)


def test_bytes_and_manifest_must_fit() -> None:
    manifest = [{"weights": [{"name": "a", "shape": [3], "dtype": "float32"}]}]
    np.testing.assert_array_equal(unpack(manifest, np.arange(3, dtype="<f4").tobytes())["a"], [0, 1, 2])
    for raw in (b"\0" * 8, b"\0" * 16):
        with pytest.raises(DataError, match="weights"):
            unpack(manifest, raw)


def test_a_literal_is_read_as_data_whatever_its_strings_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.js"
    path.write_text('!function(){x.exports=e()}(){a.exports={a:!0,b_1:-.5,"c":[!1,.25,1e-3],d:"{x:!0,.5}"}},{}]')
    assert nsfwjs._exported(path) == {"a": True, "b_1": -0.5, "c": [False, 0.25, 0.001], "d": "{x:!0,.5}"}


def test_files_of_another_form_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.min.js").write_text("module.exports={}")
    with pytest.raises(DataError, match="does not hold a layers model"):
        nsfwjs.read_network(tmp_path)


def test_another_package_is_refused_with_the_option_that_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = use_small_package(tmp_path / "package", monkeypatch)
    assert nsfwjs.network(package, "mobilenet_v2")
    with (package / "dist/models/mobilenet_v2/group1-shard1of2.min.js").open("a") as file:
        file.write(" ")
    with pytest.raises(InputError, match="sha256 is another") as told:
        nsfwjs.network(package, "mobilenet_v2")
    assert told.value.field == "--nsfwjs"
    with pytest.raises(InputError, match="is not the unpacked npm package nsfwjs@4.4.0"):
        nsfwjs.network(tmp_path, "inception_v3")
