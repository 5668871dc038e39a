"""Realism over networks that took no part: what is cut out, what stands beside what, and at which counts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import draw_celeba

from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import PackedDataset, pack
from cfgan.errors import DataError
from cfgan.evaluation.crops import FRAME, PARTS, PartExtractor
from cfgan.evaluation.realism import PROBED, measure_realism

NAMES = ("Red", "Round", "Cat")


class Means:
    """A network to which an image is its mean colours in a 2 x 2 grid."""

    name, dimensions = "means", 12

    def __init__(self, digest: str = "m" * 64) -> None:
        self.digest, self.shapes = digest, set[tuple[int, ...]]()

    def __call__(self, levels: torch.Tensor) -> torch.Tensor:
        self.shapes.add(tuple(levels.shape[1:]))
        return torch.nn.functional.adaptive_avg_pool2d(levels.float(), 2).flatten(1) / 255


class Bright:
    """A detector that takes bright images for faces."""

    name = "bright"

    def count(self, levels: np.ndarray, progress: object = None) -> int:
        return int((levels.mean((1, 2, 3)) > 127).sum())


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    folder = tmp_path_factory.mktemp("realism")
    return pack(read_celeba(draw_celeba(folder / "c", 120, NAMES)), folder / "s", 32)[0]


@pytest.fixture(scope="module")
def drawn(store: PackedDataset) -> np.ndarray:
    real = np.asarray(store.images[store.rows("validation")])
    return (real // 2 + 120).astype(np.uint8)  # paler than real ones


@pytest.mark.slow
def test_each_figure_stands_beside_that_of_real_images(store: PackedDataset, drawn: np.ndarray) -> None:
    found = measure_realism(store, "validation", drawn, [Means()], detector=Bright())  # type: ignore[arg-type]
    (network,) = found.networks
    assert network.n == len(drawn) == len(store.rows("validation"))
    assert network.kid > 5 * abs(network.kid_floor) and network.distance > 2 * network.distance_floor
    assert network.probe_auc > network.probe_auc_floor + 0.2
    assert network.distance_name == "FD-means" and not network.in_training
    assert set(found.crops) == {"eyes", "mouth", "background"}
    assert found.crops["eyes"].extractor == "means, eyes" and math.isfinite(found.crops["eyes"].kid_floor)
    assert found.faces is not None and found.faces.n == len(drawn) and found.faces.faces > found.faces.real_faces
    again = measure_realism(store, "validation", drawn, [Means()], detector=Bright())  # type: ignore[arg-type]
    assert again.to_dict() == found.to_dict()
    assert set(found.to_dict()) == {"networks", "crops", "faces"}


@pytest.mark.slow
def test_features_that_the_generator_was_trained_over_are_marked(store: PackedDataset, drawn: np.ndarray) -> None:
    for trained_over, marked in ((["means"], True), (["m" * 64], True), (["others"], False)):
        found = measure_realism(store, "validation", drawn, [Means()], trained_over=trained_over)
        assert found.networks[0].in_training is found.crops["mouth"].in_training is marked


def test_without_as_many_other_real_images_there_is_no_floor(store: PackedDataset, drawn: np.ndarray) -> None:
    many = np.concatenate([drawn] * (1 + len(store.rows("train")) // len(drawn)))
    found = measure_realism(store, "validation", many, [Means()], crops=False)
    assert math.isnan(found.networks[0].kid_floor) and not found.crops
    assert found.networks[0].n == len(store.rows("validation"))
    few = measure_realism(store, "validation", drawn[: PROBED - 1], [Means()], crops=False).networks[0]
    assert math.isnan(few.probe_auc) and few.n == PROBED - 1 and few.kid > 0
    with pytest.raises(DataError, match="no image is drawn"):
        measure_realism(store, "validation", drawn[:0], [Means()])


def test_a_part_holds_the_landmarks_it_is_named_after() -> None:
    """Means of CelebA's landmarks in the central 178 x 178: 20 rows lower than in images of 178 x 218."""
    for part, points in {"eyes": [(69, 91), (108, 91)], "mouth": [(71, 132), (106, 132)]}.items():
        left, top, right, bottom = PARTS[part].box
        assert all(left < x < right and top < y < bottom for x, y in points)
        assert right - left == bottom - top, "a square, or its features would be those of a stretched face"
    left, top, right, bottom = PARTS["background"].box
    assert left < 69 and right > 108 and bottom == FRAME


def test_a_part_is_all_that_its_extractor_sees() -> None:
    levels = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    inner = Means()
    for part, mask in PARTS.items():
        extractor = PartExtractor(inner, part)
        left, top, right, bottom = mask.pixels(64)
        seen = torch.zeros(64, 64, dtype=torch.bool)
        seen[top:bottom, left:right] = True
        seen = ~seen if mask.outside else seen
        before = extractor(levels)
        assert torch.equal(extractor(torch.where(seen, levels, 255 - levels)), before)
        assert not torch.equal(extractor(torch.where(seen, 255 - levels, levels)), before)
    assert inner.shapes == {(3, 26, 26), (3, 23, 23), (3, 64, 64)}
    assert len({PartExtractor(inner, part).digest for part in PARTS} | {inner.digest}) == 4
    with pytest.raises(DataError, match="too small"):
        PartExtractor(inner, "mouth")(levels[:, :, :1, :1])
    with pytest.raises(DataError, match="square"):
        PartExtractor(inner, "mouth")(levels[:, :, :32])
