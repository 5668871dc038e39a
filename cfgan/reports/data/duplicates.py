"""Images that are in a data set twice, or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cfgan.data.profile.duplicate_groups import label_conflicts
from cfgan.reports.data.look import LISTED, DataReport, Look
from cfgan.reports.section import Rows, Section, schema_beside, template_beside

KINDS = {"file": "same bytes", "pixels": "same pixels", "near": "near duplicates", "person": "same person"}
"""What images of a group share, as words."""

_SHOWN = 20  # groups of a kind on the page


def _compute(look: Look) -> dict[str, Any]:
    duplicates = look.duplicates
    if duplicates is None:
        return {"duplicates": None}
    names, rows, split = look.places
    kinds: tuple[tuple[str, list[list[int]], Sequence[int | None]], ...] = (
        ("file", duplicates.files, [0] * len(duplicates.files)),
        ("pixels", duplicates.pixels, [0] * len(duplicates.pixels)),
        ("near", duplicates.near, duplicates.distance),
    )
    listed: Rows = []
    table: Rows = []
    for kind, groups, distance in kinds:
        for number, (group, bits) in enumerate(zip(groups, distance, strict=True)):
            files = [{"file": names[k], "split": look.split_name(int(split[k]))} for k in group]
            table += [{"kind": kind, "group": number, "distance": bits, **file} for file in files]
            if number < LISTED:
                listed.append({"kind": kind, "distance": bits, "count": len(files), "files": files[:LISTED]})
    look.tables["duplicates"] = table
    conflicts = label_conflicts(duplicates.pixels, rows, look.source.labels)
    found = {
        **{kind: _counts(groups) for kind, groups, _ in kinds},
        "complete": duplicates.complete,
        "flat": duplicates.flat,
        "groups": listed,
        "labels": {
            "groups": conflicts.groups,
            "differing": conflicts.differing,
            "attributes": {name: n for name, n in zip(look.names, conflicts.attributes, strict=True) if n},
        },
    }
    return {"duplicates": found}


def _counts(groups: list[list[int]]) -> dict[str, int]:
    """Groups, the images in them, and how many could go so that one of each stays."""
    images = sum(map(len, groups))
    return {"groups": len(groups), "images": images, "surplus": images - len(groups)}


def _view(report: DataReport) -> dict[str, Any]:
    groups = (report.data["duplicates"] or {"groups": []})["groups"]
    shown = [[group for group in groups if group["kind"] == kind][:_SHOWN] for kind in ("file", "pixels", "near")]
    return {"kinds": KINDS, "groups": shown}


DUPLICATES: Section[Look, DataReport] = Section(
    template_beside(__file__),
    _compute,
    _view,
    {"duplicates": lambda report: report.tables.get("duplicates", [])},
    schema_beside(__file__),
)
