"""Exclusive and implied pairs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cfgan.reports.data.look import DataReport, Look
from cfgan.reports.data.rounding import significant
from cfgan.reports.section import Section, schema_beside, template_beside

_SHOWN = 60  # rows on the page


def _compute(look: Look) -> dict[str, Any]:
    relations, tested = look.relations
    rows = [{**asdict(row), "share": row.share} for row in relations]
    look.tables["relations"] = rows
    return {"relations": {"tested": tested, "found": [_rounded(row) for row in rows]}}


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: significant(value) if isinstance(value, float) else value for key, value in row.items()}


def _view(report: DataReport) -> dict[str, Any]:
    return {"relations": report.data["relations"]["found"][:_SHOWN]}


RELATIONS: Section[Look, DataReport] = Section(
    template_beside(__file__),
    _compute,
    _view,
    {"relations": lambda report: report.tables["relations"]},
    schema_beside(__file__),
)
