"""From a wanted precision to a threshold: how sure the verifier must be for its word to be right that often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import RequestError
from cfgan.model.bundle import Bundle

LEAST = 10
"""Held-out real faces that must pass a threshold before its precision counts."""


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold does on held-out real faces.

    Args:
        threshold: least calibrated probability of the requested value.
        precision: share of those that pass that carry the value.
        recall: share of those that carry the value that pass.
        n: how many pass.
    """

    threshold: float
    precision: float
    recall: float
    n: int


def operating_points(probability: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_]) -> list[OperatingPoint]:
    """One point for every distinct probability that at least :data:`LEAST` faces reach, strictest first.

    Args:
        probability: (N,) calibrated probability of the value.
        truth: bool (N,), whether the face carries it.
    """
    order = np.argsort(-probability, kind="stable")
    p, t = probability[order].astype(np.float64), truth[order]
    hits, passed = np.cumsum(t), np.arange(1, len(t) + 1)
    last = np.append(p[1:] != p[:-1], True)  # a threshold lies only after a run of equal probabilities
    return [
        OperatingPoint(float(p[k]), float(hits[k] / passed[k]), float(hits[k] / max(1, hits[-1])), int(passed[k]))
        for k in np.flatnonzero(last & (passed >= LEAST))
    ]


def point_for_precision(
    probability: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_], precision: float
) -> OperatingPoint | None:
    """The point of highest recall whose precision is reached; None if no threshold reaches it."""
    good = [point for point in operating_points(probability, truth) if point.precision >= precision]
    return max(good, key=lambda point: point.recall) if good else None


def points_for_request(bundle: Bundle, request: Mapping[str, float], precision: float) -> dict[str, OperatingPoint]:
    """Thresholds for every value of a request that is gated (+1 or -1), from the bundle's held-out real faces.

    Precision holds for faces as common as in those: among draws for which the value was asked for it is higher.

    Args:
        bundle: with validation readings.
        request: names and values.
        precision: wanted, 0..1.

    Raises:
        RequestError: the verifier reaches it at no threshold for some value (names it and the best that it reaches), or
            the bundle does not keep validation readings.
    """
    validation, probability = bundle.validation(), bundle.classifiers["verifier"].held_out()
    if validation is None or probability is None:
        raise RequestError(
            f"{bundle.name} does not keep what its verifier read in real faces; give a threshold instead.",
            field="precision",
            value=precision,
        )
    found: dict[str, OperatingPoint] = {}
    for name, value in request.items():
        if abs(value) != 1:
            continue
        i = bundle.vocabulary.index(name)
        known = np.isfinite(validation.labels[:, i])
        p = probability[known, i] if value > 0 else 1 - probability[known, i]
        truth = (validation.labels[known, i] > 0) == (value > 0)
        point = point_for_precision(p, truth, precision)
        if point is None:
            best = max((x.precision for x in operating_points(p, truth)), default=float("nan"))
            raise RequestError(
                f"{'' if value > 0 else '-'}{name} cannot be verified with a precision of {precision:g}: on "
                f"{int(known.sum()):,} real faces the verifier reaches {best:.3f} at most.",
                field="precision",
                value=precision,
            )
        found[name] = point
    return found
