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
        Rows: what is flagged as worse first, then parts of which nothing has a score, then by the lower end of the
        interval at the first point.
    """
    masks = [*masks, *_silent(comparisons, masks)]
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


def _silent(comparisons: Comparisons, masks: Masks) -> Masks:
    """Parts of which nothing has a score, among those of kinds of which something has: a system that fails on all of a
    part is not to look as if there were no such part."""
    there = {(part, kind.key) for part, kind, _ in masks}
    return [
        (part, kind, np.zeros(len(mask), dtype=np.bool_))
        for kind in dict.fromkeys(kind for _, kind, _ in masks)
        for part, mask in comparisons.parts.items()
        if (part, kind.key) not in there and (mask & comparisons.of(kind)).any()
    ]


def _rate(
    point: OperatingPoint, mask: Bools, kind: Kind, failure: float, independent: int, found: Estimates, k: int
) -> dict[str, Any]:
    n, errors = int(mask.sum()), int((point.error & mask).sum())
    value = errors / n if n else 0.0
    general = value * (1 - failure) + (failure if kind.positive else 0.0)
    terms = {"general_term": kind.general, "general": general if kind.general else math.nan}
    if not n:
        nothing = {"errors": 0, "rate": math.nan, "interval": [math.nan, math.nan], "method": ""}
        return {"point": point.name, **nothing, **terms}
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
    return {
        "point": point.name,
        "errors": errors,
        "rate": value,
        "interval": [low, high],
        "method": method,
        **terms,
    }


class _Tests:
    """Tests of rows; parts of the same comparisons, or of exactly the others, are one test."""

    def __init__(self, comparisons: Comparisons, rows: Sequence[tuple[tuple[Family, str], Kind]]) -> None:
        self._comparisons, self._rows = comparisons, rows
        self.results = [AgainstRest()] * len(rows)
        self._test_of: dict[int, int] = {}

    def run(self, error: Bools, masks: Sequence[Bools], counted: Bools) -> None:
        """Test each row's share of errors (n,) among those of its mask (n,) against that of the others counted (n,)."""
        first_of: dict[bytes, int] = {}
        _, label = self._comparisons.strata
        for kind in self._comparisons.kinds:
            of = self._comparisons.of(kind) & counted
            for within, families in ((None, ("stratum",)), (label, ("matched", "differing", "attribute"))):
                rows = [k for k, (part, its) in enumerate(self._rows) if its == kind and part[0] in families]
                found = against_rest(error, [masks[k] for k in rows], of, self._comparisons.subjects, within)
                for k, result in zip(rows, found, strict=True):
                    self.results[k] = result
                    key, others = (kind.key.encode() + np.packbits(m).tobytes() for m in (masks[k], of & ~masks[k]))
                    self._test_of[k] = first_of.setdefault(others, first_of.setdefault(key, k))

    @property
    def distinct(self) -> dict[int, float]:
        """Row that stands for a test -> its p."""
        return {k: self.results[k].p for k in sorted(set(self._test_of.values()))}

    def adjusted(self, p: Sequence[float]) -> list[float]:
        """Of every row the p that was made of its test's, in the order of ``distinct``; NaN where it has none."""
        known = dict(zip(self.distinct, p, strict=True))
        return [known.get(self._test_of.get(k, -1), math.nan) for k in range(len(self._rows))]


def _tests(comparisons: Comparisons, masks: Masks, error: Bools, flag_error_rate: float) -> list[dict[str, Any]]:
    """Flags of all rows, of their error rates and of their failures to acquire, corrected together."""
    rows = [(part, kind) for part, kind, _ in masks]
    errors, failures = _Tests(comparisons, rows), _Tests(comparisons, rows)
    errors.run(error, [mask for _, _, mask in masks], comparisons.scored)
    if not comparisons.scored.all():
        whole = [comparisons.parts[part] & comparisons.of(kind) for part, kind in rows]
        failures.run(~comparisons.scored, whole, np.ones(len(error), dtype=np.bool_))
    p = holm([*errors.distinct.values(), *failures.distinct.values()])
    many = len(errors.distinct)
    flags = []
    for result, p_holm, failed, p_failed in zip(
        errors.results, errors.adjusted(p[:many]), failures.results, failures.adjusted(p[many:]), strict=True
    ):
        compared = "" if math.isnan(result.p) else "strata" if result.in_strata else "all"
        flags.append(
            {
                "rest": result.rest,
                "gap": result.gap,
                "compared": compared,
                "p": result.p,
                "p_holm": p_holm,
                "flag": _flag(result, p_holm, flag_error_rate),
                "failure_rest": failed.rest,
                "failure_p_holm": p_failed,
                "failure_flag": _flag(failed, p_failed, flag_error_rate),
            }
        )
    return flags


def _flag(result: AgainstRest, p: float, flag_error_rate: float) -> str:
    return ("worse" if result.gap > 0 else "better") if p <= flag_error_rate else ""


def _worst_first(row: dict[str, Any]) -> tuple[Any, ...]:
    """All comparisons, then what is flagged as worse by how much, then the rest by what is sure of their rates."""
    first = row["rates"][0]
    flagged = row["flag"] == "worse"
    gap = row["gap"] if flagged else 0.0
    surely, rate = (first["interval"][0], first["rate"]) if row["scored"] else (math.inf, math.inf)
    return (row["family"] != "all", not flagged, row["failure_flag"] != "worse", -gap, -surely, -rate)
