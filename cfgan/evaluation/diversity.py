"""How different the faces of one and the same request are, beside real faces that carry the same label."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.evaluation.requests import RequestSet

Features = npt.NDArray[np.floating[Any]]

LEAST = 10
"""Faces on each side that a figure needs."""


def mean_pairwise_distance(features: Features) -> float:
    """Mean Euclidean distance over all pairs of rows of (N, D); NaN for fewer than two rows."""
    if len(features) < 2:
        return math.nan
    x = features.astype(np.float64)
    squares = (x**2).sum(1)
    squared = np.maximum(squares[:, None] + squares[None] - 2 * x @ x.T, 0)
    return float(np.sqrt(squared[np.triu_indices(len(x), 1)]).mean())


def within_requests(
    vocabulary: Vocabulary, drawn: RequestSet, fake: Features, real: Features, labels: Features, seed: int
) -> dict[str, Any]:
    """Mean pairwise feature distance inside each single-attribute request, against real faces with that label.

    Args:
        vocabulary: the A attributes.
        drawn: n draws, each asked for one attribute.
        fake: features (n, D) of what was drawn.
        real: features (m, D) of real faces.
        labels: (m, A); above 0 present.
        seed: of which real faces are taken, as many as there are draws.

    Returns:
        ``attributes``: name -> generated, real, n and ratio (generated / real) for the attribute asked for; ``ratio``:
        the mean; ``least``: the smallest, and the attribute that has it. Attributes with fewer than :data:`LEAST` faces
        on a side are left out.
    """
    attributes: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(vocabulary.names):
        draws = [k for k, request in enumerate(drawn.requests) if request == {name: 1.0}]
        carriers = np.flatnonzero(labels[:, i] > 0)
        n = min(len(draws), len(carriers))
        if n < LEAST:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        generated = mean_pairwise_distance(fake[draws[:n]])
        truth = mean_pairwise_distance(real[rng.permutation(carriers)[:n]])
        attributes[name] = {"generated": generated, "real": truth, "n": n, "ratio": generated / truth}
    ratios = {name: row["ratio"] for name, row in attributes.items()}
    lowest = min(ratios, key=lambda name: ratios[name]) if ratios else None
    return {
        "attributes": attributes,
        "ratio": float(np.mean(list(ratios.values()))) if ratios else math.nan,
        "least": {"attribute": lowest, "ratio": ratios[lowest] if lowest else math.nan},
    }
