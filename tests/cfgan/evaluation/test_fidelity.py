from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from cfgan.errors import DataError
from cfgan.evaluation.fidelity import (
    Moments,
    frechet_distance,
    intra_attribute_fd,
    kid,
    measure_fidelity,
    precision_recall_density_coverage,
)

pytestmark = pytest.mark.slow

seeds = st.integers(0, 2**32 - 1)


def normal(seed: int, n: int, d: int, mean: float = 0.0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, (n, d))


def covariance(seed: int, d: int) -> np.ndarray:
    root = normal(seed, d, d)
    return root @ root.T


def test_frechet_of_two_gaussians_is_the_closed_form() -> None:
    a, b = np.asarray([1.0, 4.0, 9.0]), np.asarray([4.0, 4.0, 1.0])
    one, two = Moments(np.zeros(3), np.diag(a), 10), Moments(np.asarray([3.0, 0.0, 4.0]), np.diag(b), 10)
    assert frechet_distance(one, two) == pytest.approx(25 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), abs=1e-9)


@given(seeds, st.integers(1, 6))
@settings(deadline=None, max_examples=30)
def test_frechet_agrees_with_the_root_of_the_product(seed: int, d: int) -> None:
    a, b = covariance(seed, d), covariance(seed + 1, d)
    expected = np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b).real)
    found = frechet_distance(Moments(np.zeros(d), a, 10), Moments(np.zeros(d), b, 10))
    assert found == pytest.approx(expected, abs=1e-5 * max(1.0, np.trace(a)))


def test_frechet_of_samples_comes_near_that_of_their_sources() -> None:
    found = frechet_distance(normal(0, 40_000, 4), normal(1, 40_000, 4, mean=1.0, spread=2.0))
    assert found == pytest.approx(4 * 1 + 4 * (2 - 1) ** 2, rel=0.03)


@given(seeds, st.integers(2, 30), st.integers(2, 30), st.integers(1, 20))
@settings(deadline=None, max_examples=50)
def test_frechet_is_symmetric_unmoved_by_rotation_and_adds_the_squared_shift(seed: int, n: int, m: int, d: int) -> None:
    a, b = normal(seed, n, d), normal(seed + 1, m, d, spread=2.0)
    distance = frechet_distance(a, b)
    tolerance = 1e-9 * max(1.0, distance)
    assert distance >= 0 and frechet_distance(b, a) == pytest.approx(distance, abs=tolerance)
    rotation = np.linalg.qr(normal(seed + 2, d, d))[0]
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(distance, abs=tolerance)
    # Of covariances near singular half of the digits are left.
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(distance, abs=1e-6 * (1 + 10 * d))
    shift = normal(seed + 3, 1, d)[0]
    assert frechet_distance(a, a + shift) == pytest.approx(float(shift @ shift), abs=1e-9)


def test_frechet_with_fewer_rows_than_dimensions_loses_nothing() -> None:
    # Spread over two orthogonal halves of the dimensions: the covariances share nothing, only their traces count.
    a, b = np.zeros((20, 400)), np.zeros((20, 400))
    a[:, :200], b[:, 200:] = normal(0, 20, 200), normal(1, 20, 200)
    expected = sum(side.var(0, ddof=1).sum() + (side.mean(0) ** 2).sum() for side in (a, b))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a.astype(np.float32), Moments.of(a)) == pytest.approx(0, abs=1e-4)


def test_moments_are_numpy_s_and_keep_small_differences_beside_a_large_offset() -> None:
    x = normal(0, 5000, 3)
    moments = Moments.of(x + 1e6)
    np.testing.assert_allclose(moments.covariance, np.cov(x, rowvar=False), rtol=1e-6)
    assert moments.count == 5000


def test_what_is_no_feature_set_is_refused() -> None:
    good = normal(0, 10, 3)
    for bad in (good[:1], good[:, 0], good.astype(int), np.where(good > 1, np.nan, good)):
        with pytest.raises(DataError):
            frechet_distance(good, bad)
    with pytest.raises(DataError, match="3 and 2 dimensions"):
        frechet_distance(good, good[:, :2])
    with pytest.raises(DataError, match="negative"):
        frechet_distance(good, Moments(np.zeros(2), np.diag([1.0, -1.0]), 5))
    with pytest.raises(DataError, match="too few"):
        precision_recall_density_coverage(good, good, k=10)


def test_kid_is_the_closed_form_in_one_dimension() -> None:
    # (xy + 1)^3 compares the first three moments: 3 (E x - E y)^2 + 3 (E x^2 - E y^2)^2 + (E x^3 - E y^3)^2.
    d = 0.5
    expected = 3 * d**2 + 3 * (d**2) ** 2 + (d**3 + 3 * d) ** 2
    mean, error = kid(normal(0, 10_000, 1), normal(1, 10_000, 1, mean=d))
    assert abs(mean - expected) < 3 * error and error < 0.1 * expected


def test_kid_of_one_source_is_about_zero_and_may_be_negative() -> None:
    found = [kid(normal(2 * i, 400, 8), normal(2 * i + 1, 400, 8)) for i in range(12)]
    assert min(mean for mean, _ in found) < 0 < max(mean for mean, _ in found)
    assert all(abs(mean) < 4 * error for mean, error in found)


def test_kid_of_a_set_and_itself_is_just_below_zero() -> None:
    # One pair in n is a point with itself, which the unbiased estimate of independent sets leaves out within the sets.
    x = normal(0, 400, 8)
    kernel = (x @ x.T / 8 + 1) ** 3
    own, others = kernel.diagonal().mean(), kernel[~np.eye(400, dtype=bool)].mean()
    assert kid(x, x, subsets=400)[0] == pytest.approx(-2 * (own - others) / 400, rel=0.1)


def test_the_standard_error_of_kid_is_its_scatter_over_other_images() -> None:
    found = np.asarray([kid(normal(2 * i, 300, 4), normal(2 * i + 1, 300, 4, mean=0.5)) for i in range(60)])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(ddof=1), rel=0.35)


def test_kid_does_not_depend_on_the_subset_size_and_repeats_with_its_seed() -> None:
    a, b = normal(0, 1000, 4), normal(1, 1500, 4, mean=0.5)
    small, large = kid(a, b, subset_size=100), kid(a, b, subset_size=5000)
    assert abs(small[0] - large[0]) < 3 * max(small[1], large[1])
    assert kid(a, b, seed=3) == kid(a, b, seed=3) != kid(a, b, seed=4)
    assert kid(a.astype(np.float32), b.astype(np.float32))[0] == pytest.approx(kid(a, b)[0], rel=1e-4)


def test_identical_sets_have_precision_recall_and_coverage_one() -> None:
    x = normal(0, 3000, 16) + 50  # more than one block of rows, and an offset that float32 must not suffer from
    figures = precision_recall_density_coverage(x, x)
    assert (figures["precision"], figures["recall"], figures["coverage"]) == (1, 1, 1)
    assert figures["density"] == pytest.approx(1.2, abs=1e-6)  # k neighbours and the point itself, over k


def test_a_collapsed_set_is_precise_and_covers_little() -> None:
    real = normal(0, 500, 8)
    figures = precision_recall_density_coverage(real, real[:1] * 0.1 + normal(1, 500, 8, spread=1e-4))
    assert figures["precision"] == 1 and figures["recall"] == 0 and figures["coverage"] < 0.2


def test_noise_far_away_is_not_precise() -> None:
    figures = precision_recall_density_coverage(normal(0, 300, 8), normal(1, 300, 8, mean=40.0))
    assert (figures["precision"], figures["density"], figures["coverage"]) == (0, 0, 0)


@given(seeds, st.integers(6, 40), st.integers(6, 40), st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_precision_to_coverage_against_their_definitions(seed: int, n: int, m: int, k: int) -> None:
    real, fake = normal(seed, n, 3), normal(seed + 1, m, 3, mean=0.5)
    across = cdist(real, fake)
    radius, fake_radius = (np.sort(cdist(side, side), axis=1)[:, k] for side in (real, fake))
    inside = across <= radius[:, None]
    assert precision_recall_density_coverage(real, fake, k) == pytest.approx(
        {
            "precision": inside.any(0).mean(),
            "recall": (across <= fake_radius).any(1).mean(),
            "density": inside.sum() / (k * m),
            "coverage": inside.any(1).mean(),
        }
    )


def test_the_distance_within_an_attribute_sees_what_the_whole_sets_hide() -> None:
    # Fakes ignore the attribute: both sets as a whole are the same mixture.
    signs = np.where(np.arange(2000) % 2, 1.0, -1.0)[:, None]
    real, fake = normal(0, 2000, 4) + 2 * signs, normal(1, 2000, 4) + 2 * signs
    swapped = np.where(np.arange(2000)[:, None] % 4 < 2, 1.0, -1.0)
    assert frechet_distance(real, fake) < 0.2
    obeyed = intra_attribute_fd(["A"], real, signs, fake, signs, floor=True)
    ignored = intra_attribute_fd(["A"], real, signs, fake, swapped, floor=True)
    for value in ("yes", "no"):
        row = obeyed["attributes"]["A"][value]
        assert row["n"] == 500 and row["distance"] < 3 * row["floor"] < 0.3
        assert ignored["attributes"]["A"][value]["distance"] > 10
    assert ignored["floor"] == obeyed["floor"] and ignored["distance"] > 10


def test_rare_unknown_and_graded_values_of_an_attribute() -> None:
    features = normal(0, 600, 3)
    labels = np.full((600, 2), -1.0)
    labels[:150, 0], labels[:300, 1] = 1, np.nan
    conditions = np.zeros((600, 2))
    conditions[:, 0] = np.where(np.arange(600) < 120, 1.0, -1.0)
    conditions[:250, 1] = -1
    one, two = (
        intra_attribute_fd(["A", "B"], features, labels, features, conditions, least=100, floor=floor)
        for floor in (False, True)
    )
    n = {name: {value: row["n"] for value, row in both.items()} for name, both in one["attributes"].items()}
    assert n == {"A": {"yes": 120, "no": 450}, "B": {"yes": 0, "no": 250}}
    assert math.isnan(one["attributes"]["B"]["yes"]["distance"]) and math.isfinite(one["distance"])
    # With a floor only half of the reals are there: 75 are too few.
    assert two["attributes"]["A"]["yes"]["n"] == 75 and math.isnan(two["attributes"]["A"]["yes"]["distance"])
    alone = intra_attribute_fd(["B"], features, labels[:, 1:], features, conditions[:, 1:], least=100)
    assert alone["attributes"]["B"]["no"] == one["attributes"]["B"]["no"]


def test_all_figures_are_at_one_count_and_only_inception_is_called_fid() -> None:
    real, fake, others = normal(0, 500, 4), normal(1, 300, 4, mean=1.0), normal(2, 400, 4)
    found = measure_fidelity("efficientnet-lite0", real, fake, others=others, seed=1)
    assert found.n == 300 and found.floor < 0.2 < 3 < found.distance < 6
    table = found.to_dict()
    assert table["distance_name"] == "FD-efficientnet-lite0" and table["n"] == 300
    assert measure_fidelity("inception", real, fake).distance_name == "FID"
    assert math.isnan(measure_fidelity("inception", real, fake).floor)


def test_distance_and_floor_are_both_at_the_smallest_count() -> None:
    # Of 60 rows in 50 dimensions two sets of one source are far apart, of 1,000 they are not.
    real, fake, others = normal(0, 1000, 50), normal(1, 1000, 50), normal(2, 60, 50)
    found = measure_fidelity("x", real, fake, others=others)
    assert found.n == 60 and found.distance == pytest.approx(found.floor, rel=0.2)
    assert found.distance > 5 * measure_fidelity("x", real, fake).distance
