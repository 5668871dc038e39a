"""What more than one section of a score report shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgan.reports.score.words import KINDS

Figures = Mapping[str, Any]
"""``score.json``: what a score report is made from, and all that its sections see."""


def shared(data: Figures) -> dict[str, Any]:
    """Whether a detector was tested, and what its answers are called."""
    detection = data["testset"]["design"] == "detection"
    return {"detection": detection, "unit": "presentations" if detection else "comparisons"}


def kinds_of(data: Figures) -> list[dict[str, Any]]:
    """The kinds of comparison that there are, each with its row over all parts."""
    whole = {row["kind"]: row for row in data["rows"] if row["family"] == "all"}
    return [{"kind": KINDS[key], "whole": whole[key]} for key in KINDS if key in whole]
