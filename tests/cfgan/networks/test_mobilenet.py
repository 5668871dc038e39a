"""MobileNet-v2 by Keras's names, against its definition written out with plain functions; and a judge that reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers import small_store
from torch import Tensor
from torch.nn import functional as F

from cfgan.errors import ConfigError, InputError
from cfgan.networks.judge import TRUNKS, Judge, JudgeShape
from cfgan.networks.mobilenet import MobileNetV2
from cfgan.training.config import JudgeConfig, make_config
from cfgan.training.judge import train_judge

Weights = dict[str, npt.NDArray[np.float32]]
LAYOUT = [(16, 1)] + [(24, 2), (24, 1)] + [(32, 2)] + [(32, 1)] * 2 + [(64, 2)] + [(64, 1)] * 3 + [(96, 1)] * 3
"""Channels and stride of the thirteen blocks (Sandler et al. 2018, table 2)."""


@pytest.fixture(scope="module")
def weights() -> Weights:
    rng = np.random.default_rng(0)
    found: Weights = {}

    def layer(name: str, norm: str, shape: tuple[int, ...], outputs: int, kernel: str = "kernel") -> None:
        found[f"{name}/{kernel}"] = rng.normal(0, 0.3, shape).astype(np.float32)
        for part, low in (("gamma", 0.5), ("beta", -0.2), ("moving_mean", -0.2), ("moving_variance", 0.5)):
            found[f"{norm}/{part}"] = rng.uniform(low, low + 1, outputs).astype(np.float32)

    layer("Conv1", "bn_Conv1", (3, 3, 3, 32), 32)
    inputs = 32
    for place, (outputs, _) in enumerate(LAYOUT):
        name = "expanded_conv" if place == 0 else f"block_{place}"
        inner = inputs if place == 0 else 6 * inputs
        if place:
            layer(f"{name}_expand", f"{name}_expand_BN", (1, 1, inputs, inner), inner)
        layer(f"{name}_depthwise", f"{name}_depthwise_BN", (3, 3, inner, 1), inner, "depthwise_kernel")
        layer(f"{name}_project", f"{name}_project_BN", (1, 1, inner, outputs), outputs)
        inputs = outputs
    return found


def by_definition(weights: Weights, x: Tensor) -> Tensor:
    def norm(y: Tensor, name: str) -> Tensor:
        mean, variance, gamma, beta = (
            torch.from_numpy(weights[f"{name}/{part}"]) for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return F.batch_norm(y, mean, variance, gamma, beta, eps=1e-3)

    def conv(y: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel = torch.from_numpy(weights[f"{name}/kernel"]).permute(3, 2, 0, 1)
        return F.conv2d(F.pad(y, (0, 1, 0, 1)) if stride == 2 else y, kernel, None, stride)

    x = F.relu6(norm(conv(x, "Conv1", 2), "bn_Conv1"))
    for place, (outputs, stride) in enumerate(LAYOUT):
        name = "expanded_conv" if place == 0 else f"block_{place}"
        y = x
        if place:
            y = F.relu6(norm(conv(y, f"{name}_expand"), f"{name}_expand_BN"))
        kernel = torch.from_numpy(weights[f"{name}_depthwise/depthwise_kernel"]).permute(2, 3, 0, 1)
        y = F.pad(y, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        y = F.relu6(norm(F.conv2d(y, kernel, None, stride, groups=y.shape[1]), f"{name}_depthwise_BN"))
        y = norm(conv(y, f"{name}_project"), f"{name}_project_BN")
        x = x + y if stride == 1 and outputs == x.shape[1] else y
    return x


def test_it_computes_what_the_definition_says(weights: Weights) -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 64, 64)
    network = MobileNetV2().load_keras(weights)
    found, wanted = network(images), by_definition(weights, images)
    assert found.shape == (2, 96, 4, 4)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))
    with pytest.raises(KeyError):
        MobileNetV2().load_keras({name: value for name, value in weights.items() if "block_7" not in name})


@pytest.mark.parametrize("trunk", sorted(TRUNKS))
def test_a_judge_over_any_trunk_reads_images(trunk: str) -> None:
    judge = Judge(JudgeShape(3, side=32, width=4, hidden=8, trunk=trunk)).eval()
    assert judge.trunk(torch.zeros(2, 3, 16, 16)).shape == (2, TRUNKS[trunk].channels, 2, 2)
    assert judge(torch.zeros(2, 3, 16, 16)).shape == (2, 3)
    with pytest.raises(ValueError, match="trunk must be one of"):
        JudgeShape(3, trunk="other")


def test_a_judge_over_mobilenet_needs_the_package_that_carries_its_weights(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    config = make_config(JudgeConfig, {"trunk": "mobilenet-v2", "images": 8, "side": 32, "device": "cpu"})
    with pytest.raises(ConfigError, match="--nsfwjs"):
        train_judge(store, tmp_path / "run", config)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is not the unpacked npm package nsfwjs@4.4.0"):
        train_judge(store, tmp_path / "run", config, nsfwjs=tmp_path / "empty")
    assert not (tmp_path / "run").exists()
