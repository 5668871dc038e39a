from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import make_bundle
from torch import nn

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.evaluation import control
from cfgan.evaluation.control import measure_control
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import Calibration
from cfgan.model.torch_engine import TorchNetwork
from cfgan.verify.reader import Reader

NAMES = ("Bright", "Left", "Idle")


class Painter(nn.Module):
    """Bright lightens the whole image; Left lightens its left half; Idle does nothing."""

    def forward(self, z: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        images = condition[:, :1, None, None].expand(-1, 3, 8, 8).clone() * 0.5
        images[:, :, :, :4] += 0.3 * condition[:, 1, None, None, None]
        return images


class Eye(nn.Module):
    """Bright: the right half is light; Left: the left half is lighter than the right one; Idle: the mean is high."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left, right = images[..., :4].mean((1, 2, 3)), images[..., 4:].mean((1, 2, 3))
        return torch.stack([right, left - right, images.mean((1, 2, 3))], 1) * 50


@pytest.fixture
def painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    counts = np.full((3, 3), 500, dtype=np.int64)
    prior = Prior(Vocabulary(NAMES), np.zeros(3), np.zeros((3, 3)), counts, 2 * counts, 1000)
    bundle = make_bundle(tmp_path / "bundle", Vocabulary(NAMES), prior)
    monkeypatch.setattr(Bundle, "generator", lambda self: Painter())
    calibration = Calibration(np.ones(3), np.zeros(3), np.full(3, 0.5))
    reader = Reader("judge", TorchNetwork(Eye(), torch.device("cpu")), calibration)
    monkeypatch.setattr(control, "readers_of", lambda bundle, device: [reader])
    return bundle


def test_effect_and_leak_of_a_painter_whose_rules_are_known(painted: Bundle) -> None:
    found = measure_control(painted, latents=40, device="cpu")
    assert found.effect == pytest.approx([1, 1, 0])  # asking for Idle changes nothing
    assert found.moved[0] == pytest.approx([1, 0, 1])  # Bright moves what Idle is read from: a leak
    assert found.leak[0] == pytest.approx(0.5) and found.leak[2] == 0
    assert found.largest_leaks(0, 1) == [("Idle", pytest.approx(1.0))]
    assert found.error[0, 0] == 0 and found.on[0] == 1 and found.off[0] == 0
    assert found.strips.shape == (3, 2, 6, 3, 8, 8)
    table = found.to_dict()
    assert table["attributes"]["Bright"]["largest_leaks"][0]["attribute"] == "Idle"
    assert table["mean_effect"] == pytest.approx(2 / 3)


def test_the_same_seed_gives_the_same_figures(painted: Bundle) -> None:
    first, again = (measure_control(painted, latents=8, seed=1, device="cpu") for _ in range(2))
    assert (first.moved == again.moved).all() and (first.strips == again.strips).all()
