"""Error rates of groups at one threshold, and how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgan.reports.score.shared import Figures
from cfgan.reports.section import Rows, Section, schema_beside, template_beside

MEASURES = {
    "max_over_geometric_mean": "worst group over the geometric mean",
    "gini": "Gini coefficient",
    "largest_difference": "largest difference",
}
"""The measures of one error rate, in words."""


def standardised(side: Mapping[str, Any]) -> str:
    """What the rates of the groups are means over."""
    many = side["strata"]
    where = f"stratum {many[0]}" if len(many) == 1 else f"the strata {', '.join(many[:-1])} and {many[-1]}"
    return f"Over {where}, each of the same weight in every group; strata that lack a group are left out."


def _view(data: Figures) -> dict[str, Any]:
    return {"measures": MEASURES, "standardised": standardised}


def _table(data: Figures) -> Rows:
    found = data["differentials"]
    if found is None:
        return []
    return [
        {
            "point": found["point"],
            "kind": side["kind"],
            "error": side["error"],
            **{key: group[key] for key in ("group", "n", "errors", "rate")},
            "low": group["interval"][0],
            "high": group["interval"][1],
            "p_holm": group["p_holm"],
            "flag": group["flag"],
            "strata": ";".join(side["strata"]),
        }
        for side in found["sides"]
        for group in side["groups"]
    ]


DIFFERENTIALS: Section[Figures, Figures] = Section(
    template_beside(__file__), view=_view, tables={"differentials": _table}, schema=schema_beside(__file__)
)
