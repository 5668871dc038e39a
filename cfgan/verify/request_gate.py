"""Thresholds for a request as a whole: as sure as of four in five real faces that carry *this request*.

Thresholds that are taken value by value from all faces with that value starve rare combinations: women with hats look
less female to a classifier than women do, so that a gate made for women rejects most of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.model.calibration import GATE_RECALL, SUREST

ENOUGH = 50
"""Real faces that carry a request from which on its thresholds are read off them; of fewer a model is made."""

_SHRINK = 5  # faces at which a threshold made of few stands halfway to that of the value alone
_RIDGE = 10.0  # faces' worth of doubt that the rest of a request shifts a logit at all
_EDGE = 1e-7

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]


def request_thresholds(probability: Floats, labels: Floats, wanted: Bools, best: Floats) -> npt.NDArray[np.float64]:
    """The least probability of each requested value that a drawn face must show.

    Of :data:`ENOUGH` real faces that carry the whole request, each value's threshold is the same quantile, so low that
    four in five of the faces reach all of them at once. With fewer, faces that carry the value alone stand in, their
    logits shifted by what the rest of the request does to them (ridge regression), as if the values were independent;
    and of n faces that carry the whole the threshold leans by 5 / (5 + n) on that of the value alone (shrinkage).
    A threshold is not below that of best balanced accuracy, shifted likewise where the request makes faces harder.

    Args:
        probability: (N, G) calibrated, that the attribute is there, in held-out real faces.
        labels: (N, G); above 0 there, below 0 not, NaN unknown.
        wanted: (G,) what is requested.
        best: (G,) probabilities of best balanced accuracy.

    Returns:
        float64 (G,), probabilities of the requested value; NaN where no real face carries it.
    """
    x = _logit(np.where(wanted, probability, 1 - probability))  # N G
    carries = labels * np.where(wanted, 1, -1) > 0  # N G
    whole = carries.all(1)
    enough = int(whole.sum()) >= ENOUGH
    g = len(wanted)
    least = np.full(g, np.nan)
    floor = _logit(np.where(wanted, best, 1 - best))
    shift = np.zeros(g)
    stand_in: list[Floats] = []
    for k in range(g):
        own = x[carries[:, k], k]
        if len(own):
            shift[k] = x[whole, k].mean() - own.mean() if enough else _shift(own, carries[carries[:, k]], k)
        stand_in.append(x[whole, k] if enough else own + shift[k])
    share = _shared_quantile(x[whole]) if enough else 1 - GATE_RECALL ** (1 / g)
    for k in range(g):
        if len(stand_in[k]):
            reached = max(float(np.quantile(stand_in[k], share)), float(floor[k] + min(0.0, shift[k])))
            if not enough:
                alone = max(float(np.quantile(x[carries[:, k], k], 1 - GATE_RECALL)), float(floor[k]))
                reached += (alone - reached) * _SHRINK / (_SHRINK + int(whole.sum()))
            least[k] = min(SUREST, 1 / (1 + np.exp(-reached)))
    return least


def _shared_quantile(x: Floats) -> float:
    """The largest share such that :data:`GATE_RECALL` of the rows reach that quantile of every column at once."""
    low, high = 0.0, 1 - GATE_RECALL
    for _ in range(30):
        middle = (low + high) / 2
        if (x >= np.quantile(x, middle, axis=0)).all(1).mean() >= GATE_RECALL:
            low = middle
        else:
            high = middle
    return low


def _shift(own: Floats, carries: Bools, k: int) -> float:
    """How far the rest of the request moves the logit of value ``k``, from the faces that carry that value."""
    others = np.delete(carries, k, axis=1).astype(np.float64)
    if not others.shape[1]:
        return 0.0
    centred = others - others.mean(0)
    slope = np.linalg.solve(centred.T @ centred + _RIDGE * np.eye(others.shape[1]), centred.T @ (own - own.mean()))
    return float((1 - others.mean(0)) @ slope)


def _logit(p: Floats) -> npt.NDArray[np.float64]:
    q = np.clip(np.asarray(p, np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(q / (1 - q)))
