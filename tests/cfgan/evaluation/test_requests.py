from __future__ import annotations

import numpy as np
import pytest

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.evaluation.agreement import agreement, mean_of, requested_values, single_attributes, whole_request
from cfgan.evaluation.diversity import mean_pairwise_distance, within_requests
from cfgan.evaluation.requests import RARE_SHARE, RequestSet, balanced, from_prior, rare, rare_pairs, repeated

ABC = Vocabulary(("A", "B", "C"))


def drawn(requests: list[dict[str, float]]) -> RequestSet:
    conditions = np.full((len(requests), 3), -1, dtype=np.float32)
    for row, request in zip(conditions, requests, strict=True):
        for name, value in request.items():
            row[ABC.index(name)] = value
    return RequestSet(requests, conditions, np.zeros((len(requests), 2), np.float32))


def test_balanced_requests_ask_for_every_value_as_often(prior: Prior) -> None:
    each = balanced(prior, 2, 4, seed=0)
    assert len(each) == 2 * 2 * len(prior.vocabulary) and each.z.shape == (len(each), 4)
    for request, condition in zip(each.requests, each.conditions, strict=True):
        ((name, value),) = request.items()
        assert condition[prior.vocabulary.index(name)] == value
        assert set(np.abs(condition)) == {1}
    assert len(np.unique(each.z, axis=0)) == len(each)


def test_the_same_seed_gives_the_same_draws_and_another_one_others(prior: Prior) -> None:
    first, again, other = (from_prior(prior, 6, 4, seed) for seed in (1, 1, 2))
    assert (first.conditions == again.conditions).all() and (first.z == again.z).all()
    assert (first.z != other.z).all()
    longer = from_prior(prior, 9, 4, 1)
    assert (longer.conditions[:6] == first.conditions).all() and (longer.z[:6] == first.z).all()


def counted_prior() -> Prior:
    """100,000 rows in which A and B meet 50 times, A and C 5 times, A and D often; B and C exclude each other."""
    vocabulary = Vocabulary(("A", "B", "C", "D"), exclusive=(frozenset({"B", "C"}),))
    pairs = np.full((4, 4), 50, dtype=np.int64)
    np.fill_diagonal(pairs, 20_000)
    for i, j, count in ((0, 2, 5), (0, 3, 9_000), (2, 3, 9_000)):
        pairs[i, j] = pairs[j, i] = count
    return Prior(vocabulary, np.zeros(4), np.zeros((4, 4)), pairs, np.full((4, 4), 100_000), 100_000)


def test_rare_pairs_are_rare_but_possible() -> None:
    prior = counted_prior()
    assert rare_pairs(prior, 9, seed=0) == [{"A": 1.0, "B": 1.0}, {"B": 1.0, "D": 1.0}]
    assert len(rare_pairs(prior, 1, seed=0)) == 1
    asked = rare(prior, 9, 5, 4, seed=0)
    assert len(asked) == 10 and (asked.conditions[:5, :2] == 1).all()
    for pair in rare_pairs(prior, 9, seed=0):
        assert prior.share(pair) < RARE_SHARE


def test_a_request_is_repeated_with_other_faces(prior: Prior) -> None:
    name = prior.vocabulary.names[0]
    many = repeated(prior, {name: -1.0}, 7, 4, 0)
    assert (many.conditions[:, 0] == -1).all() and len(np.unique(many.z, axis=0)) == 7


def test_single_attribute_rates_by_hand() -> None:
    draws = drawn([{"A": 1.0}, {"A": 1.0}, {"A": -1.0}, {"B": 1.0}])
    seen = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 1]], dtype=bool)
    labels = np.array([[1, -1, -1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1]], dtype=np.float32)
    real = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    table = single_attributes(ABC, draws, seen, real, labels)
    assert table["A"]["yes"]["rate"] == 0.5 and table["A"]["yes"]["n"] == 2 and table["A"]["yes"]["ceiling"] == 1
    assert table["A"]["no"]["rate"] == 1 and table["A"]["no"]["ceiling"] == 0.5
    assert table["A"]["yes"]["gap"] == 0.5
    assert table["B"]["yes"]["rate"] == 0 and np.isnan(table["C"]["yes"]["rate"])
    assert mean_of(table, ("yes",), "rate") == pytest.approx(0.25)
    labels[2, 0] = np.nan  # unknown: it carries neither
    assert single_attributes(ABC, draws, seen, real, labels)["A"]["no"] == {
        **table["A"]["no"],
        "ceiling": 1.0,
        "real": 1,
        "gap": 0.0,
    }


def test_whole_requests_and_agreement_by_hand() -> None:
    seen = np.array([[1, 0, 0], [1, 1, 0]], dtype=bool)
    labels = np.array([[1, -1, 1], [1, -1, -1], [-1, -1, -1]], dtype=np.float32)
    real = np.array([[1, 0, 1], [0, 0, 0], [0, 0, 0]], dtype=bool)
    figures = whole_request(ABC, {"A": 1.0, "B": -1.0}, seen, real, labels)
    assert figures["rate"] == 0.5 and figures["ceiling"] == 0.5 and figures["real"] == 2
    draws = drawn([{"A": 1.0, "B": -1.0}, {"A": 1.0, "B": -1.0}])
    assert requested_values(ABC, draws, seen)["exact"]["rate"] == 0.5
    assert requested_values(ABC, draws, seen)["value"]["rate"] == 0.75
    whole = agreement(ABC, draws, seen, real, labels)
    assert whole["agreement"] == pytest.approx(5 / 6) and whole["ceiling"] == pytest.approx(8 / 9)
    labels[1, 1] = np.nan
    assert whole_request(ABC, {"A": 1.0, "B": -1.0}, seen, real, labels)["real"] == 1


def test_diversity_of_points_by_hand() -> None:
    assert mean_pairwise_distance(np.array([[0.0, 0], [3, 4], [0, 0]])) == pytest.approx(10 / 3)
    assert np.isnan(mean_pairwise_distance(np.zeros((1, 2))))


def test_a_collapsed_request_has_no_diversity() -> None:
    rng = np.random.default_rng(0)
    draws = drawn([{"A": 1.0}] * 40 + [{"B": 1.0}] * 40)
    fake = np.concatenate([rng.normal(size=(40, 8)), np.repeat(rng.normal(size=(1, 8)), 40, 0)])
    real, labels = rng.normal(size=(100, 8)), np.ones((100, 3))
    table = within_requests(ABC, draws, fake, real, labels, seed=0)
    assert table["attributes"]["A"]["ratio"] == pytest.approx(1, abs=0.08)
    assert table["attributes"]["B"]["ratio"] == pytest.approx(0, abs=1e-6)
    assert table["least"]["attribute"] == "B" and "C" not in table["attributes"]
