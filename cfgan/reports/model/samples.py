"""A sheet of uncurated faces."""

from __future__ import annotations

from cfgan.model.bundle import Bundle

SIDE = 8
"""Faces along a side of the sheet."""


def sample_sheet(bundle: Bundle, seed: int = 0) -> bytes:
    """The first 64 draws of a seed, conditions from the prior, nothing rejected, as one PNG; the same bytes each time.

    Raises:
        BundleError: a file of the bundle is damaged.
    """
    from cfgan.evaluation.card import draw_levels
    from cfgan.evaluation.requests import from_prior
    from cfgan.io.png import encode_png, grid
    from cfgan.networks.devices import pick_device

    drawn = from_prior(bundle.prior(), SIDE * SIDE, bundle.z_dim, seed, bundle.latents.truncation)
    return encode_png(grid(draw_levels(bundle.generator(), drawn, pick_device("cpu")), SIDE))
