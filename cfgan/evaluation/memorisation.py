"""Whether generated faces are copies: how near the nearest training image is, beside the same for unseen real faces."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError
from cfgan.io.progress import Progress
from cfgan.stats.intervals import wilson_interval

Features = npt.NDArray[np.floating[Any]]

_ROWS = 512  # rows of a block of distances
CLOSE = 1e-3
"""A face is too close if it is closer than this share of held-out real faces is, or than all of few."""


def nearest_distances(
    features: Features, training: Features, progress: Progress | None = None
) -> npt.NDArray[np.float64]:
    """Euclidean distance of each row to its nearest training row ("distance to closest record").

    Args:
        features: (N, D).
        training: (M, D).
        progress: called with rows done and in all.

    Returns:
        float64 (N,).

    Raises:
        DataError: dimensions differ, or there is no training row.
    """
    if not len(training) or features.ndim != 2 or features.shape[1] != training.shape[1]:
        raise DataError(f"features {features.shape} and training features {training.shape} cannot be compared.")
    known = training.astype(np.float64)
    squares = (known**2).sum(1)
    found = np.empty(len(features))
    for start in range(0, len(features), _ROWS):
        block = features[start : start + _ROWS].astype(np.float64)
        squared = (block**2).sum(1)[:, None] + squares[None] - 2 * block @ known.T
        found[start : start + _ROWS] = np.sqrt(np.maximum(squared.min(1), 0))
        if progress:
            progress("comparing", min(start + _ROWS, len(features)), len(features))
    return found


def closeness(generated: npt.NDArray[np.float64], held_out: npt.NDArray[np.float64], bins: int = 40) -> dict[str, Any]:
    """Distances to the nearest training image, of generated faces against held-out real ones.

    A generator that copies has many faces nearer to a training image than unseen faces ever are.

    Args:
        generated: (N,) of :func:`nearest_distances`.
        held_out: (M,) the same for real faces that were not trained on.
        bins: of the histograms.

    Returns:
        ``share_closer``: share of generated faces nearer than ``limit``, with ``interval`` (Wilson 95 %); ``limit``,
        the distance of the held-out face that ``nearer`` - 1 others are nearer than: 0.1 % of them, but one at least;
        ``expected``, the share of faces that are no copies that would be nearer, ``nearer`` / (M + 1); medians and
        counts ``n`` and ``n_held_out`` of both; ``histogram``: edges and both densities.

    Raises:
        DataError: one of the two is empty.
    """
    if not len(generated) or not len(held_out):
        raise DataError("there are no distances to compare.")
    nearer = max(1, int(CLOSE * (len(held_out) + 1)))
    limit = float(np.sort(held_out)[nearer - 1])
    closer = int((generated < limit).sum())
    edges = np.linspace(0, float(max(generated.max(), held_out.max())) or 1.0, bins + 1)
    return {
        "share_closer": closer / len(generated),
        "interval": list(wilson_interval(closer, len(generated))),
        "limit": limit,
        "nearer": nearer,
        "expected": nearer / (len(held_out) + 1),
        "median_generated": float(np.median(generated)),
        "median_held_out": float(np.median(held_out)),
        "n": len(generated),
        "n_held_out": len(held_out),
        "histogram": {
            "edges": edges.tolist(),
            "generated": np.histogram(generated, edges, density=True)[0].tolist(),
            "held_out": np.histogram(held_out, edges, density=True)[0].tolist(),
        },
    }
