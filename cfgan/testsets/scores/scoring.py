"""Scoring a system on a test set: its scores in, error rates with intervals out, worst first.

The terms are those of ISO/IEC 19795-1 (comparisons) and ISO/IEC 30107-3 (attacks). Error rates are over comparisons
that have a score; those without one are failures to acquire, counted beside them and in the generalized rates. The
figures are a dict that ``score.schema.json`` beside the reports describes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cfgan.errors import InputError
from cfgan.io.files import real_path, sha256_of
from cfgan.io.progress import Progress
from cfgan.testsets.folder import MANIFEST, Testset
from cfgan.testsets.scores.bootstrap import Means, intervals, plain_interval
from cfgan.testsets.scores.comparisons import Comparisons
from cfgan.testsets.scores.curves import StratumCurve, score_curves
from cfgan.testsets.scores.differences import difference_sides, make_differences
from cfgan.testsets.scores.differentials import differentials, groups_of
from cfgan.testsets.scores.operating_points import (
    OperatingPoint,
    Reference,
    at_rates,
    at_threshold,
    choose_reference,
    rule_of_thirty,
    smallest_rate,
)
from cfgan.testsets.scores.paired import paired_contrasts
from cfgan.testsets.scores.quality import error_against_discard, pair_qualities
from cfgan.testsets.scores.rows import make_rows, rate_masks
from cfgan.testsets.scores.tables import ScoreTable
from cfgan.testsets.scores.warnings import score_warnings
from cfgan.testsets.tables import require_own_images
from cfgan.version import __version__

FORMAT = "cfgan-score/1"
_CURVE = 200  # corners of a DET curve kept


@dataclass(frozen=True)
class Settings:
    """How to score.

    Args:
        threshold: the user's own, in the system's direction; None for none.
        rates: fixed error rates, 0..1, of false matches (BPCER, and APCER too, in detection sets).
        threshold_from: stratum on whose negatives thresholds of fixed rates are chosen; None: "random", else all.
        baseline: stratum that others are compared with inside groups; None: "random", else all others.
        resamples: of subjects.
        seed: of the resamples.
        flag_error_rate: chance that anything is flagged in a system without a difference.
        by: attributes whose values make the groups that are held against each other; in a factorial set, if empty, the
            crossed ones.
    """

    threshold: float | None = None
    rates: tuple[float, ...] = (0.01, 0.001)
    threshold_from: str | None = None
    baseline: str | None = None
    resamples: int = 1000
    seed: int = 0
    flag_error_rate: float = 0.05
    by: tuple[str, ...] = ()


def score_testset(
    testset: Testset, comparisons: Comparisons, table: ScoreTable, settings: Settings, progress: Progress | None = None
) -> dict[str, Any]:
    """All figures, ready for JSON.

    Args:
        testset: what was scored.
        comparisons: its comparisons with the scores of ``table``.
        table: where the scores came from.
        settings: how.
        progress: called while it lasts.

    Raises:
        InputError: a setting that does not fit the test set, or tables that name files which it does not have.
    """
    _check(settings)
    require_own_images(testset)
    groups = groups_of(testset, settings.by)
    reference, points = _operating_points(comparisons, settings)
    contrasts = paired_contrasts(comparisons, settings.baseline)
    curves = score_curves(comparisons)
    masks = rate_masks(comparisons)
    shares, values = difference_sides(comparisons, points, contrasts)
    means = Means.of(
        [mask for _, _, mask in masks for _ in points] + shares,
        [point.error for _ in masks for point in points] + values,
    )
    resampled, equal = _resample(comparisons, means, curves, settings, progress)
    rates = len(masks) * len(points)
    rows = make_rows(
        comparisons,
        masks,
        points,
        intervals(
            means.values[:rates], resampled[:, :rates], comparisons.subjects.standard_errors(means.influence[:, :rates])
        ),
        settings.flag_error_rate,
    )
    data: dict[str, Any] = {
        "format": FORMAT,
        "cfgan": __version__,
        "testset": _about(testset, comparisons),
        "scores": {
            "file": table.path.name,
            "sha256": table.sha256,
            "direction": "distance" if comparisons.distance else "similarity",
            "without_score": int(table.failed.sum()),
            "without_row": int(table.missing.sum()),
            "unfilled_slots": comparisons.unfilled,
        },
        "settings": {
            "resamples": settings.resamples,
            "seed": settings.seed,
            "confidence": 0.95,
            "flag_error_rate": settings.flag_error_rate,
            "threshold_from": reference.stratum or "all" if reference else None,
        },
        "support": _support(reference),
        "warnings": score_warnings(testset, comparisons, curves, points),
        "points": [_point(point, comparisons) for point in points],
        "rows": rows,
        "curves": [_curve(curve, equal[:, k]) for k, curve in enumerate(curves)],
        "differences": make_differences(comparisons, points, contrasts, means, resampled, rates),
        "differentials": differentials(
            comparisons,
            groups,
            points[0],
            resamples=settings.resamples,
            seed=settings.seed,
            flag_error_rate=settings.flag_error_rate,
        ),
    }
    data["quality"] = error_against_discard(comparisons, pair_qualities(testset))
    data["notes"] = _notes(data, comparisons, testset)
    result: dict[str, Any] = _plain(data)
    return result


def _check(settings: Settings) -> None:
    for rate in settings.rates:
        if not 0 < rate < 1:
            raise InputError(f"{rate:g} is not an error rate between 0 and 1.", field="--at", value=rate)
    if settings.threshold is not None and not math.isfinite(settings.threshold):
        raise InputError("is not a finite number.", field="--threshold", value=settings.threshold)
    if not settings.rates and settings.threshold is None:
        raise InputError("give --threshold or at least one error rate.", field="--at")


def _operating_points(comparisons: Comparisons, settings: Settings) -> tuple[Reference | None, list[OperatingPoint]]:
    negatives = comparisons.negative & comparisons.scored
    reference = choose_reference(comparisons, settings.threshold_from) if negatives.any() else None
    points = [at_threshold(comparisons, settings.threshold, reference)] if settings.threshold is not None else []
    if reference is None:
        what = "bona fide presentations" if comparisons.detection else "non-mated comparisons"
        if not points:
            raise InputError(f"there are no {what} with a score to choose a threshold on.", field="--threshold")
        return None, points
    rates = tuple(dict.fromkeys(settings.rates))
    points += at_rates(comparisons, reference, rates)
    attacked = ~comparisons.negative & comparisons.scored
    if comparisons.detection and attacked.any():
        # A stratum of bona fide presentations alone says nothing of attacks: all of them do then.
        chosen = settings.threshold_from
        here = chosen is None or (attacked & comparisons.parts["stratum", chosen]).any()
        attacks = choose_reference(comparisons, chosen if here else None, positive=True)
        points += at_rates(comparisons, attacks, rates, positive=True)
    return reference, points


def _resample(
    comparisons: Comparisons,
    means: Means,
    curves: Sequence[StratumCurve],
    settings: Settings,
    progress: Progress | None,
) -> tuple[Any, Any]:
    """The means (B, F) and equal error rates (B, C) in each resample of subjects."""
    found_means, found_rates, done = [], [], 0
    for weights in comparisons.subjects.weights(settings.resamples, settings.seed):
        found_means.append(means.resampled(weights))
        columns = [curve.resampled(weights) for curve in curves]
        found_rates.append(np.stack(columns, axis=1) if columns else np.zeros((len(weights), 0)))
        done += len(weights)
        if progress:
            progress("resampling subjects", done, settings.resamples)
    return np.concatenate(found_means), np.concatenate(found_rates)


def _about(testset: Testset, comparisons: Comparisons) -> dict[str, Any]:
    return {
        "name": real_path(testset.path).name,
        "design": testset.design,
        "manifest_sha256": sha256_of(testset.path / MANIFEST),
        "comparisons": len(comparisons.names),
        "subjects": comparisons.subjects.count,
        "folds": len(np.unique(comparisons.fold)),
    }


def _support(reference: Reference | None) -> dict[str, Any] | None:
    if reference is None:
        return None
    return {
        "comparisons": int(reference.mask.sum()),
        "independent": reference.independent,
        "rule_of_three": smallest_rate(reference.independent),
        "rule_of_thirty": rule_of_thirty(reference.independent),
    }


def _point(point: OperatingPoint, comparisons: Comparisons) -> dict[str, Any]:
    scored = {kind: comparisons.of(kind) & comparisons.scored for kind in comparisons.kinds}
    return {
        "name": point.name,
        "fixed": point.fixed,
        "target": point.target,
        "threshold": point.threshold,
        "cross_validated": bool(point.by_fold),
        "thresholds_by_fold": {str(fold): value for fold, value in point.by_fold.items()},
        "supported": point.supported,
        "at_threshold": [
            {"kind": kind.key, "errors": int(point.plain[mask].sum()), "rate": float(point.plain[mask].mean())}
            for kind, mask in scored.items()
            if mask.any()
        ],
    }


def _curve(curve: StratumCurve, resampled: Any) -> dict[str, Any]:
    return {
        "stratum": curve.stratum,
        "kind": curve.kind.key,
        "positives": int(curve.positive.sum()),
        "positives_from": curve.positives_from,
        "negatives": int((~curve.positive).sum()),
        "negatives_from": curve.negatives_from,
        "eer": curve.curve.eer,
        "interval": list(plain_interval(resampled)),
        "det": curve.curve.thinned(_CURVE),
    }


def _notes(data: dict[str, Any], comparisons: Comparisons, testset: Testset) -> list[str]:
    """What a reader must know beside the figures."""
    unit = "presentation" if comparisons.detection else "comparison"
    notes = []
    if count := data["scores"]["without_row"]:
        notes.append(f"{count:,} {unit}s had no row and were counted as failures, as --allow-missing asks.")
    if count := data["scores"]["without_score"]:
        notes.append(f"{count:,} {unit}s have no score: they are counted as failures, not in the error rates.")
    for kind in comparisons.kinds:
        if (of := comparisons.of(kind)).any() and not (of & comparisons.scored).any():
            notes.append(f"None of the {int(of.sum()):,} {kind.name} {unit}s has a score: there is no {kind.error}.")
    if comparisons.unfilled:
        notes.append(f"{comparisons.unfilled:,} slots for your own images were left empty.")
    if any(point["fixed"] != "threshold" and not point["cross_validated"] for point in data["points"]):
        notes.append(
            "Thresholds of fixed error rates were chosen on the comparisons that they are used on, since all lie in "
            "one fold: the rates there are optimistic."
        )
    if unsupported := [point["name"] for point in data["points"] if not point["supported"]]:
        notes.append(
            f"{', '.join(unsupported)}: too few independent {unit}s to show so small a rate (rule of three). What is "
            "seen there says little."
        )
    kinds = {row["kind"] for row in data["rows"]}
    if "presumed" in kinds:
        notes.append("Presumed mated: one latent with a changed attribute, not two pictures of one person.")
    if testset.protocol.get("captures") and "1" in kinds:
        notes.append(
            "Mated comparisons of one image and the same image after a change of capture: FNMR is what the change "
            "alone does, and lower than between two photographs of a person."
        )
    if comparisons.detection:
        notes.append(
            "Manipulated media, not presentation attacks: no artefact was presented to a sensor. APCER and BPCER are "
            "used as in ISO/IEC 30107-3, with generated images as attacks, all of one species: this generator's."
        )
    else:
        notes.append(
            "GFAR and GFRR count failures to acquire; failures to enrol are not known here and taken for none."
        )
    return notes


def _plain(value: Any, key: str = "") -> Any:
    """For JSON: figures to six digits, thresholds as they are, NaN to None."""
    if isinstance(value, dict):
        return {name: _plain(item, key if key == "thresholds_by_fold" else name) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, key) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if key.startswith("threshold") else float(f"{value:.6g}")
    return value
