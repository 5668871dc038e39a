"""What lies in two splits: images, near duplicates, people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.data.profile.duplicate_groups import crossing, person_groups, shared
from cfgan.reports.data.duplicates import KINDS
from cfgan.reports.data.look import DataReport, Look
from cfgan.reports.section import Rows, Section, schema_beside, template_beside


def _compute(look: Look) -> dict[str, Any]:
    source, duplicates = look.source, look.duplicates
    if source.split is None or len(source.splits) < 2 or (duplicates is None and source.person is None):
        return {"leakage": None}
    names, _, split = look.places
    found: dict[str, Any] = {"file": None, "pixels": None, "near": None, "person": None}
    table: Rows = []
    if duplicates is not None:
        for kind, groups in (("file", duplicates.files), ("pixels", duplicates.pixels), ("near", duplicates.near)):
            found[kind] = _crossing(look, groups, split)
            table += _named(look, kind, crossing(groups, split), split, names)
    if source.person is not None:
        groups = person_groups(source.person)
        found["person"] = _crossing(look, groups, source.split)
        files = source.files or tuple(f"row {k + 1}" for k in range(len(source.labels)))
        table += _named(look, "person", crossing(groups, source.split), source.split, files)
    look.tables["leakage"] = table
    return {"leakage": found}


def _crossing(look: Look, groups: list[list[int]], split: npt.NDArray[np.int64]) -> dict[str, Any]:
    across = crossing(groups, split)
    return {
        "groups": len(across),
        "images": sum(map(len, across)),
        "between": [
            {
                "splits": [look.source.splits[k] for k in row.splits],
                "groups": row.groups,
                "images": list(row.images),
            }
            for row in shared(across, split, look.source.splits)
        ],
    }


def _named(look: Look, kind: str, groups: list[list[int]], split: npt.NDArray[np.int64], files: Sequence[str]) -> Rows:
    return [
        {"kind": kind, "group": number, "file": files[k], "split": look.split_name(int(split[k]))}
        for number, group in enumerate(groups)
        for k in group
    ]


def _view(report: DataReport) -> dict[str, Any]:
    leakage = report.data["leakage"] or {}
    leaks = [(KINDS[kind], row) for kind in KINDS for row in (leakage.get(kind) or {"between": []})["between"]]
    return {"leaks": leaks}


LEAKAGE: Section[Look, DataReport] = Section(
    template_beside(__file__),
    _compute,
    _view,
    {"leakage": lambda report: report.tables.get("leakage", [])},
    schema_beside(__file__),
)
