"""Sheets of uncurated faces."""

from __future__ import annotations

import numpy as np

from cfgan.model.bundle import Bundle

SIDE = 8
"""Faces along a side of a sheet."""


def sample_sheet(bundle: Bundle, seed: int = 0) -> bytes:
    """The first 64 draws of a seed, conditions from the prior, nothing rejected, as one PNG; the same bytes each time.

    Raises:
        BundleError: a file of the bundle is damaged.
    """
    from cfgan.io.png import encode_png, grid

    return encode_png(grid(_draws(bundle, bundle, SIDE * SIDE, seed), SIDE), compress=9)


def can_be_compared(before: Bundle, after: Bundle) -> bool:
    """Whether the same latents and conditions mean something to both."""
    same = before.vocabulary.names == after.vocabulary.names
    return same and (before.size, before.z_dim) == (after.size, after.z_dim)


def before_and_after(before: Bundle, after: Bundle, seed: int = 0) -> bytes:
    """The first 32 draws of a seed by one bundle and, to the right of each, by another, as one PNG.

    Latents and conditions are the same for both, each cut off as its bundle says; nothing is rejected.

    Raises:
        BundleError: a file of a bundle is damaged.
    """
    from cfgan.io.png import encode_png, grid

    count = SIDE * SIDE // 2
    pairs = [_draws(bundle, after, count, seed) for bundle in (before, after)]
    return encode_png(grid(np.stack(pairs, 1).reshape(2 * count, *pairs[0].shape[1:]), SIDE), compress=9)


def _draws(bundle: Bundle, asking: Bundle, count: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Pixel levels (count, 3, H, W) of a bundle, conditions from the prior of ``asking``."""
    from cfgan.evaluation.card import draw_levels
    from cfgan.evaluation.requests import from_prior
    from cfgan.model.engines import open_engine

    drawn = from_prior(asking.prior(), count, bundle.z_dim, seed, bundle.latents.truncation)
    return draw_levels(open_engine(bundle, "torch:cpu").generator(), drawn)
