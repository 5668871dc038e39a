"""Where the faces come from: each batch, whether it is what it says it is, and its spec."""

from __future__ import annotations

from typing import Any

from cfgan.io.yaml import dump_yaml
from cfgan.reports.batch.look import Look, Report
from cfgan.reports.section import Section, template_beside

_LETTERS = 60_000  # of a spec shown


def _view(report: Report) -> dict[str, Any]:
    batches = report.data["batches"]
    return {"specs": {batch["id"]: dump_yaml(batch["spec"])[:_LETTERS] for batch in batches if batch["spec"]}}


ORIGIN: Section[Look, Report] = Section(template_beside(__file__), view=_view)
