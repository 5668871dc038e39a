"""Writing a report: the page, the figures as JSON and CSV, all of it or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfgan.errors import FolderError, InputError
from cfgan.io.files import is_unused, read_json_object, replace_folder, write_bytes
from cfgan.reports.batch.page import render_page
from cfgan.reports.batch.tables import CONTROL, STATS, TABLES, csv_tables

if TYPE_CHECKING:
    from cfgan.reports.batch.report import Report

_SCHEMA = Path(__file__).parent / "report.schema.json"


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``report.json``, which documents every key."""
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return schema


def check_out(out: Path, batches: list[Path]) -> None:
    """Refuse a folder for a report before anything is computed.

    Raises:
        FolderError: it holds something other than a report.
        InputError: it lies inside a batch, which would no longer be unchanged.
    """
    for batch in batches:
        if out.resolve().is_relative_to(batch.resolve()):
            raise InputError(f"{out} lies inside the batch {batch}.", field="--out", value=out)
    if not is_unused(out) and not _is_report(out):
        raise FolderError(f"{out} already holds something else.", field="--out", value=out)


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


def replace_report(out: Path, files: Mapping[str, bytes]) -> None:
    """Write files beside a folder's place, then move them there: all or nothing.

    Raises:
        FolderError: the folder holds something other than a report.
        StorageError: the disk refused; an older report stays as it was.
    """

    def fill(folder: Path) -> None:
        for name, data in files.items():
            write_bytes(folder / name, data)

    replace_folder(out, fill, lambda: check_out(out, []))


def _is_report(out: Path) -> bool:
    """Whether a folder holds a report and nothing that somebody else has put there."""
    of_batches = {"report.html", "report.json", *(f"{name}.csv" for name in TABLES)}
    try:
        found = {path.name for path in out.iterdir()}
        for names, figures in ((of_batches, "report.json"), (set(CONTROL), "control.json"), (set(STATS), "stats.json")):
            if found <= names and figures in found:
                kind = str(read_json_object(out / figures).get("format", ""))
                return kind.startswith(("cfgan-report/", "cfgan-control/", "cfgan-stats/"))
        return False
    except ValueError:
        return False
