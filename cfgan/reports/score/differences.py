"""What each stratum changes, face by face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgan.reports.score.shared import Figures
from cfgan.reports.section import Rows, Section, schema_beside, template_beside


def _table(data: Figures) -> Rows:
    return [_flat(row, rate) for row in data["differences"] for rate in row["rates"]]


def _flat(row: Mapping[str, Any], rate: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: row[key] for key in ("kind", "stratum", "against", "groups")}
    flat |= {"score": row["score"]["value"], "score.low": row["score"]["interval"][0]}
    flat |= {"score.high": row["score"]["interval"][1], "point": rate["point"], "rate": rate["value"]}
    return {**flat, "rate.low": rate["interval"][0], "rate.high": rate["interval"][1]}


DIFFERENCES: Section[Figures, Figures] = Section(
    template_beside(__file__), tables={"differences": _table}, schema=schema_beside(__file__)
)
