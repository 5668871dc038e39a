"""The report on a data set as files: one HTML page, ``stats.json`` and CSV tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cfgan.data.source import kind_title
from cfgan.reports.data.report import DataReport
from cfgan.reports.data.sections import SECTIONS
from cfgan.reports.page import environment, style
from cfgan.reports.section import render_sections, section_tables, whole_schema

_SCHEMA = Path(__file__).parent / "stats.schema.json"


def stats_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``stats.json``, which documents every key."""
    return whole_schema(_SCHEMA, SECTIONS)


def stats_json(report: DataReport) -> bytes:
    """``stats.json``."""
    return (json.dumps(report.data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def data_files(report: DataReport) -> dict[str, bytes]:
    """File name -> content: ``report.html``, ``stats.json`` and the CSV tables that have a row; the same bytes for the
    same figures. Give them to :func:`cfgan.reports.folder.replace_report`."""
    return {
        "report.html": render_data_page(report).encode("utf-8"),
        "stats.json": stats_json(report),
        **section_tables(SECTIONS, report),
    }


def render_data_page(report: DataReport) -> str:
    """The page. Every value is escaped; only the plots, which are made here, are markup."""
    return (
        environment()
        .get_template("data.html.j2")
        .render(
            data=report.data,
            style=style(),
            what=kind_title(report.data["source"]["kind"]),
            sections=render_sections(SECTIONS, report, report.data),
        )
    )
