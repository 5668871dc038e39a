"""What a run gave, in plain figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfgan.attributes.spec import RequestCell
from cfgan.generate.batch import CellTally


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What a run gave, whatever it wrote. ``cells``: the figures of each, see :func:`summarise`."""

    accepted: int
    wanted: int
    draws: int
    seconds: float
    cells: list[dict[str, Any]]

    @property
    def complete(self) -> bool:
        """Whether every face asked for was found."""
        return self.accepted >= self.wanted


@dataclass(frozen=True, kw_only=True)
class Summary(Totals):
    """What a run into a batch folder gave."""

    out: Path


def summarise(cell: RequestCell, tally: CellTally) -> dict[str, Any]:
    """Plain figures of one cell.

    Per requested attribute: ``requested``; ``unfiltered``, the share of all draws, and ``verified``, the share of the
    kept faces, in which the requested value passes the gate (None when there are none, or the value is graded and so
    not gated); ``probability``, the mean calibrated probability of the requested value over the kept faces;
    ``rejected`` draws that failed on it and ``rejected_alone`` on nothing else.
    """

    def share(part: float | None, whole: int) -> float | None:
        return round(part / whole, 4) if part is not None and whole else None

    attributes = {
        name: {
            "requested": value,
            "unfiltered": share(tally.passed.get(name), tally.next_draw),
            "verified": share(tally.passed_kept.get(name), tally.accepted),
            "probability": share(tally.probability.get(name), tally.accepted),
            "rejected": tally.rejected_for.get(name, 0),
            "rejected_alone": tally.only_for.get(name, 0),
        }
        for name, value in cell.request.items()
    }
    return {
        "name": cell.name,
        "wanted": cell.count,
        "accepted": tally.accepted,
        "draws": tally.next_draw,
        "acceptance": share(tally.accepted, tally.next_draw),
        "attributes": attributes,
    }
