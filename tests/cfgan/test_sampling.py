from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from cfgan.bundle import Bundle
from cfgan.generation import Drawer
from cfgan.prior import Prior
from cfgan.sampling import conditions, latents
from cfgan.spec import Cell


def test_latents_are_standard_normal_and_one_stream_a_draw() -> None:
    z = latents(7, range(400), 32)
    assert stats.kstest(z.ravel(), "norm").pvalue > 0.001
    np.testing.assert_array_equal(z[[3, 399]], latents(7, [3, 399], 32))
    assert not np.array_equal(z[:5], latents(8, range(5), 32))


def test_latents_do_not_change_between_releases() -> None:
    np.testing.assert_allclose(latents(0, [17], 3)[0], GOLDEN, rtol=1e-6)


GOLDEN = [0.4544676, 0.9408986, 0.0687217]


@pytest.mark.parametrize("cut", [0.5, 2.0])
def test_truncation_cuts_off_and_moves_the_same_latent_inwards(cut: float) -> None:
    z, narrow = latents(7, range(200), 16), latents(7, range(200), 16, cut)
    assert np.abs(narrow).max() <= cut
    assert (np.sign(z) == np.sign(narrow)).all() and (np.argsort(z.ravel()) == np.argsort(narrow.ravel())).all()


def test_draw_17_is_the_same_face_alone_or_in_company(tiny_bundle: Bundle) -> None:
    drawer = Drawer(tiny_bundle, "cpu")
    cell = Cell("x", {"Red": 1.0}, 1, 5)
    many, alone = drawer.draw(cell, range(0, 40)), drawer.draw(cell, range(17, 18))
    np.testing.assert_array_equal(many.condition[17], alone.condition[0])
    assert np.abs(many.pixels[17].astype(int) - alone.pixels[0]).max() <= 1
    np.testing.assert_allclose(many.probability[17], alone.probability[0], atol=1e-3)


def test_threads_do_not_change_a_face(tiny_bundle: Bundle) -> None:
    drawer, cell = Drawer(tiny_bundle, "cpu"), Cell("x", {}, 1, 5)
    one = drawer.draw(cell, range(8)).pixels.astype(int)
    torch.set_num_threads(2)
    try:
        assert np.abs(drawer.draw(cell, range(8)).pixels - one).max() <= 1
    finally:
        torch.set_num_threads(1)


def test_what_free_attributes_do(prior: Prior) -> None:
    natural = conditions(prior, Cell("x", {"Red": 1.0}, 1, 0), range(50))
    neutral = conditions(prior, Cell("x", {"Red": 1.0}, 1, 0, free="neutral"), range(50))
    fixed = conditions(prior, Cell("x", {"Red": 1.0}, 1, 0, free={"Cat": -1.0}), range(50))
    assert (natural[:, 0] == 1).all() and set(np.unique(natural[:, 1:])) == {-1.0, 1.0}
    np.testing.assert_array_equal(neutral, [[1, 0, 0, 0, 0, 0]] * 50)
    assert (fixed[:, 4] == -1).all() and len(np.unique(fixed[:, 5])) == 2
