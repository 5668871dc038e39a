"""How large a test set must be for what it is to show, before anything is drawn.

With no error among n independent comparisons the error rate is below a bound with a stated confidence (at 95 % the rule
of three, 3 / n: Jovanovic and Levy 1997; ISO/IEC 19795-1). To know a rate to within 30 % of itself with 90 % confidence
takes 30 errors (Doddington et al. 2000). Two comparisons that share a subject are not independent.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from cfgan.errors import InputError
from cfgan.testsets.spec import CaptureModel, FactorialModel, MatchedModel, Plan, TransectModel

DRAWS_PER_SECOND = 48.0
"""Draws of the shipped bundle with its verifier on two shared cores (docs/benchmarks.md)."""
EMBEDDED_PER_SECOND = {1: 14.0, 2: 6.0}
"""Faces a second by dlib's network alone, and by it and the control, on one core."""
BYTES_PER_IMAGE = 30_500
"""A face of 128 x 128 pixels with its marks."""


@dataclass(frozen=True)
class SetSize:
    """What it takes.

    Args:
        pairs: independent comparisons in which no error may be seen, for the bound to hold.
        pairs_within_30_percent: independent comparisons in which 30 errors are to be expected at that rate.
        subjects: of these pairs: two each, none in two of them.
        draws: at the stated acceptance.
        minutes: of one core, embedders included.
        megabytes: of images.
    """

    pairs: int
    pairs_within_30_percent: int
    subjects: int
    draws: int
    minutes: float
    megabytes: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def plan_size(
    fmr: float, confidence: float = 0.95, *, acceptance: float = 0.5, groups: int = 1, embedders: int = 1
) -> SetSize:
    """What it takes to show that a false match rate is at most ``fmr``.

    Args:
        fmr: the rate, 0..1.
        confidence: that it is no larger, 0..1.
        acceptance: share of the draws that show what is asked for.
        groups: of people, for each of which it is to be shown.
        embedders: 0 to 2 recognisers that look at each face.

    Raises:
        InputError: a number outside its range.
    """
    for field, value in (("--fmr", fmr), ("--confidence", confidence)):
        if not 0 < value < 1:
            raise InputError(f"{value:g} is not between 0 and 1.", field=field, value=value)
    if not 0 < acceptance <= 1:
        raise InputError(f"{acceptance:g} is not above 0 and at most 1.", field="--acceptance", value=acceptance)
    pairs = math.ceil(round(math.log1p(-confidence) / math.log1p(-fmr), 6)) * groups
    subjects = 2 * pairs
    draws = math.ceil(subjects / acceptance)
    seconds = draws / DRAWS_PER_SECOND + (subjects / EMBEDDED_PER_SECOND[embedders] if embedders else 0.0)
    thirty = math.ceil(30 / fmr) * groups
    return SetSize(pairs, thirty, subjects, draws, seconds / 60, subjects * BYTES_PER_IMAGE / 1e6)


def expected_rates(plan: Plan) -> dict[str, float]:
    """Stratum of non-mated comparisons -> about the least false match rate that a plan can show (rule of three).

    Among n faces that are compared with each other about n / 2 comparisons share no subject, between two groups of n
    about n. Empty for designs whose numbers depend on the user's own images.
    """
    model = plan.model
    independent: dict[str, float] = {}
    if isinstance(model, MatchedModel):
        faces = math.ceil(model.pairs / model.per_face)
        independent = {level: faces if level == "random" else faces / 2 for level in model.levels}
    elif isinstance(model, TransectModel) and model.imposters:
        independent = {"imposter": model.subjects / 2}
    elif isinstance(model, CaptureModel) and model.imposters:
        independent = {"random and each change": model.subjects / 2}
    elif isinstance(model, FactorialModel):
        independent = {"each combination": model.per_cell / 2}
    return {name: min(1.0, 3 / count) for name, count in independent.items() if count}
