"""Requests drawn three ways, unfiltered, by a reader: as in the data, balanced, and rare combinations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.evaluation.card import draw_levels
from cfgan.evaluation.requests import RequestSet, balanced, from_prior, rare
from cfgan.io.progress import Progress, silent
from cfgan.model.bundle import Bundle
from cfgan.model.engines import open_engine
from cfgan.verify.reader import readers_of

PAIRS = 20
"""Rare combinations that are asked for at most."""


@dataclass(frozen=True)
class SuitePart:
    """Draws for requests of one kind, and what a reader saw.

    Args:
        name: "as in the data", "balanced" or "rare".
        reader: who looked.
        asked: int8 (n, A); 1 asked for, -1 asked away, 0 free.
        seen: bool (n, A).
    """

    name: str
    reader: str
    asked: npt.NDArray[np.int8]
    seen: npt.NDArray[np.bool_]


def request_suite(
    bundle: Bundle,
    *,
    draws: int = 640,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> list[SuitePart]:
    """Draw and let the judge (the verifier, in a bundle without one) look. Nothing is filtered.

    Args:
        bundle: the model.
        draws: of each way, about: every attribute both ways, and every rare pair, is asked for equally often.
        seed: of the draws.
        device: where to compute.
        progress: called while it lasts.

    Returns:
        The ways of which there is a request; a small vocabulary may have no rare pair.

    Raises:
        BundleError: a file of the bundle is damaged.
    """
    engine = open_engine(bundle, device)
    render, reader, prior = engine.generator(), readers_of(bundle, engine)[-1], bundle.prior()
    each = max(1, draws // (2 * len(bundle.vocabulary)))
    sets = {
        "as in the data": from_prior(prior, draws, bundle.z_dim, seed, bundle.latents.truncation),
        "balanced": balanced(prior, each, bundle.z_dim, seed + 1, bundle.latents.truncation),
        "rare": rare(prior, PAIRS, max(1, draws // PAIRS), bundle.z_dim, seed + 2, bundle.latents.truncation),
    }
    suite, total, done = [], sum(map(len, sets.values())), 0
    for name, drawn in sets.items():
        if not len(drawn):
            continue
        start = done
        levels = draw_levels(render, drawn, _after(progress, start, total))
        suite.append(SuitePart(name, reader.name, _asked(bundle, drawn), reader.seen(levels)))
        done += len(drawn)
    return suite


def _asked(bundle: Bundle, drawn: RequestSet) -> npt.NDArray[np.int8]:
    """What each draw was asked for; of a draw from the prior that is its whole condition."""
    asked = np.zeros(drawn.conditions.shape, np.int8)
    for i, request in enumerate(drawn.requests):
        if not request:
            asked[i] = np.sign(drawn.conditions[i])
        for name, value in request.items():
            asked[i, bundle.vocabulary.index(name)] = np.sign(value)
    return asked


def _after(progress: Progress, start: int, total: int) -> Progress:
    """One stage for all parts, of which ``start`` draws are done."""
    return lambda stage, done, of, remark="": progress("drawing three ways", start + done, total)
