"""Two systems on one test set: the same comparisons, so differences are paired and their intervals narrow.

Both are looked at where their false match rate is the same, each at its own threshold, since scores of two systems have
no common scale. The difference of two error rates over the same comparisons is a mean of differences, comparison by
comparison; its interval resamples subjects as those of a score report do (:mod:`cfgan.testsets.scores.bootstrap`), its
spread that of a standard error in which shared subjects and the choice of both thresholds are counted. All differences
are tested together with Holm's correction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cfgan.errors import InputError
from cfgan.io.progress import Progress
from cfgan.testsets.scores.bootstrap import Means, intervals
from cfgan.testsets.scores.comparisons import Comparisons
from cfgan.testsets.scores.flags import holm
from cfgan.testsets.scores.operating_points import OperatingPoint, Reference, at_rates, at_threshold, choose_reference
from cfgan.testsets.scores.rates import Bools, Floats, threshold_at_fmr
from cfgan.testsets.scores.rows import FEW, Masks, rate_masks
from cfgan.testsets.scores.tables import ScoreTable

FORMAT = "cfgan-versus/1"

_STEPS = 1.5, 0.5  # of a false match rate, between which it is seen how error rates move with it
_COLUMNS = 16  # rates whose errors are computed at a time: 100,000 comparisons need 13 MB


def compare_systems(
    first: Comparisons,
    second: Comparisons,
    tables: tuple[ScoreTable, ScoreTable],
    *,
    rates: Sequence[float],
    thresholds: tuple[float, float] | None = None,
    threshold_from: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    flag_error_rate: float = 0.05,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The second system against the first, ready for JSON.

    Args:
        first, second: the same comparisons of one set, each with a system's scores.
        tables: where the scores came from.
        rates: error rates that both are held at, 0..1.
        thresholds: their own thresholds, in their own directions; looked at first.
        threshold_from: as in a score report.
        resamples, seed: of the subjects.
        flag_error_rate: chance that any part is said to differ between two systems that do not.
        progress: called while it lasts.

    Returns:
        ``points`` with both thresholds; ``rows``, a part and kind each, with both rates and the second minus the first
        at every point; what is flagged first. Only comparisons that both have a score for are in them; what either
        failed on stands in ``systems``.

    Raises:
        InputError: no comparison that both scored, or as for a score report.
    """
    both = first.scored & second.scored
    if not both.any():
        raise InputError("there is no comparison that both systems have a score for.", field="SCORES")
    sides = [replace(each, score=np.where(both, each.score, np.nan)) for each in (first, second)]
    references = [choose_reference(side, threshold_from) if side.negative[both].any() else None for side in sides]
    points = [
        _points(side, reference, rates, thresholds[k] if thresholds is not None else None)
        for k, (side, reference) in enumerate(zip(sides, references, strict=True))
    ]
    masks = rate_masks(sides[0])
    each = list(zip(*points, strict=True))
    shares = [mask for _, _, mask in masks for _ in each]
    values = [b.error.astype(np.float64) - a.error for _ in masks for a, b in each]
    means = Means.of(shares, values)
    resampled, done = [], 0
    for weights in first.subjects.weights(resamples, seed):
        resampled.append(means.resampled(weights))
        done += len(weights)
        if progress:
            progress("resampling subjects", done, resamples)
    chosen = [_of_thresholds(*given, masks) for given in zip(sides, references, points, strict=True)]
    error = _standard_errors(first, means, [(-1.0, *chosen[0]), (1.0, *chosen[1])])
    found = intervals(means.values, np.concatenate(resampled), error, only_narrower=False)
    rows = []
    for k, (part, kind, mask) in enumerate(masks):
        row: dict[str, Any] = {"family": part[0], "name": part[1], "kind": kind.key, "error": kind.error}
        row |= {"scored": int(mask.sum()), "subjects": first.subjects.involved(mask), "rates": []}
        for j, (a, b) in enumerate(each):
            place = k * len(each) + j
            row["rates"].append(_rate(a, b, mask, found.value[place], found.low[place], found.high[place]))
            if j == 0:
                row["p"] = _p(a.error & mask, b.error & mask, float(found.value[place]), float(error[place]))
        rows.append(row)
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        gap = row["rates"][0]["difference"]
        row["p_holm"] = p
        row["flag"] = ("worse" if gap > 0 else "better") if p <= flag_error_rate and gap else ""
    rows.sort(key=lambda row: (row["family"] != "all", not row["flag"], -abs(row["rates"][0]["difference"])))
    return {
        "format": FORMAT,
        "systems": [_system(table, side, both) for table, side in zip(tables, (first, second), strict=True)],
        "settings": {"resamples": resamples, "seed": seed, "confidence": 0.95, "flag_error_rate": flag_error_rate},
        "comparisons": int(both.sum()),
        "points": [
            {"name": a.name, "thresholds": [a.threshold, b.threshold], "supported": a.supported and b.supported}
            for a, b in each
        ],
        "rows": [_plain(row) for row in rows],
    }


def _points(
    side: Comparisons, reference: Reference | None, rates: Sequence[float], threshold: float | None
) -> list[OperatingPoint]:
    points = [at_threshold(side, threshold, reference)] if threshold is not None else []
    if reference is not None:
        points += at_rates(side, reference, tuple(dict.fromkeys(rates)))
    if not points:
        raise InputError("there are no non-mated comparisons to choose thresholds on.", field="--threshold")
    return points


def _of_thresholds(
    side: Comparisons, reference: Reference | None, points: Sequence[OperatingPoint], masks: Masks
) -> tuple[list[Floats], Floats]:
    """How the choice of a threshold moves error rates: it is where the reference comparisons, which might have been
    others, reach a false match rate.

    Returns:
        Of each point (n,), what each comparison adds to the error of that false match rate, 0 at one's own threshold;
        and (R x P,), by how much each error rate, point by point, rises with it.
    """
    noise, slopes = [], np.zeros((len(masks), len(points)))
    for j, point in enumerate(points):
        if reference is None or point.fixed == "threshold":
            noise.append(np.zeros(len(side.score)))
            continue
        known = side.score[reference.mask]
        noise.append(
            np.where(reference.mask, (side.score >= side.own(point.threshold)) - point.target, 0.0) / len(known)
        )
        low, high = (threshold_at_fmr(known, min(step * point.target, 0.99)) for step in _STEPS)
        moved = float((known >= high).mean() - (known >= low).mean())
        for k, (_, kind, mask) in enumerate(masks):
            scores = side.score[mask]
            accepted = float((scores >= high).mean() - (scores >= low).mean())
            slopes[k, j] = (-accepted if kind.positive else accepted) / moved if moved else 0.0
    return noise, slopes.ravel()


def _standard_errors(
    comparisons: Comparisons, means: Means, chosen: Sequence[tuple[float, list[Floats], Floats]]
) -> Floats:
    """(F,) cluster-robust standard errors of differences of rates, the choice of thresholds among what makes them."""
    influence, found = means.influence.tocsc(), []
    for start in range(0, influence.shape[1], _COLUMNS):
        part = influence[:, start : start + _COLUMNS].toarray()
        for sign, noise, slopes in chosen:
            for k in range(part.shape[1]):
                part[:, k] -= sign * slopes[start + k] * noise[(start + k) % len(noise)]
        found.append(comparisons.subjects.standard_errors(part))
    return np.concatenate(found)


def _rate(a: OperatingPoint, b: OperatingPoint, mask: Bools, value: float, low: float, high: float) -> dict[str, Any]:
    one, other = a.error & mask, b.error & mask
    discordant = int((one != other).sum())
    interval = [float(low), float(high)] if discordant >= FEW else [math.nan, math.nan]
    n = int(mask.sum())
    return {
        "point": a.name,
        "rates": [int(one.sum()) / n, int(other.sum()) / n],
        "only_first": int((one & ~other).sum()),
        "only_second": int((other & ~one).sum()),
        "difference": float(value),
        "interval": interval,
    }


def _p(first: Bools, second: Bools, gap: float, error: float) -> float:
    """Two-sided: the larger p of McNemar's exact test, which takes comparisons for independent, and of the difference
    over its cluster-robust standard error, which does not but needs errors (McNemar, Psychometrika 12, 1947)."""
    from scipy.stats import binom, norm

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n = only_first + only_second
    if not n:
        return 1.0
    exact = min(1.0, 2 * float(binom.cdf(min(only_first, only_second), n, 0.5)))
    robust = 2 * float(norm.sf(abs(gap) / error)) if error > 0 else 1.0
    return max(exact, robust)


def _system(table: ScoreTable, side: Comparisons, both: Bools) -> dict[str, Any]:
    return {
        "file": table.path.name,
        "sha256": table.sha256,
        "direction": "distance" if side.distance else "similarity",
        "failures": int((~side.scored).sum()),
        "scored_alone": int((side.scored & ~both).sum()),
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """For JSON: NaN to None, figures to six digits."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.6g}") if math.isfinite(value) else None
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return {key: plain(value) for key, value in row.items()}
