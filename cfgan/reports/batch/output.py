"""The report on batches as files: the page, the figures as JSON and CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cfgan.reports.batch.look import Report
from cfgan.reports.batch.page import render_page
from cfgan.reports.batch.sections import FORMAT, SECTIONS
from cfgan.reports.section import section_tables, whole_schema

_SCHEMA = Path(__file__).parent / "report.schema.json"


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``report.json``, which documents every key."""
    schema = whole_schema(_SCHEMA, SECTIONS)
    schema["properties"]["format"]["const"] = FORMAT
    return schema


def csv_tables(report: Report) -> dict[str, bytes]:
    """File name -> content of the tables that have a row."""
    return section_tables(SECTIONS, report)


def report_files(report: Report) -> dict[str, bytes]:
    """File name -> content: ``report.html``, ``report.json`` and the CSV tables that have a row. Give them to
    :func:`cfgan.reports.folder.replace_report`."""
    return {
        "report.html": render_page(report).encode("utf-8"),
        "report.json": (json.dumps(report.data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8"),
        **csv_tables(report),
    }
