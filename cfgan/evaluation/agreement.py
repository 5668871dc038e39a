"""How far what a reader sees agrees with what was asked for, beside the same on real faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.request import Request
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.evaluation.accuracy import accuracy_table
from cfgan.evaluation.requests import RequestSet
from cfgan.stats.intervals import wilson_interval

Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.floating[Any]]


def agreement(vocabulary: Vocabulary, drawn: RequestSet, seen: Bools, real: Bools, labels: Labels) -> dict[str, Any]:
    """How far all attributes of whole conditions are seen as asked, with the reader's own agreement on real faces.

    Args:
        vocabulary: the A attributes.
        drawn: n draws.
        seen: bool (n, A), what a reader saw in them.
        real: bool (m, A), what it saw in held-out real faces: the ceiling.
        labels: (m, A) of those; above 0 present, below 0 absent, NaN unknown (takes no part).
    """
    table = accuracy_table(vocabulary.names, drawn.conditions, seen)
    ceiling = accuracy_table(vocabulary.names, labels, real)
    return {
        "agreement": table["agreement"],
        "ceiling": ceiling["agreement"],
        "balanced": table["balanced"],
        "balanced_ceiling": ceiling["balanced"],
        "draws": len(drawn),
    }


def single_attributes(
    vocabulary: Vocabulary, drawn: RequestSet, seen: Bools, real: Bools, labels: Labels
) -> dict[str, dict[str, Any]]:
    """Each attribute asked for alone and asked away: how often it is seen so, and in real faces that carry the label.

    Returns:
        name -> ``yes`` and ``no``, each with rate, interval (Wilson 95 %), n, ceiling (the rate on real faces), real
        (how many of those) and gap (ceiling minus rate).
    """
    wanted = np.asarray([_only(request)[1] > 0 for request in drawn.requests], dtype=bool)
    column = np.asarray([vocabulary.index(_only(request)[0]) for request in drawn.requests], dtype=np.int64)
    table: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(vocabulary.names):
        table[name] = {}
        for word, value, sign in (("yes", True, 1), ("no", False, -1)):
            rows = (column == i) & (wanted == value)
            carriers = sign * labels[:, i] > 0
            table[name][word] = _rate(seen[rows, i] == value, real[carriers, i] == value)
    return table


def whole_request(vocabulary: Vocabulary, request: Request, seen: Bools, real: Bools, labels: Labels) -> dict[str, Any]:
    """How often every attribute of one request is seen as asked; the same in real faces that carry them all."""
    columns = [vocabulary.index(name) for name in request]
    wanted = np.asarray([request[name] > 0 for name in request], dtype=bool)
    carriers = (labels[:, columns] * np.where(wanted, 1, -1) > 0).all(1)
    return _rate((seen[:, columns] == wanted).all(1), (real[carriers][:, columns] == wanted).all(1))


def requested_values(vocabulary: Vocabulary, drawn: RequestSet, seen: Bools) -> dict[str, Any]:
    """Over many different requests: how often all of a request is seen, and how often one of its values is."""
    exact, each = [], []
    for request, row in zip(drawn.requests, seen, strict=True):
        met = [bool(row[vocabulary.index(name)]) == (value > 0) for name, value in request.items()]
        exact.append(all(met))
        each += met
    return {
        "exact": _rate(np.asarray(exact, dtype=bool), np.zeros(0, dtype=bool)),
        "value": _rate(np.asarray(each, dtype=bool), np.zeros(0, dtype=bool)),
        "requests": len({tuple(request.items()) for request in drawn.requests}),
    }


def _only(request: Request) -> tuple[str, float]:
    return next(iter(request.items()))


def _rate(met: Bools, real: Bools) -> dict[str, Any]:
    return beside_real((int(met.sum()), len(met)), (int(real.sum()), len(real)))


def beside_real(met: tuple[int, int], real: tuple[int, int]) -> dict[str, Any]:
    """A rate on generated faces and the same on real ones, each given as (hits, n).

    Returns:
        rate, interval (Wilson 95 %) and n; ceiling (the rate on real faces; NaN without any), real (how many) and gap
        (ceiling minus rate).
    """
    rate, ceiling = (hits / n if n else math.nan for hits, n in (met, real))
    return {
        "rate": rate,
        "interval": list(wilson_interval(*met)),
        "n": met[1],
        "ceiling": ceiling,
        "real": real[1],
        "gap": ceiling - rate,
    }


def mean_of(table: dict[str, dict[str, Any]], words: Sequence[str], key: str) -> float:
    """Mean of a figure over the attributes of :func:`single_attributes`, those without it left out."""
    values = [row[word][key] for row in table.values() for word in words]
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan
