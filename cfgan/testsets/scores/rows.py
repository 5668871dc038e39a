"""Error rates part by part: all comparisons, each stratum, each attribute value; worst first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgan.stats.intervals import wilson_interval
from cfgan.testsets.scores.bootstrap import Estimates
from cfgan.testsets.scores.comparisons import Comparisons, Family, Kind
from cfgan.testsets.scores.flags import AgainstRest, against_rest, holm
from cfgan.testsets.scores.operating_points import OperatingPoint, smallest_rate
from cfgan.testsets.scores.rates import Bools

FEW = 10
"""Errors (or right decisions) below which a bootstrap knows too little of the errors that could have been."""

Masks = list[tuple[tuple[Family, str], Kind, Bools]]


def rate_masks(comparisons: Comparisons) -> Masks:
    """Part, kind and mask (n,) of the scored comparisons, for every part and kind that has any."""
    return [
        (part, kind, mask & here)
        for kind in comparisons.kinds
        if (here := comparisons.of(kind) & comparisons.scored).any()
        for part, mask in comparisons.parts.items()
        if (mask & here).any()
    ]


def make_rows(
    comparisons: Comparisons,
    masks: Masks,
    points: Sequence[OperatingPoint],
    found: Estimates,
    flag_error_rate: float,
) -> list[dict[str, Any]]:
    """A row a part and kind.

    Args:
        comparisons: the scores.
        masks: R parts, as :func:`rate_masks`.
        points: P operating points; parts are flagged at the first.
        found: R x P rates with intervals, point by point.
        flag_error_rate: of all flags together.

    Returns:
        Rows: what is flagged as worse first, then by the lower end of the interval at the first point.
    """
    tests = _tests(comparisons, masks, points[0].error, flag_error_rate)
    rows = []
    for k, (part, kind, mask) in enumerate(masks):
        n, independent = int(mask.sum()), comparisons.subjects.independent(mask)
        whole = comparisons.parts[part] & comparisons.of(kind)
        failed = int((whole & ~comparisons.scored).sum())
        failure = failed / (n + failed)
        rows.append(
            {
                "family": part[0],
                "name": part[1],
                "kind": kind.key,
                "error": kind.error,
                "n": n + failed,
                "scored": n,
                "failed": failed,
                "failure_term": kind.failure,
                "failure_rate": failure,
                "failure_interval": list(wilson_interval(failed, n + failed)),
                "subjects": comparisons.subjects.involved(mask),
                "independent": independent,
                "smallest_rate": smallest_rate(independent),
                "rates": [
                    _rate(point, mask, kind, failure, independent, found, k * len(points) + j)
                    for j, point in enumerate(points)
                ],
                **tests[k],
            }
        )
    return sorted(rows, key=_worst_first)


def _rate(
    point: OperatingPoint, mask: Bools, kind: Kind, failure: float, independent: int, found: Estimates, k: int
) -> dict[str, Any]:
    n, errors = int(mask.sum()), int((point.error & mask).sum())
    value = errors / n
    # Korn and Graubard, Survey Methodology 24, 1998: as many independent comparisons as would be as unsure.
    effective = float(independent)
    if 0 < errors < n and found.error[k] > 0:
        effective = min(float(n), value * (1 - value) / float(found.error[k]) ** 2)
    low, high = wilson_interval(value * effective, effective)
    method = "wilson"
    if FEW <= errors <= n - FEW:
        # A bootstrap's intervals lie too low for small rates, the more so the fewer the errors: Wilson's is held too.
        method = "bootstrap"
        low, high = min(low, max(0.0, float(found.low[k]))), max(high, min(1.0, float(found.high[k])))
    general = value * (1 - failure) + (failure if kind.positive else 0.0)
    return {
        "point": point.name,
        "errors": errors,
        "rate": value,
        "interval": [low, high],
        "method": method,
        "general_term": kind.general,
        "general": general if kind.general else math.nan,
    }


def _tests(comparisons: Comparisons, masks: Masks, error: Bools, flag_error_rate: float) -> list[dict[str, Any]]:
    """Flags of all rows, corrected together; parts of the same comparisons, or of exactly the others, are one test."""
    results = [AgainstRest()] * len(masks)
    test_of: dict[int, int] = {}
    first_of: dict[bytes, int] = {}
    strata = [mask for (family, _), mask in comparisons.parts.items() if family == "stratum"]
    label = np.argmax(np.stack(strata), axis=0).astype(np.int64)
    for kind in comparisons.kinds:
        of = comparisons.of(kind) & comparisons.scored
        for within, families in ((None, ("stratum",)), (label, ("matched", "differing", "attribute"))):
            rows = [k for k, (part, its, _) in enumerate(masks) if its == kind and part[0] in families]
            found = against_rest(error, [masks[k][2] for k in rows], of, comparisons.subjects, within)
            for k, result in zip(rows, found, strict=True):
                results[k] = result
                mask = masks[k][2]
                key, others = (kind.key.encode() + np.packbits(m).tobytes() for m in (mask, of & ~mask))
                test_of[k] = first_of.setdefault(others, first_of.setdefault(key, k))
    distinct = sorted(set(test_of.values()))
    adjusted = dict(zip(distinct, holm([results[k].p for k in distinct]), strict=True))
    flags = []
    for k, result in enumerate(results):
        p = adjusted.get(test_of.get(k, -1), math.nan)
        flag = ("worse" if result.gap > 0 else "better") if p <= flag_error_rate else ""
        compared = "" if math.isnan(result.p) else "strata" if result.in_strata else "all"
        about = {"rest": result.rest, "gap": result.gap, "compared": compared}
        flags.append({**about, "p": result.p, "p_holm": p, "flag": flag})
    return flags


def _worst_first(row: dict[str, Any]) -> tuple[Any, ...]:
    """All comparisons, then what is flagged as worse by how much, then the rest by what is sure of their rates."""
    first = row["rates"][0]
    flagged = row["flag"] == "worse"
    gap = row["gap"] if flagged else 0.0
    return (row["family"] != "all", not flagged, -gap, -first["interval"][0], -first["rate"])
