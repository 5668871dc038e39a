"""Thinking a balance through before anything is written: labels, target and prior to a plan of faces and warnings."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from cfgan.attributes.prior import Prior
from cfgan.attributes.request import Request, format_request
from cfgan.attributes.spec import Plan, make_plan
from cfgan.balance.data import BalanceData
from cfgan.balance.spec import BalanceSpec
from cfgan.balance.target import BalancePlan, Equal, Need, Ratio, Target, meets, plan_balance
from cfgan.errors import DataError, RequestError, VocabularyError
from cfgan.generate.job import check_plan
from cfgan.model.bundle import Bundle

_DRIFT = 0.1  # a free attribute that is so much commoner or rarer in the prior than in the data is named
_DRIFT_ROWS = 30  # fewer rows say too little about that
_COMPARED = 4  # requests for which it is looked at


@dataclass(frozen=True)
class Job:
    """A balance that was thought through; nothing is written yet.

    Args:
        data: the real images.
        spec: what was asked for.
        plan: what is missing.
        faces: how it is generated; None where nothing is missing.
        warnings: for a person to read.
    """

    data: BalanceData
    spec: BalanceSpec
    plan: BalancePlan
    faces: Plan | None
    warnings: tuple[str, ...]


def prepare(bundle: Bundle, data: BalanceData, spec: BalanceSpec, *, strict: bool = False) -> Job:
    """Plan a balance.

    Attributes that nothing is said of are filled by the bundle's prior: as they went together with the requested ones
    in the images that the *bundle* was trained on. Where that is far from the data at hand, a warning names it;
    ``match`` follows the data instead for the attributes that it names: the generator is given them, nobody verifies
    them.

    Raises:
        SpecError, VocabularyError: the spec names something that the model does not know.
        DataError: the data has no labels of an attribute, or no training images.
        RequestError: a request that contradicts itself.
        InputError: ``strict``, and the bundle's draws do not look real.
    """
    if not len(data.train):
        raise DataError("there are no training images to balance.", field="DATA")
    prior = bundle.prior()
    target = spec.target(bundle.vocabulary)
    match = tuple(bundle.vocabulary.canonical(name, field="match") for name in spec.match)
    for name in (*_names(target), *match):
        _require_labels(data, name)

    def impossible(request: Request) -> str | None:
        try:
            prior.check(request, estimate=False)
        except RequestError as error:
            return str(error).removeprefix("attrs: ")
        return None

    plan = plan_balance(target, data.train, data.vocabulary, match=match, impossible=impossible)
    warnings = [f"{line}." for line in data.left_out.lines()]
    faces = None
    if plan.parts:
        requests = [
            {
                "name": part.name[:80],
                "attributes": dict(part.request),
                "unspecified": dict(part.given) or "sample",
                "count": part.missing,
            }
            for part in plan.parts
        ]
        values = {"seed": spec.seed, "truncation": spec.truncation, "verify": spec.verify.model_dump()}
        faces = make_plan({**values, "requests": requests}, bundle.vocabulary, source="balance", latents=bundle.latents)
        warnings += check_plan(faces, bundle, strict=strict)
        for need in [need for need in plan.needs if need.missing and not need.impossible][:_COMPARED]:
            warnings += _drift(prior, data, need, match)
    return Job(data, spec, plan, faces, tuple(warnings))


def _names(target: Target) -> tuple[str, ...]:
    if isinstance(target, Ratio):
        return (target.name,)
    return (
        target.names if isinstance(target, Equal) else tuple(name for request, _ in target.counts for name in request)
    )


def _require_labels(data: BalanceData, name: str) -> None:
    try:
        data.vocabulary.index(name)
    except VocabularyError as error:
        raise DataError(f"the data has no labels of {name}.", field="DATA", value=name, nearest=error.nearest) from None


def _drift(prior: Prior, data: BalanceData, need: Need, match: tuple[str, ...]) -> list[str]:
    """Name the free attribute whose share in the prior is furthest from that in the rows that meet the request."""
    rows = data.train[meets(data.train, need.request, data.vocabulary)]
    if len(rows) < _DRIFT_ROWS:
        return []
    given = prior.conditional_marginals(need.request)
    gaps = []
    for place, name in enumerate(data.vocabulary.names):
        with contextlib.suppress(VocabularyError):
            known = rows[np.isfinite(rows[:, place]), place]
            canonical = prior.vocabulary.canonical(name)
            if len(known) >= _DRIFT_ROWS and canonical not in need.request and canonical not in match:
                real = float((known > 0).mean())
                drawn = float(given[prior.vocabulary.index(name)])
                gaps.append((abs(drawn - real), canonical, real, drawn))
    if not gaps or max(gaps)[0] < _DRIFT:
        return []
    _, name, real, drawn = max(gaps)
    return [
        f"{format_request(need.request)}: about {100 * drawn:.0f} % of the new faces will have {name}, by the bundle's "
        f"prior; of yours {100 * real:.0f} % have. --match {name} follows yours."
    ]


def plan_figures(plan: BalancePlan) -> dict[str, Any]:
    """A plan in plain figures: ``target``; ``train_rows`` and how many of them do not count; ``needs``, ``parts``."""
    target: dict[str, Any]
    if isinstance(plan.target, Ratio):
        target = {"attribute": plan.target.name, "ratio": float(plan.target.share)}
    elif isinstance(plan.target, Equal):
        target = {"equalize": list(plan.target.names)}
    else:
        target = {"counts": {format_request(request): least for request, least in plan.target.counts}}

    def figures(need: Need) -> dict[str, Any]:
        row = {"request": format_request(need.request), "have": need.have, "missing": need.missing}
        if need.given:
            row["given"] = format_request(need.given)
        return {**row, "impossible": need.impossible} if need.impossible else row

    return {
        "target": target,
        "train_rows": plan.rows,
        "rows_unknown": plan.unknown,
        "missing": plan.missing,
        "exact": plan.exact,
        "needs": [figures(need) for need in plan.needs],
        "parts": [figures(part) for part in plan.parts],
    }
