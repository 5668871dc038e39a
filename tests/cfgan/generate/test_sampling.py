from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import RequestCell
from cfgan.generate.sampling import Sampler, conditions, latents
from cfgan.model.bundle import Bundle


def test_latents_are_standard_normal_and_one_stream_a_draw() -> None:
    z = latents(7, range(400), 32)
    assert stats.kstest(z.ravel(), "norm").pvalue > 0.001
    np.testing.assert_array_equal(z[[3, 399]], latents(7, [3, 399], 32))
    assert not np.array_equal(z[:5], latents(8, range(5), 32))


def test_latents_do_not_change_between_releases() -> None:
    np.testing.assert_allclose(latents(0, [17], 3)[0], GOLDEN, atol=1e-6)


GOLDEN = [0.0012878, -0.6711383, -0.5049955]


@pytest.mark.parametrize("cut", [0.5, 2.0])
def test_truncation_cuts_off_and_moves_the_same_latent_inwards(cut: float) -> None:
    z, narrow = latents(7, range(200), 16), latents(7, range(200), 16, cut)
    assert np.abs(narrow).max() <= cut
    assert (np.sign(z) == np.sign(narrow)).all() and (np.argsort(z.ravel()) == np.argsort(narrow.ravel())).all()


def test_draw_17_is_the_same_face_alone_or_in_company(tiny_bundle: Bundle) -> None:
    sampler = Sampler(tiny_bundle, "cpu")
    cell = RequestCell("x", {"Red": 1.0}, 1, 5)
    many, alone = sampler.draw(cell, range(0, 600), 600), sampler.draw(cell, range(517, 518))
    for part in ("condition", "pixels", "probability", "passed"):
        np.testing.assert_array_equal(getattr(many, part)[517], getattr(alone, part)[0])
    late = sampler.draw(cell, range(510, 530), 10_000)
    np.testing.assert_array_equal(late.pixels, many.pixels[510:530])


def test_large_seeds_are_seeds_of_their_own() -> None:
    z = [latents(seed, [1], 4) for seed in (3, 3 + 17 * 2**32, 2**63 - 1)]
    assert len({row.tobytes() for row in z}) == 3
    assert not np.array_equal(latents(3 + 17 * 2**32, [1], 4), latents(3, [17], 4))


def test_threads_do_not_change_a_face(tiny_bundle: Bundle) -> None:
    sampler, cell = Sampler(tiny_bundle, "cpu"), RequestCell("x", {}, 1, 5)
    one = sampler.draw(cell, range(8)).pixels.astype(int)
    torch.set_num_threads(2)
    try:
        assert np.abs(sampler.draw(cell, range(8)).pixels - one).max() <= 1
    finally:
        torch.set_num_threads(1)


def test_what_free_attributes_do(prior: Prior) -> None:
    natural = conditions(prior, RequestCell("x", {"Red": 1.0}, 1, 0), range(50))
    neutral = conditions(prior, RequestCell("x", {"Red": 1.0}, 1, 0, unspecified="zero"), range(50))
    fixed = conditions(prior, RequestCell("x", {"Red": 1.0}, 1, 0, unspecified={"Cat": -1.0}), range(50))
    assert (natural[:, 0] == 1).all() and set(np.unique(natural[:, 1:])) == {-1.0, 1.0}
    np.testing.assert_array_equal(neutral, [[1, 0, 0, 0, 0, 0]] * 50)
    assert (fixed[:, 4] == -1).all() and len(np.unique(fixed[:, 5])) == 2
