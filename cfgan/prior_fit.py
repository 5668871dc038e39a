"""Fitting the prior to label rows: pseudo-likelihood to start from, then maximum likelihood by moment matching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError
from cfgan.prior import Prior
from cfgan.vocabulary import Vocabulary

_CHAINS = 4000
_ITERATIONS = 1500
_RATE = 0.3  # of the first moment-matching step; falls linearly

Labels = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float32]


def fit_prior(
    vocabulary: Vocabulary,
    labels: Labels,
    *,
    iterations: int = _ITERATIONS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Prior:
    """Fit a pairwise model whose attribute and pair frequencies are those of the labels.

    First one logistic regression an attribute on all others (pseudo-likelihood, Besag 1975), symmetrised. That alone
    drifts (on CelebA its marginals are 10 points off), because couplings such as beard and sex are near-deterministic.
    So persistent chains then match the moments (Tieleman 2008), which is maximum likelihood for this model: afterwards
    single and pair frequencies agree by construction.

    Args:
        vocabulary: the A attributes.
        labels: (N, A); above 0 present, below 0 absent, NaN or 0 unknown.
        iterations: moment-matching steps.
        seed: of the chains.
        progress: called with (steps done, steps in all).

    Raises:
        DataError: no rows, or the wrong number of columns.
    """
    if labels.ndim != 2 or labels.shape[1] != len(vocabulary) or not len(labels):
        raise DataError(f"labels have shape {labels.shape}, not (N, {len(vocabulary)}).", field="labels")
    x: Floats = np.sign(np.nan_to_num(labels)).astype(np.float32)
    bias, weights = _pseudo_likelihood(x)
    bias, weights = _match_moments(x, bias, weights, iterations, seed, progress)
    present = (x > 0).astype(np.float64)
    pairs = (present.T @ present).round().astype(np.int64)
    return Prior(vocabulary, bias.astype(np.float64), weights.astype(np.float64), pairs, len(x))


def _pseudo_likelihood(x: Floats) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression

    rows, a = x.shape
    bias, weights = np.zeros(a, np.float32), np.zeros((a, a), np.float32)
    for i in range(a):
        known = x[:, i] != 0
        y = x[known, i] > 0
        others = np.arange(a) != i
        if 0 < y.sum() < len(y) and a > 1:
            # The penalty keeps attributes that exclude each other exactly from running off to infinite weights.
            model = LogisticRegression(C=0.01 * rows, solver="newton-cholesky", max_iter=100)
            model.fit(x[known][:, others].astype(np.float64), y)
            bias[i], weights[i, others] = model.intercept_[0], model.coef_[0]
        else:
            share = (y.sum() + 0.5) / (len(y) + 1)
            bias[i] = np.log(share / (1 - share))
    return bias, (weights + weights.T) / 2


def _match_moments(
    x: Floats, bias: Floats, weights: Floats, iterations: int, seed: int, progress: Callable[[int, int], None] | None
) -> tuple[Floats, Floats]:
    """Persistent contrastive divergence; the parameters of the last third of the steps are averaged."""
    rng = np.random.default_rng(seed)
    rows, a = x.shape
    known = (x != 0).astype(np.float32)
    first = x.sum(0) / known.sum(0).clip(1)  # A
    second = (x.T @ x) / (known.T @ known).clip(1)  # A A
    state = x[rng.integers(rows, size=_CHAINS)].T.copy()  # A chains
    state[state == 0] = -1
    bias, weights = bias.copy(), weights.copy()
    bias_sum, weights_sum, kept = np.zeros_like(bias), np.zeros_like(weights), 0
    for step in range(iterations):
        field = weights @ state + bias[:, None]
        uniform = rng.random((a, _CHAINS), dtype=np.float32).clip(1e-7, 1 - 1e-7)
        logits = np.log(uniform / (1 - uniform))
        for i in range(a):
            new = np.where(field[i] > logits[i], np.float32(1), np.float32(-1))
            change = new - state[i]
            moved = np.flatnonzero(change)
            field[:, moved] += np.outer(weights[:, i], change[moved])
            state[i] = new
        rate = np.float32(_RATE * (1 - step / iterations) + 0.002)
        gap = second - state @ state.T / _CHAINS
        np.fill_diagonal(gap, 0)
        bias += rate * (first - state.mean(1))
        weights += rate * gap
        if step >= iterations * 2 // 3:
            bias_sum += bias
            weights_sum += weights
            kept += 1
        if progress and (step % 50 == 49 or step + 1 == iterations):
            progress(step + 1, iterations)
    if not kept:
        return bias, weights
    return bias_sum / kept, weights_sum / kept
