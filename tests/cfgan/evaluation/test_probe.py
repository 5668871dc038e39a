"""The linear probe."""

from __future__ import annotations

import numpy as np
import pytest

from cfgan.errors import DataError
from cfgan.evaluation.probe import probe_auc


def _features(n: int, shift: float = 0.0, d: int = 20, seed: int = 0) -> np.ndarray:
    features = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    features[:, 0] += shift
    return features * 3 + 100


def test_sets_of_one_source_are_not_told_apart_and_others_are() -> None:
    real = _features(600)
    same, near, far = (probe_auc(real, _features(600, shift, seed=1)) for shift in (0.0, 1.0, 4.0))
    assert same == pytest.approx(0.5, abs=0.06)
    assert near == pytest.approx(0.76, abs=0.05)  # the normal distribution function at 1 / sqrt(2)
    assert far > 0.99


def test_more_features_than_images_are_not_learnt_by_heart() -> None:
    assert probe_auc(_features(300, d=900), _features(300, d=900, seed=1)) == pytest.approx(0.5, abs=0.08)


def test_neither_the_order_of_images_nor_units_nor_dead_features_decide() -> None:
    real, drawn = _features(200), _features(200, 1.0, seed=1)
    found = probe_auc(real, drawn, seed=4)
    assert found == probe_auc(real, drawn, seed=4)
    assert probe_auc(real[::-1], drawn, seed=4) == pytest.approx(found, abs=0.04)
    padded = [np.concatenate([side * 1e-3, np.full((200, 2), 7, np.float32)], 1) for side in (real, drawn)]
    assert probe_auc(*padded, seed=4) == pytest.approx(found, abs=0.01)


def test_counts_are_equal_whatever_is_given() -> None:
    assert probe_auc(_features(900), _features(60, seed=1)) == pytest.approx(0.5, abs=0.15)


def test_unusable_features_are_refused() -> None:
    good = _features(50)
    with pytest.raises(DataError, match="too few for 5 folds"):
        probe_auc(good, good[:9])
    with pytest.raises(DataError, match="cannot be compared"):
        probe_auc(good, good[:, :3])
    with pytest.raises(DataError, match="not finite"):
        probe_auc(good, np.where(good > 100, np.nan, good))
