from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cfgan.external.operating_points import measure_operating_points, similarity_at
from cfgan.testsets.building.detection import share_out
from cfgan.testsets.building.pairing import nearest, ring


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


@given(st.integers(3, 25), st.integers(1, 3), st.integers(0, 10**6))
def test_the_nearest_are_nearer_than_any_that_was_left(n: int, each: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    probes = list(range(1, n))
    pairs = nearest([0], probes, each, lambda a, b: True, vectors)
    distance = np.linalg.norm(vectors[1:] - vectors[0], axis=1)
    assert sorted(b for _, b in pairs) == sorted((np.argsort(distance, kind="stable")[:each] + 1).tolist())


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1), st.integers(1, 500))
def test_shares_add_up_and_are_in_proportion(counts: dict[str, int], total: int) -> None:
    shares = share_out(Counter(counts), total)
    assert sum(shares.values()) == total
    for name, count in counts.items():
        assert abs(shares.get(name, 0) - total * count / sum(counts.values())) < 1


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
