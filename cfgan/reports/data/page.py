"""The report on a data set as files: one HTML page, ``stats.json`` and CSV tables."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.data.source import kind_title
from cfgan.reports.data.plots import phi_plot, prevalence_plot
from cfgan.reports.data.report import DataReport
from cfgan.reports.page import environment
from cfgan.reports.tables import to_csv

_TEMPLATES = Path(__file__).parent.parent / "templates"
_SCHEMA = Path(__file__).parent / "stats.schema.json"
_SHOWN = 60  # rows of a table on the page
_GROUPS = 20  # groups of duplicates on the page

KINDS = {"file": "same bytes", "pixels": "same pixels", "near": "near duplicates", "person": "same person"}
"""What images of a group share, as words."""
"""What was looked at, as words."""


def stats_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``stats.json``, which documents every key."""
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return schema


def stats_json(report: DataReport) -> bytes:
    """``stats.json``."""
    return (json.dumps(report.data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def data_files(report: DataReport) -> dict[str, bytes]:
    """File name -> content: ``report.html``, ``stats.json`` and the CSV tables that have a row; the same bytes for the
    same figures. Give them to :func:`cfgan.reports.folder.replace_report`."""
    return {
        "report.html": render_data_page(report).encode("utf-8"),
        "stats.json": stats_json(report),
        **{f"{name}.csv": to_csv(rows) for name, rows in report.tables.items() if rows},
    }


def render_data_page(report: DataReport) -> str:
    """The page. Every value is escaped; only the plots, which are made here, are markup."""
    from markupsafe import Markup

    data = report.data
    names = [row["name"] for row in data["attributes"]]
    duplicates = data["duplicates"]
    return (
        environment()
        .from_string((_TEMPLATES / "data.html.j2").read_text(encoding="utf-8"))
        .render(
            data=data,
            rows=sorted(data["attributes"], key=lambda row: -1.0 if row["rate"] is None else -row["rate"]),
            style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704
            common=Markup(prevalence_plot(data["attributes"])),  # noqa: S704
            phi=Markup(phi_plot(data["association"], names)),  # noqa: S704
            relations=data["relations"]["found"][:_SHOWN],
            groups=[
                [group for group in duplicates["groups"] if group["kind"] == kind][:_GROUPS]
                for kind in ("file", "pixels", "near")
            ]
            if duplicates
            else [],
            leaks=[
                (KINDS[kind], row)
                for kind in KINDS
                for row in ((data["leakage"] or {}).get(kind) or {"between": []})["between"]
            ],
            means=_means(report, names),
            kinds=KINDS,
            whole={key: [_whole(row) for row in data["whole"][key]] for key in ("commonest", "rarest")},
            what=kind_title(data["source"]["kind"]),
            splits=list(data["source"]["splits"] or {}),
        )
    )


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """A whole combination by what it has: of forty attributes most are absent."""
    return {**row, "has": [value for value in row["values"] if not value.startswith("-")]}


def _means(report: DataReport, names: list[str]) -> list[dict[str, Any]]:
    """For each attribute with a mean: the pictures with it and without it, or None, and of how many images."""
    count = {row["value"]: row["images"] for row in report.data["means"] or []}
    found = []
    for name in names:
        sides = [
            {"value": value, "images": count[value], "image": _png(report.means[value])} if value in count else None
            for value in (name, f"-{name}")
        ]
        if any(sides):
            found.append({"name": name, "sides": sides})
    return found


def _png(image: npt.NDArray[np.uint8]) -> str:
    """A data URI."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
