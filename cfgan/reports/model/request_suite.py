"""The table of requests drawn three ways: how much of them is seen, beside what would be seen in real faces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cfgan.evaluation.request_suite import SuitePart
from cfgan.stats.rates import LEAST, Z95, Floats, Rate
from cfgan.verify.real_faces import RealFaces


def suite_row(part: SuitePart, real: RealFaces | None) -> dict[str, Any]:
    """One row.

    Args:
        part: n draws for requests of one kind.
        real: what the bundle's readers saw in real faces; None if it keeps none.

    Returns:
        ``name``; ``draws``; ``requests``, different ones; ``values``, requested in a draw on average; ``seen``: the
        share of requested values that are seen, mean over the draws, with a 95 % interval (Wilson's where a draw has
        one value, else from the spread over the draws), and ``ceiling``, what the same reader's rates on real faces
        that carry those values come to; ``exact``: draws in which all requested values are seen, for requests of a few
        values, and ``exact_real``, the same over the real faces that carry them all. None where it is not known.
    """
    asked = part.asked != 0
    met = (part.seen == (part.asked > 0)) & asked
    share = met.sum(1) / asked.sum(1)
    n, most = len(share), int(asked.sum(1).max())
    distinct = np.unique(part.asked, axis=0)
    row: dict[str, Any] = {
        "name": part.name,
        "draws": n,
        "requests": len(distinct),
        "values": float(asked.sum(1).mean()),
    }
    row["seen"] = {"rate": float(share.mean()), "interval": _interval(share, most), "n": n}
    row["ceiling"] = None if real is None or part.reader not in real.seen else _ceiling(part, real)
    few = most < len(part.asked[0]) and most > 1
    row["exact"] = Rate.of(met.sum(1) == asked.sum(1)).to_dict() if few else None
    row["exact_real"] = None
    if few and real is not None and part.reader in real.seen:
        names = real.vocabulary.names
        found = Rate(0, 0)
        for request in distinct:
            values = {names[i]: float(request[i]) for i in np.flatnonzero(request)}
            found += real.whole(part.reader, values)
        row["exact_real"] = found.to_dict()
    return row


def _interval(share: Floats, most: int) -> list[float]:
    if most == 1:
        return list(Rate.of(share == 1).interval())
    half = Z95 * float(share.std(ddof=1)) / math.sqrt(len(share)) if len(share) > 1 else math.nan
    return [max(0.0, float(share.mean()) - half), min(1.0, float(share.mean()) + half)]


def _ceiling(part: SuitePart, real: RealFaces) -> float:
    """The mean, over the requested values, of the reader's rate on real faces that carry them; rare ones left out."""
    total = weight = 0.0
    for i, name in enumerate(real.vocabulary.names):
        for value in (1.0, -1.0):
            rate = real.rate(part.reader, name, value)
            count = int((part.asked[:, i] == value).sum())
            if count and rate.n >= LEAST:
                total, weight = total + count * rate.value, weight + count
    return total / weight if weight else math.nan
