"""Fixtures: a vocabulary that is not CelebA's, tiny networks, a drawn CelebA folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors

from cfgan.bundle import Bundle, open_bundle, write_bundle
from cfgan.evaluation.calibration import Calibration
from cfgan.generation import Drawer
from cfgan.networks.classifier import AttributeClassifier, ClassifierShape
from cfgan.networks.dcgan import Discriminator, GanShape, Generator
from cfgan.prior import Prior
from cfgan.prior_fit import fit_prior
from cfgan.spec import Cell, VerifySpec
from cfgan.vocabulary import CELEBA, Vocabulary

torch.set_num_threads(1)

NAMES = ("Red", "Round", "Striped", "Very_Big", "Cat", "Dog")


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary(NAMES, groups={"animal": ("Cat", "Dog")}, exclusive=(frozenset({"Cat", "Dog"}),))


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    """4,000 rows: Round follows Red, Cat and Dog never meet, Striped with Very_Big never though both are common."""
    rng = np.random.default_rng(5)
    x = np.where(rng.random((4000, len(NAMES))) < [0.4, 0.5, 0.3, 0.4, 0.5, 0.5], 1.0, -1.0)
    x[:, 1] = np.where(rng.random(4000) < 0.8, x[:, 0], -x[:, 0])
    x[:, 5] = np.where(x[:, 4] > 0, -1.0, x[:, 5])
    x[:, 3] = np.where(x[:, 2] > 0, -1.0, x[:, 3])
    return x.astype(np.float32)


@pytest.fixture(scope="session")
def prior(vocabulary: Vocabulary, labels: np.ndarray) -> Prior:
    return fit_prior(vocabulary, labels, iterations=300)


def make_bundle(folder: Path, vocabulary: Vocabulary, prior: Prior, *, seed: int = 0) -> Bundle:
    """A bundle of tiny random networks whose thresholds let about half of the draws pass for each attribute."""
    torch.manual_seed(seed)
    a = len(vocabulary)
    shape = GanShape(attributes=a, size=16, width=8, z_dim=8, embed=8)
    seen = ClassifierShape(a, (4, 8), 0.0)
    parts = {
        "generator": Generator(shape),
        "discriminator": Discriminator(shape),
        "verifier": AttributeClassifier(seen),
    }
    weights = {f"{name}.safetensors": save_tensors(module.state_dict()) for name, module in parts.items()}
    weights["prior.safetensors"] = save_arrays(prior.to_arrays())
    calibration = Calibration(np.full(a, 4.0), np.zeros(a), np.full(a, 0.5))
    config = {
        "name": "tiny",
        "licence": "none",
        "vocabulary": vocabulary.to_dict(),
        "generator": shape.to_dict(),
        "verifier": {"shape": seen.to_dict(), "calibration": calibration.to_dict()},
    }
    bundle = write_bundle(folder, config, weights, "# tiny")
    cell = Cell("any", {}, 256, 1, verify=VerifySpec(enabled=False))
    calibration.threshold[:] = np.median(Drawer(bundle, "cpu").draw(cell, range(256)).probability, axis=0)
    config["verifier"]["calibration"] = calibration.to_dict()
    return write_bundle(folder, config, weights, "# tiny")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny", vocabulary, prior)


@pytest.fixture
def own_bundle(tmp_path: Path, tiny_bundle: Bundle) -> Path:
    """A copy that a test may damage."""
    folder = tmp_path / "own"
    folder.mkdir()
    for path in tiny_bundle.path.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert open_bundle(folder).digest == tiny_bundle.digest
    return folder


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


@pytest.fixture
def celeba_folder(tmp_path: Path) -> Path:
    return draw_celeba(tmp_path / "celeba")


@pytest.fixture(scope="session")
def real_celeba() -> Path:
    """A folder with real CelebA labels, named by the environment."""
    folder = os.environ.get("CFGAN_CELEBA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CFGAN_CELEBA does not name a CelebA folder")
    return Path(folder)
