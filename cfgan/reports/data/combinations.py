"""Combinations of values that are rare or missing, and whole rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.data.profile.combinations import MOST_CELLS, Combination, cell_count, rarest_combinations, whole_rows
from cfgan.data.profile.pairs import relation_cells
from cfgan.reports.data.look import DataReport, Look
from cfgan.reports.data.rounding import significant
from cfgan.reports.section import Rows, Section, schema_beside, template_beside


def _compute(look: Look) -> dict[str, Any]:
    known = relation_cells(look.names, look.relations[0])
    whole = whole_rows(look.names, look.source.labels)
    return {
        "combinations": [_rarest(look, size, known) for size in look.settings.sizes if size <= len(look.names)],
        "whole": {
            **{key: getattr(whole, key) for key in ("rows", "distinct", "once")},
            **{key: [_plain(row) for row in getattr(whole, key)] for key in ("commonest", "rarest")},
        },
    }


def _rarest(look: Look, size: int, known: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """The rarest of a size, or that there are too many to count."""
    empty: dict[str, Any] = {
        "size": size,
        "counted": False,
        "possible": None,
        "unseen": None,
        "unexplained": None,
        "rarest": [],
    }
    if cell_count(len(look.names), size) > MOST_CELLS:
        return empty
    rarest = rarest_combinations(look.names, look.signs, size, known=known, progress=look.step)
    return {
        **empty,
        "counted": True,
        **{key: getattr(rarest, key) for key in ("possible", "unseen", "unexplained")},
        "rarest": [_plain(row) for row in rarest.rows],
    }


def _plain(row: Combination) -> dict[str, Any]:
    return {"values": list(row.values), "count": row.count, "expected": significant(row.expected)}


def _table(report: DataReport) -> Rows:
    return [
        {"size": entry["size"], "values": ",".join(row["values"]), "count": row["count"], "expected": row["expected"]}
        for entry in report.data["combinations"]
        for row in entry["rarest"]
    ]


def _view(report: DataReport) -> dict[str, Any]:
    whole = report.data["whole"]
    return {"whole": {key: [_by_what_it_has(row) for row in whole[key]] for key in ("commonest", "rarest")}}


def _by_what_it_has(row: dict[str, Any]) -> dict[str, Any]:
    """A whole combination by what it has: of forty attributes most are absent."""
    return {**row, "has": [value for value in row["values"] if not value.startswith("-")]}


COMBINATIONS: Section[Look, DataReport] = Section(
    template_beside(__file__), _compute, _view, {"combinations": _table}, schema_beside(__file__)
)
