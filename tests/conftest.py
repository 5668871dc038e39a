"""Fixtures: a vocabulary that is not CelebA's, tiny networks, a drawn CelebA folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import draw_celeba, make_bundle

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.training.prior import fit_prior

torch.set_num_threads(1)
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and tables would be as narrow as that

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
