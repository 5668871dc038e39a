"""Fitting the prior to label rows: pseudo-likelihood to start from, then maximum likelihood by moment matching."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.gibbs import Blocks, block_scores, draw_one
from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import DataError
from cfgan.io.outputs import OutputFile
from cfgan.io.progress import Progress
from cfgan.io.reading import library_errors, open_regular

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
    progress: Progress | None = None,
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
        progress: called with steps done and in all.

    Raises:
        DataError: no rows, or the wrong number of columns.
    """
    if labels.ndim != 2 or labels.shape[1] != len(vocabulary) or not len(labels):
        raise DataError(f"labels have shape {labels.shape}, not (N, {len(vocabulary)}).", field="labels")
    x: Floats = np.sign(np.nan_to_num(labels)).astype(np.float32)
    blocks = Blocks.of(vocabulary, {}).drawn
    bias, weights = _pseudo_likelihood(x, blocks)
    bias, weights = _match_moments(x, bias, weights, blocks, iterations, seed, progress)
    present = (x > 0).astype(np.float64)
    pairs = (present.T @ present).round().astype(np.int64)
    seen = (x != 0).astype(np.float64)
    known = (seen.T @ seen).round().astype(np.int64)
    return Prior(vocabulary, bias.astype(np.float64), weights.astype(np.float64), pairs, known, len(x))


def _pseudo_likelihood(x: Floats, blocks: tuple[tuple[int, ...], ...]) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression

    rows, a = x.shape
    bias, weights = np.zeros(a, np.float32), np.zeros((a, a), np.float32)
    for i in range(a):
        known = x[:, i] != 0
        y = x[known, i] > 0
        others = np.arange(a) != i
        for block in blocks:
            if i in block:
                others[list(block)] = False  # that one of them holds is not for weights to say
        if 0 < y.sum() < len(y) and others.any():
            # The penalty keeps attributes that exclude each other exactly from running off to infinite weights.
            model = LogisticRegression(C=0.01 * rows, solver="newton-cholesky", max_iter=100)
            model.fit(x[known][:, others].astype(np.float64), y)
            bias[i], weights[i, others] = model.intercept_[0], model.coef_[0]
        else:
            share = (y.sum() + 0.5) / (len(y) + 1)
            bias[i] = float(np.log(share / (1 - share)))
    return bias, ((weights + weights.T) / 2).astype(np.float32)


def _match_moments(
    x: Floats,
    bias: Floats,
    weights: Floats,
    blocks: tuple[tuple[int, ...], ...],
    iterations: int,
    seed: int,
    progress: Progress | None,
) -> tuple[Floats, Floats]:
    """Persistent contrastive divergence; the parameters of the last third of the steps are averaged."""
    rng = np.random.default_rng(seed)
    rows, a = x.shape
    known = (x != 0).astype(np.float32)
    first = x.sum(0) / known.sum(0).clip(1)  # A
    second = (x.T @ x) / (known.T @ known).clip(1)  # A A
    state = x[rng.integers(rows, size=_CHAINS)].T.copy()  # A chains
    state[state == 0] = -1
    led = {block[0]: block for block in blocks}
    alone = set(range(a)) - {i for block in blocks for i in block}
    bias, weights = bias.copy(), weights.copy()
    bias_sum, weights_sum, kept = np.zeros_like(bias), np.zeros_like(weights), 0
    for step in range(iterations):
        field = weights @ state + bias[:, None]
        uniform = rng.random((a, _CHAINS), dtype=np.float32).clip(1e-7, 1 - 1e-7)
        logits = np.log(uniform / (1 - uniform))
        for i in range(a):
            if i in led:
                chosen = draw_one(block_scores(field, weights, state, led[i]), uniform[list(led[i])])
                for k, member in enumerate(led[i]):
                    _set(state, field, weights, member, chosen == k)
            elif i in alone:
                _set(state, field, weights, i, field[i] > logits[i])
        rate = np.float32(_RATE * (1 - step / iterations) + 0.002)
        gap = second - state @ state.T / _CHAINS
        np.fill_diagonal(gap, 0)
        for block in blocks:
            gap[np.ix_(block, block)] = 0
        bias += rate * (first - state.mean(1))
        weights += rate * gap
        if step >= iterations * 2 // 3:
            bias_sum += bias
            weights_sum += weights
            kept += 1
        if progress and (step % 50 == 49 or step + 1 == iterations):
            progress("matching", step + 1, iterations)
    if not kept:
        return bias, weights
    return (bias_sum / kept).astype(np.float32), (weights_sum / kept).astype(np.float32)


def _set(state: Floats, field: Floats, weights: Floats, i: int, present: npt.NDArray[np.bool_]) -> None:
    """Give attribute ``i`` of all chains new values, and bring the log-odds of all others up to date."""
    new = np.where(present, np.float32(1), np.float32(-1))
    change = new - state[i]
    moved = np.flatnonzero(change)
    field[:, moved] += np.outer(weights[:, i], change[moved])
    state[i] = new


def prior_file(path: Path, *, force: bool = False) -> OutputFile:
    """A file that a prior may be written to: new, or an older prior, or with ``force`` any file.

    Raises:
        InputError: as :class:`~cfgan.io.outputs.OutputFile`.
    """

    def holds_prior(found: Path) -> bool:
        with contextlib.suppress(DataError):
            load_prior(found)
            return True
        return False

    return OutputFile(path, holds_prior, force=force)


def write_prior(prior: Prior, target: OutputFile) -> None:
    """Write a prior to one safetensors file that also holds its vocabulary. Raises as :meth:`OutputFile.open`."""
    from safetensors.numpy import save

    target.write(save(prior.to_arrays(), metadata={"vocabulary": json.dumps(prior.vocabulary.to_dict())}))


def save_prior(prior: Prior, path: Path, *, force: bool = False) -> None:
    """Both at once. Raises as :func:`prior_file` and :func:`write_prior`."""
    write_prior(prior, prior_file(path, force=force))


def load_prior(path: Path) -> Prior:
    """Inverse of :func:`write_prior`. Raises DataError if the file is missing or holds no prior."""
    from safetensors import safe_open

    with library_errors(path, lambda text: DataError(f"no prior: {text}", field="prior", value=path)):
        open_regular(path).close()
        with safe_open(path, framework="np") as opened:
            vocabulary = Vocabulary.from_dict(json.loads(opened.metadata()["vocabulary"]))
            return Prior.from_arrays(vocabulary, {name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
