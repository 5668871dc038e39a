from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import draw_celeba, make_bundle, small_store

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import PackedDataset, pack
from cfgan.errors import InputError
from cfgan.evaluation.accuracy import plain
from cfgan.evaluation.card import Plan, measure
from cfgan.evaluation.extractor_names import extractors_for
from cfgan.model.bundle import Bundle
from cfgan.networks.devices import pick_device
from cfgan.reports.model.distances import distance_histograms

pytestmark = pytest.mark.slow

NAMES = ("Red", "Round", "Cat")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    vocabulary = Vocabulary(NAMES)
    counts = np.full((3, 3), 500, dtype=np.int64)
    counts[0, 1] = counts[1, 0] = 12  # Red and Round are rarely seen together
    prior = Prior(vocabulary, np.zeros(3), np.zeros((3, 3)), counts, np.full((3, 3), 20_000), 20_000)
    return make_bundle(tmp_path_factory.mktemp("card") / "bundle", vocabulary, prior, with_judge=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    return small_store(tmp_path_factory.mktemp("card-store"), NAMES)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFGAN_CACHE", str(tmp_path / "cache"))


def test_the_card_holds_every_figure_and_is_the_same_again(judged: Bundle, store: PackedDataset) -> None:
    plan = Plan(draws=40, each=12, rare_requests=2, requests=({"Red": 1.0, "Cat": -1.0},), split="train", seed=3)
    device = pick_device("cpu")
    stages: list[str] = []

    def run() -> dict[str, object]:
        chosen = extractors_for(judged, ["verifier", "judge"], device)
        return measure(judged, store, plan, chosen, device="cpu", progress=lambda stage, *rest: stages.append(stage))

    card = run()
    assert json.dumps(plain(card)) == json.dumps(plain(run()))
    assert set(card["fidelity"]) == {"verifier", "judge"} and card["fidelity"]["judge"]["n"] == len(store.rows("train"))
    assert set(card["accuracy"]) == {"verifier", "judge"}
    for row in card["accuracy"].values():
        assert 0 <= row["prior"]["agreement"] <= 1 and row["prior"]["draws"] == 40
        assert row["single"]["Red"]["yes"]["n"] == 12 and row["single"]["Red"]["no"]["n"] == 12
        assert row["rare"]["requests"] == 1 and row["rare"]["exact"]["n"] == 12
        assert row["requests"]["Red,-Cat"]["n"] == 256
    assert card["diversity"]["extractor"] == "verifier"
    assert card["bundle"]["digest"] == judged.digest and card["data"]["digest"] == store.digest
    assert "judge reads" in stages and "drawing" in stages
    assert not math.isnan(card["fidelity"]["judge"]["distance"])


def test_data_that_does_not_fit_is_refused_by_name(
    judged: Bundle, store: PackedDataset, tmp_path: Path, prior: Prior
) -> None:
    device = pick_device("cpu")
    other = small_store(tmp_path, ("Red", "Round", "Dog"))
    with pytest.raises(InputError, match="attributes are not those"):
        measure(judged, other, Plan(), [], device="cpu")
    with pytest.raises(InputError, match="no test images"):
        measure(judged, store, Plan(split="test"), [], device="cpu")
    with pytest.raises(InputError, match="there is no extractor 'juge'.*judge"):
        extractors_for(judged, ["juge"], device)
    with pytest.raises(InputError, match="inception-weights"):
        extractors_for(judged, ["inception"], device)
    plain_bundle = make_bundle(tmp_path / "plain", prior.vocabulary, prior)
    with pytest.raises(InputError, match="has no judge"):
        extractors_for(plain_bundle, ["judge"], device)


class Copyist:
    """A face embedder to whom a face is its mean colour; counts what it has read."""

    name, digest, dimensions, read = "mean colour", "c" * 64, 3, 0

    def __call__(self, levels: torch.Tensor) -> torch.Tensor:
        self.read += len(levels)
        return levels.float().mean((2, 3))


def test_copies_are_looked_for_by_face_embedding_too_and_training_images_are_read_once(
    judged: Bundle, tmp_path: Path
) -> None:
    big = pack(read_celeba(draw_celeba(tmp_path / "c", 80, NAMES)), tmp_path / "s", 16)[0]
    plan = Plan(draws=40, each=2, rare_requests=1, privacy_images=10, seed=1)
    embedder = Copyist()

    def privacy() -> dict[str, Any]:
        chosen = extractors_for(judged, ["judge"], pick_device("cpu"))
        return measure(judged, big, plan, chosen, identity=embedder, device="cpu")

    card = privacy()
    found, by_judge = card["privacy"], card["memorisation"]
    assert (found["extractor"], found["training_images"], found["n"], found["n_held_out"]) == (
        "mean colour",
        10,
        10,
        10,
    )
    assert by_judge["training_images"] == len(big.rows("train")) and by_judge["n"] == len(big.rows("validation"))
    low, high = found["interval"]
    assert low <= found["share_closer"] <= high and len(found["histogram"]["edges"]) == 41
    assert embedder.read == 30
    assert privacy()["privacy"] == found and embedder.read == 40, "only the generated faces are embedded again"
    picture = distance_histograms({"judge": by_judge, "face": found})
    assert picture.count(b"distance to the nearest training image") == 2
    assert picture == distance_histograms({"judge": by_judge, "face": found}) and b"<image" not in picture
