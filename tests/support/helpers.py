"""What fixtures and tests build things with: tiny bundles and drawn pictures, never a real face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors
from torch import nn

from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import RequestCell, VerifySpec
from cfgan.attributes.vocabulary import CELEBA, Vocabulary
from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import PackedDataset, pack
from cfgan.generate.sampling import Sampler
from cfgan.model.bundle import Bundle, write_bundle
from cfgan.model.calibration import Calibration
from cfgan.networks.classifier import AttributeClassifier, ClassifierShape
from cfgan.networks.dcgan import Discriminator, Generator
from cfgan.networks.judge import Judge, JudgeShape
from cfgan.networks.shape import GanShape

SMALL: dict[str, object] = {"width": 8, "batch": 4, "z_dim": 6, "embed": 8, "images": 48, "save_images": 16}
SMALL |= {"log_images": 8, "sample_images": 24, "threads": 1, "device": "cpu", "penalty_steps": 2}
"""Settings of a GAN run that takes a second."""
SEEN: dict[str, object] = {"widths": [4, 8], "batch": 4, "images": 48, "save_images": 16, "log_images": 8}
SEEN |= {"device": "cpu", "threads": 1}
"""Settings of a classifier's run that takes a second."""


def small_store(folder: Path, names: tuple[str, ...] = ("Red", "Round", "Cat")) -> PackedDataset:
    """A packed store of drawn heads, 16 pixels a side."""
    return pack(read_celeba(draw_celeba(folder / "celeba", names=names)), folder / "store", 16)[0]


def make_bundle(
    folder: Path, vocabulary: Vocabulary, prior: Prior, *, seed: int = 0, with_judge: bool = False
) -> Bundle:
    """A bundle of tiny random networks whose thresholds let about half of the draws pass for each attribute."""
    torch.manual_seed(seed)
    a = len(vocabulary)
    shape = GanShape(attributes=a, size=16, width=8, z_dim=8, embed=8)
    seen = ClassifierShape(a, (4, 8), 0.0)
    parts: dict[str, nn.Module] = {
        "generator": Generator(shape),
        "discriminator": Discriminator(shape),
        "verifier": AttributeClassifier(seen),
    }
    if with_judge:
        parts["judge"] = Judge(JudgeShape(a, side=32, width=4, hidden=8))
    weights = {f"{name}.safetensors": save_tensors(module.state_dict()) for name, module in parts.items()}
    weights["prior.safetensors"] = save_arrays(prior.to_arrays())
    calibration = Calibration(np.full(a, 4.0), np.zeros(a), np.full(a, 0.5))
    config: dict[str, Any] = {
        "name": "tiny",
        "licence": "none",
        "data": "drawn",
        "training": {"images": 0, "seconds": 0, "settings": {}},
        "vocabulary": vocabulary.to_dict(),
        "generator": shape.to_dict(),
        "verifier": {"shape": seen.to_dict(), "calibration": calibration.to_dict()},
    }
    if with_judge:
        config["judge"] = {"shape": parts["judge"].shape.to_dict(), "calibration": calibration.to_dict()}
    bundle = write_bundle(folder, config, weights, "# tiny")
    cell = RequestCell("any", {}, 256, 1, verify=VerifySpec(enabled=False))
    calibration.threshold[:] = np.median(Sampler(bundle, "cpu").draw(cell, range(256)).probability, axis=0)
    config["verifier"]["calibration"] = calibration.to_dict()
    return write_bundle(folder, config, weights, "# tiny")


def small_bundle(folder: Path) -> Bundle:
    """A bundle of tiny random networks for the attributes and the size of :func:`small_store`."""
    vocabulary = Vocabulary(("Red", "Round", "Cat"))
    counts = np.full((3, 3), 5, dtype=np.int64)
    prior = Prior(vocabulary, np.zeros(3), np.zeros((3, 3)), counts, 2 * counts, 10)
    return make_bundle(folder, vocabulary, prior)


def draw_celeba(folder: Path, count: int = 20, names: tuple[str, ...] = CELEBA.names) -> Path:
    """A folder in the official layout, with drawn heads instead of people."""
    images = folder / "img_align_celeba"
    images.mkdir(parents=True)
    rng = np.random.default_rng(3)
    rows, splits = [], []
    for i in range(1, count + 1):
        name = f"{i:06d}.jpg"
        image = Image.new("RGB", (178, 218), tuple(int(v) for v in rng.integers(0, 255, 3)))
        ImageDraw.Draw(image).ellipse((40, 50, 140, 180), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
        image.save(images / name, quality=90)
        rows.append(f"{name}  " + "  ".join(str(v) for v in rng.choice([-1, 1], len(names))))
        splits.append(f"{name} {0 if i <= count * 0.8 else 1}")
    (folder / "list_attr_celeba.txt").write_text(f"{count}\n{' '.join(names)}\n" + "\n".join(rows) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(splits) + "\n")
    return folder
