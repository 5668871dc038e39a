from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgan.external.operating_points import measure_operating_points, similarity_at
from cfgan.testsets.building.detection import share_out
from cfgan.testsets.building.nearest import nearest_pairs
from cfgan.testsets.building.pairing import ring


@given(st.integers(2, 30), st.integers(1, 5), st.sets(st.integers(0, 29), max_size=4))
def test_a_ring_uses_all_faces_equally_and_compares_no_two_twice(n: int, each: int, barred: set[int]) -> None:
    faces = list(range(n))
    pairs = ring(faces, faces, each, lambda a, b: a not in barred and b not in barred)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert all(a != b and not {a, b} & barred for a, b in pairs)
    assert max(Counter(a for a, _ in pairs).values(), default=0) <= each
    if not barred and n >= 2 * each + 1:
        assert len(pairs) == each * n
        assert set(Counter(b for _, b in pairs).values()) == {each}


@settings(deadline=None)
@given(st.integers(4, 40), st.integers(1, 3), st.integers(0, 10**6))
def test_the_nearest_of_the_whole_set_are_taken_where_one_fold_holds_all(n: int, each: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    found = nearest_pairs(vectors, each, uses=n, folds=1, least=2 * each + 2)
    assert len({frozenset(pair[:2]) for pair in found.pairs}) == len(found.pairs)
    for a, b, rank in found.pairs:
        distance = np.linalg.norm(vectors - vectors[a], axis=1)
        assert rank == 1 + int(((distance < distance[b]) & (np.arange(n) != a)).sum())
    closest = np.linalg.norm(vectors[:, None] - vectors[None], axis=2) + np.eye(n) * 99
    one, other = np.unravel_index(int(closest.argmin()), closest.shape)
    assert frozenset((int(one), int(other))) in {frozenset(pair[:2]) for pair in found.pairs}


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.integers(1, 2), st.integers(0, 10**6))
def test_folds_made_after_the_nearest_hold_whole_pairs_and_no_face_stands_everywhere(
    folds: int, each: int, seed: int
) -> None:
    n, uses = 20 * folds, 2 * each
    vectors = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    vectors[0] = 0  # like everybody
    found = nearest_pairs(vectors, each, uses, folds, least=2 * each + 2)
    assert all(found.folds[a] == found.folds[b] for a, b, _ in found.pairs)
    assert set(found.folds) == set(range(1, folds + 1))
    assert min(Counter(found.folds).values()) >= 2 * each + 2
    assert max(Counter(b for _, b, _ in found.pairs).values()) <= uses
    assert len(found.pairs) == n * each


def test_faces_that_are_too_alike_are_passed_over_and_counted() -> None:
    vectors = np.asarray([[0.0, 0], [0.01, 0], [1, 0], [3, 0]], np.float32)
    found = nearest_pairs(vectors, 1, uses=4, folds=1, least=2, closest=0.5)
    pairs = {(a, b): rank for a, b, rank in found.pairs}
    assert (0, 1) not in pairs and (1, 0) not in pairs
    assert pairs[0, 2] == 2 and found.passed_over == 2  # 0 and 1 stand before the pairs of each other


def test_whole_sets_hold_nearer_pairs_than_folds_made_first() -> None:
    vectors = np.random.default_rng(3).normal(size=(200, 8)).astype(np.float32)
    found = nearest_pairs(vectors, 1, uses=2, folds=10, least=4)
    ranks = [rank for _, _, rank in found.pairs]
    assert np.median(ranks) <= 2, "inside ten folds made first the median rank is about ten"


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1), st.integers(1, 500))
def test_shares_add_up_and_are_in_proportion(counts: dict[str, int], total: int) -> None:
    shares = share_out(Counter(counts), total)
    assert sum(shares.values()) == total
    for name, count in counts.items():
        assert abs(shares.get(name, 0) - total * count / sum(counts.values())) < 1


@pytest.mark.slow
def test_thresholds_chosen_on_some_people_hold_for_others() -> None:
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(200), 3)
    centres = rng.normal(size=(200, 16))
    vectors = (centres[people] + 0.4 * rng.normal(size=(600, 16))).astype(np.float32)
    points = measure_operating_points(vectors, people)
    assert points["people"] == 200 and points["auc"] > 0.99
    for kind in ("fmr", "fnmr"):
        for point in points[kind]:
            low, high = point["interval"]
            assert low <= point["reported"] <= high
            if point["rate"] >= 0.05:
                assert abs(point["reported"] - point["rate"]) < 0.08
    assert [p["similarity"] for p in points["fmr"]] == sorted((p["similarity"] for p in points["fmr"]), reverse=True)


def test_the_shipped_threshold_is_interpolated_between_measured_ones() -> None:
    assert similarity_at("fmr", 0.001) < similarity_at("fmr", 0.0007) < similarity_at("fmr", 0.0005) < -0.4
