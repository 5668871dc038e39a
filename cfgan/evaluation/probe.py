"""A linear probe: how well a logistic regression over features tells drawn faces from real ones.

A classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017) with a linear reading of pretrained features (Alain and
Bengio, 2016). Where a distance of moments can be small though every single image gives itself away, this is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError

Features = npt.NDArray[np.floating[Any]]
"""(N, D): one row an image."""

STRENGTH = 100.0
"""Weight of the squared coefficients, of features scaled to variance 1, against the summed loss: with about as many
features as images an unpenalised probe only learns by heart."""


def probe_auc(a: Features, b: Features, *, folds: int = 5, strength: float = STRENGTH, seed: int = 0) -> float:
    """Area under the ROC curve of a cross-fitted linear probe that tells two sets apart.

    Each image is scored by a probe that was fitted, scaling included, on the other folds; a fold holds the same share
    of both sets. The areas of the folds are averaged, because scores of different probes have different origins.

    Args:
        a, b: features (N, D) and (M, D); the larger set is drawn from by ``seed``, so that counts are equal.
        folds: at least 2.
        strength: of the penalty.
        seed: of folds and choice.

    Returns:
        0..1: 0.5 where nothing tells the sets apart (below it by chance), 1 where every image is told.

    Raises:
        DataError: fewer than two images a fold, dimensions differ, values not finite.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise DataError(f"features of shapes {a.shape} and {b.shape} cannot be compared.")
    n = min(len(a), len(b))
    if folds < 2 or n < 2 * folds:
        raise DataError(f"{n} images of each kind are too few for {folds} folds.", field="folds", value=folds)
    rng = np.random.default_rng([seed, 2])
    sides = [side[rng.permutation(len(side))[:n]].astype(np.float32) for side in (a, b)]
    if not all(np.isfinite(side).all() for side in sides):
        raise DataError("features hold values that are not finite.")
    fold = np.arange(n) % folds
    areas = []
    for k in range(folds):
        train = np.concatenate([side[fold != k] for side in sides])
        mean, scale = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
        scale[scale < 1e-6 * max(float(scale.max()), 1e-30)] = np.inf  # a feature that never changes says nothing
        known = np.repeat([False, True], np.count_nonzero(fold != k))
        weights = _fitted((train - mean) / scale, known, strength)
        areas.append(_area(*(((side[fold == k] - mean) / scale) @ weights for side in sides)))
    return float(np.mean(areas))


def _fitted(x: npt.NDArray[np.float64], known: npt.NDArray[np.bool_], strength: float) -> npt.NDArray[np.float64]:
    """Coefficients (D,) of the logistic regression of ``known`` (n,) on ``x`` (n, D) with a penalty of their squares.

    No intercept: the sets are centred and equally large, and the area does not depend on it.
    """
    from scipy.optimize import minimize

    sign = np.where(known, 1.0, -1.0)
    x = x.astype(np.float32)  # half the time of float64, and no digit of the area changes

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margin = sign * (x @ weights.astype(np.float32))
        pull = -sign / (1 + np.exp(np.minimum(margin, 80.0)))
        value = np.logaddexp(0, -margin).sum() + strength / 2 * weights @ weights
        return float(value), (pull.astype(np.float32) @ x).astype(np.float64) + strength * weights

    start = np.zeros(x.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-6, "gtol": 1e-3})
    return np.asarray(found.x, dtype=np.float64)


def _area(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> float:
    """Probability that a score of ``high`` is above one of ``low``; ties count half (Mann and Whitney, 1947)."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([low, high]))[len(low) :]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(low) * len(high)))
