from __future__ import annotations

import numpy as np
import pytest

from cfgan.errors import DataError
from cfgan.evaluation.memorisation import closeness, nearest_distances


def test_nearest_distances_by_hand() -> None:
    training = np.array([[0.0, 0], [10, 0]])
    assert nearest_distances(np.array([[3.0, 4], [10, 1], [0, 0]]), training) == pytest.approx([5, 1, 0])
    with pytest.raises(DataError, match="cannot be compared"):
        nearest_distances(np.zeros((2, 3)), training)


def test_copies_are_found_and_fresh_faces_are_not_blamed() -> None:
    rng = np.random.default_rng(0)
    training, unseen, fresh = (rng.normal(size=(2000, 6)) for _ in range(3))
    held_out = nearest_distances(unseen, training)
    assert closeness(nearest_distances(fresh, training), held_out)["share_closer"] < 0.005
    copies = np.concatenate([fresh[:1500], training[:500] + 1e-4])
    found = closeness(nearest_distances(copies, training), held_out)
    assert found["share_closer"] == pytest.approx(0.25, abs=0.005)
    assert np.sum(np.diff(found["histogram"]["edges"]) * found["histogram"]["generated"]) == pytest.approx(1)


@pytest.mark.parametrize("held_out", [24, 192, 3000])
def test_what_is_expected_of_no_copies_is_what_no_copies_give(held_out: int) -> None:
    rng, shares = np.random.default_rng(1), []
    for _ in range(200):
        found = closeness(rng.normal(size=2000) ** 2, rng.normal(size=held_out) ** 2)
        shares.append(found["share_closer"])
    assert found["expected"] == found["nearer"] / (held_out + 1)
    assert np.mean(shares) == pytest.approx(found["expected"], rel=0.2)
