"""The nearest of large sets are those of the plain distance, in its order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgan.testsets.building import neighbours
from cfgan.testsets.building.neighbours import nearest_others, within


def plain(vectors: np.ndarray, face: int) -> tuple[np.ndarray, np.ndarray]:
    distance = np.linalg.norm(vectors - vectors[face], axis=1)
    order = np.argsort(distance, kind="stable")
    order = order[order != face]
    return order, distance[order]


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 120), st.integers(1, 12), st.integers(0, 10**6), st.sampled_from([0.0, 1.0, 40.0]))
def test_they_are_the_same_to_the_bit(n: int, count: int, seed: int, away: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = (rng.normal(size=(n, 8)) + away).astype(np.float32)
    vectors[n // 2 :: 3] = vectors[0]  # doubles: equally near ones come in order
    count = min(count, n - 1)
    near, far = nearest_others(vectors, count)
    for face in range(n):
        order, distance = plain(vectors, face)
        assert (near[face] == order[:count]).all() and (far[face] == distance[:count]).all()


def test_rounding_that_could_hide_a_neighbour_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_SPARE", 0)
    monkeypatch.setattr(neighbours, "_BLOCK", 500)
    rng = np.random.default_rng(0)
    vectors = (1000 + 0.01 * rng.normal(size=(200, 4))).astype(np.float32)  # products of a million
    near, far = nearest_others(vectors, 5)
    for face in range(200):
        order, distance = plain(vectors, face)
        assert (far[face] == distance[:5]).all() and (near[face] == order[:5]).all()


def test_those_within_a_limit_are_found_and_nobody_is_near_himself() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(90, 6)).astype(np.float32)
    among, faces = np.arange(0, 90, 2), np.arange(10, 60)
    found = dict(within(vectors, among, faces, 2.5))
    assert list(found) == faces.tolist()
    for face, near in found.items():
        distance = np.linalg.norm(vectors[among] - vectors[face], axis=1)
        assert near.tolist() == [k for k, d in zip(among.tolist(), distance, strict=True) if d <= 2.5 and k != face]
