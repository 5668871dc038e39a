"""Request by request: its figures, and some of its faces."""

from __future__ import annotations

from typing import Any

from cfgan.reports.batch.attributes import order_of_readers
from cfgan.reports.batch.examples import Picture
from cfgan.reports.batch.look import Look, Report
from cfgan.reports.section import Section, template_beside

_CELLS = 256  # requests shown one by one; beyond that the page would be too heavy for a phone


def _view(report: Report) -> dict[str, Any]:
    data = report.data
    cells = [(batch, cell) for batch in data["batches"] for cell in batch["cells"]]
    return {
        "readers": order_of_readers(data["settings"]["deciding"]),
        "cells": cells[:_CELLS],
        "left_out": len(cells) - len(cells[:_CELLS]),
        "pictures": {key: _by_kind(found) for key, found in report.pictures.items()},
    }


def _by_kind(pictures: list[Picture]) -> dict[str, list[Picture]]:
    """Kind -> pictures, in the order given."""
    kinds: dict[str, list[Picture]] = {}
    for picture in pictures:
        kinds.setdefault(picture.kind, []).append(picture)
    return kinds


REQUESTS: Section[Look, Report] = Section(template_beside(__file__), view=_view)
