"""The normal distribution to the last bit as scipy has it: latents, and with them faces, depend on it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from cfgan.stats.normal import distribution, quantile

SMALLEST = 2.0**-54  # of the uniform numbers that latents are made from


def test_quantiles_are_scipys_to_the_last_bit() -> None:
    rng = np.random.default_rng(5)
    tails = np.exp(-rng.random(100_000) * 60)
    edges = np.exp(-2.0) + np.arange(-3, 4) * 2.0**-56
    p = np.concatenate(
        [rng.random(300_000) + SMALLEST, tails, 1 - tails[tails > 1e-15], edges, 1 - edges, [0.5, SMALLEST]]
    )
    p = p[(p > 0) & (p < 1)]
    np.testing.assert_array_equal(quantile(p), ndtri(p))


@pytest.mark.parametrize("shape", [(), (0,), (3, 4)])
def test_shapes_are_kept(shape: tuple[int, ...]) -> None:
    p = np.full(shape, 0.025)
    found = quantile(p)
    assert found.shape == shape and found.dtype == np.float64
    np.testing.assert_array_equal(found, ndtri(p))


def test_the_distribution_is_scipys_to_the_last_bit() -> None:
    x = np.concatenate([np.linspace(-12, 12, 4801), [0.0, 1.0, -1.0, -2.0, -2.5, 1e-300, -20.0, 20.0]])
    assert [distribution(float(each)) for each in x] == ndtr(x).tolist()
