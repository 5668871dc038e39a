"""Sheets of uncurated faces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.model.bundle import Bundle

Levels = npt.NDArray[np.uint8]
SIDE = 8
"""Faces in a row of a sheet."""
_PIXELS = 1 << 19  # of a sheet: a bundle holds two, and has to be shared


def sheet_count(size: int) -> int:
    """How many images of so many pixels a sheet shows, whole rows: 64 of the smaller ones, 32 of 128 pixels."""
    return SIDE * min(max(_PIXELS // (SIDE * size * size), 1), SIDE)


def sample_sheet(bundle: Bundle, seed: int = 0) -> bytes:
    """The first draws of a seed, conditions from the prior, nothing rejected, as one PNG; the same bytes each time.

    Raises:
        BundleError: a file of the bundle is damaged.
    """
    from cfgan.io.png import encode_png, grid

    return encode_png(grid(_draws(bundle, bundle, sheet_count(bundle.size), seed), SIDE), compress=9)


def can_be_compared(before: Bundle, after: Bundle) -> bool:
    """Whether the same latents and conditions mean something to both."""
    same = before.vocabulary.names == after.vocabulary.names
    return same and before.z_dim == after.z_dim and after.size % before.size == 0


def before_and_after(before: Bundle, after: Bundle, seed: int = 0) -> bytes:
    """The first draws of a seed by one bundle and, to the right of each, by another, as one PNG.

    Latents and conditions are the same for both, each cut off as its bundle says; nothing is rejected. Smaller images
    are enlarged (bicubic).

    Raises:
        BundleError: a file of a bundle is damaged.
    """
    from cfgan.io.png import encode_png, grid

    count = sheet_count(after.size) // 2
    pairs = [enlarged(_draws(bundle, after, count, seed), after.size) for bundle in (before, after)]
    return encode_png(grid(np.stack(pairs, 1).reshape(2 * count, *pairs[0].shape[1:]), SIDE), compress=9)


def enlarged(levels: Levels, size: int) -> Levels:
    """Pixel levels (N, 3, H, W) at ``size`` pixels (bicubic); as they are where they have them."""
    if levels.shape[-1] == size:
        return levels
    images = (Image.fromarray(face.transpose(1, 2, 0)) for face in levels)
    bicubic = Image.Resampling.BICUBIC
    return np.stack([np.asarray(image.resize((size, size), bicubic)).transpose(2, 0, 1) for image in images])


def _draws(bundle: Bundle, asking: Bundle, count: int, seed: int) -> Levels:
    """Pixel levels (count, 3, H, W) of a bundle, conditions from the prior of ``asking``."""
    from cfgan.evaluation.card import draw_levels
    from cfgan.evaluation.requests import from_prior
    from cfgan.model.engines import open_engine

    drawn = from_prior(asking.prior(), count, bundle.z_dim, seed, bundle.latents.truncation)
    return draw_levels(open_engine(bundle, "torch:cpu").generator(), drawn)
