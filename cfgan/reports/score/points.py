"""Operating points."""

from __future__ import annotations

from typing import Any

from cfgan.reports.score.shared import Figures, kinds_of, shared
from cfgan.reports.section import Rows, Section, schema_beside, template_beside


def _view(data: Figures) -> dict[str, Any]:
    return {**shared(data), "kinds": kinds_of(data)}


def _table(data: Figures) -> Rows:
    return [
        {"point": point["name"], "fold": fold, "threshold": threshold}
        for point in data["points"]
        for fold, threshold in ({"all": point["threshold"]} | point["thresholds_by_fold"]).items()
    ]


POINTS: Section[Figures, Figures] = Section(
    template_beside(__file__), view=_view, tables={"points": _table}, schema=schema_beside(__file__)
)
