"""What is given to ``Model.generate`` as the plan that the command line makes of the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cfgan.attributes.latents import LatentRule
from cfgan.attributes.spec import Plan, make_plan, read_spec
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import RequestError

Request = str | Sequence[str] | Mapping[str, bool | float]
"""Attributes as ``"Male,-Eyeglasses"``, a list of such items, or a mapping name -> True, False or -1..1."""


def settings_of(
    count: int | None,
    seed: int | None,
    unspecified: Request | None,
    vary: str | Sequence[str] | None,
    threshold: float | None,
    precision: float | None,
    max_draws: int | None,
    verify: bool,
    truncation: float | str | None,
    same_latents: bool | None,
) -> dict[str, Any]:
    """What was given to :meth:`Model.generate`, as a spec holds it."""
    strict = {
        "threshold": threshold,
        "precision": precision,
        "max_draws": max_draws,
        "enabled": None if verify else False,
    }
    settings: dict[str, Any] = {
        "count": count,
        "seed": seed,
        "unspecified": _as_request(unspecified),
        "vary": [vary] if isinstance(vary, str) else list(vary) if vary is not None else None,
        "truncation": truncation,
        "same_latents": same_latents,
        "verify": {key: value for key, value in strict.items() if value is not None} or None,
    }
    return {key: value for key, value in settings.items() if value is not None}


def plan_of(
    vocabulary: Vocabulary,
    latents: LatentRule,
    request: Request | None,
    spec: str | Path | Mapping[str, Any] | None,
    settings: Mapping[str, Any],
) -> Plan:
    """A request or a spec as a plan. Raises InputError."""
    if (request is None) == (spec is None):
        raise RequestError('give either a request, such as "Male" or "any", or a spec.', field="request")
    if isinstance(spec, str | Path):
        return read_spec(str(spec), vocabulary, settings, latents=latents)
    if spec is not None:
        return make_plan(spec, vocabulary, settings, latents=latents)
    return make_plan({"attributes": _as_request(request)}, vocabulary, settings, source="request", latents=latents)


def _as_request(given: Request | None) -> str | Mapping[str, bool | float] | None:
    """A list of items as the text that they make together, which is what a spec holds."""
    return given if given is None or isinstance(given, str | Mapping) else ",".join(given)
