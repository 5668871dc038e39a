"""Writing the report on batches: the page, the figures as JSON and CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfgan.reports.batch.page import render_page
from cfgan.reports.batch.tables import csv_tables
from cfgan.reports.folder import replace_report

if TYPE_CHECKING:
    from cfgan.reports.batch.report import Report

_SCHEMA = Path(__file__).parent / "report.schema.json"


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``report.json``, which documents every key."""
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return schema


def write_report(out: Path, report: Report) -> list[str]:
    """Write a report beside its place, then move it there.

    Args:
        out: new or empty folder, or an older report, which is replaced.
        report: what to write.

    Returns:
        The files' names: report.html, report.json and the CSV tables.

    Raises:
        FolderError: the folder holds something else.
        StorageError: the disk refused; an older report stays as it was.
    """
    files = {
        "report.html": render_page(report).encode("utf-8"),
        "report.json": (json.dumps(report.data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8"),
        **csv_tables(report),
    }
    replace_report(out.resolve(), files)
    return list(files)
