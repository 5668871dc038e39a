"""What one request to the server may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cfgan.attributes.spec import Plan, RequestCell
from cfgan.errors import RequestError, SpecError


@dataclass(frozen=True)
class Limits:
    """Bounds of one request and of all together.

    Args:
        faces: in one request.
        draws: in one request, over all its parts.
        seconds: after which a request stops with what it has.
        body: bytes of an image that is sent.
        spec: bytes of everything else that is sent.
        upload: seconds until all of that must be there.
        waiting: requests that wait for their turn; one more is sent away with 429.
    """

    faces: int = 256
    draws: int = 5_000
    seconds: float = 60.0
    body: int = 16 << 20
    spec: int = 256 << 10
    upload: float = 30.0
    waiting: int = 8

    def check_spec(self, spec: Mapping[str, Any]) -> None:
        """Refuse a spec before it is expanded: what it lists may be long. Raises SpecError."""
        requests = spec.get("requests")
        if isinstance(requests, list) and len(requests) > self.faces:
            text = f"{len(requests):,} requests are more than a spec may list here."
            raise SpecError(text, field="requests", value=len(requests), nearest=[self.faces])
        if "extends" in spec:
            raise SpecError("a spec that is sent cannot extend a file.", field="extends", value=spec["extends"])

    def bounded(self, plan: Plan) -> Plan:
        """The plan, giving up after so many draws. Raises RequestError: it asks for more faces than one request may."""
        if plan.count > self.faces:
            raise RequestError(
                f"{plan.count:,} faces are more than one request may ask for.",
                field="count",
                value=plan.count,
                nearest=[self.faces],
            )
        most = max(1, self.draws // max(1, len(plan.cells)))
        return replace(plan, cells=tuple(_capped(cell, most) for cell in plan.cells))


def _capped(cell: RequestCell, most: int) -> RequestCell:
    draws = min(cell.max_draws, most)
    return replace(cell, verify=cell.verify.model_copy(update={"max_draws": draws}))
