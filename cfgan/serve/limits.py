"""What one request to the server may cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cfgan.attributes.spec import Plan, RequestCell
from cfgan.errors import RequestError


@dataclass(frozen=True)
class Limits:
    """Bounds of one request and of all together.

    Args:
        faces: in one request.
        draws: in one request, over all its parts.
        seconds: after which a request stops with what it has.
        body: bytes of what is sent.
        waiting: requests that wait for their turn; one more is sent away with 429.
    """

    faces: int = 256
    draws: int = 5_000
    seconds: float = 60.0
    body: int = 16 << 20
    waiting: int = 8

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
