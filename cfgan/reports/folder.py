"""The folder of a report: what may lie in it, and writing it all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cfgan.io.files import read_json_object, real_path, write_bytes
from cfgan.io.folders import anything, replace_folder, require_ours
from cfgan.reports.batch.output import report_files
from cfgan.reports.batch.sections import SECTIONS as BATCH
from cfgan.reports.data.sections import SECTIONS as DATA
from cfgan.reports.section import table_names

if TYPE_CHECKING:
    from cfgan.reports.batch.look import Report

_KINDS = (
    ("report.json", table_names(BATCH)),
    ("control.json", ("control",)),
    ("stats.json", table_names(DATA)),
)
"""The figures of each kind of report, and its tables without their ending."""


def check_out(out: Path) -> None:
    """Refuse a folder for a report before anything is computed.

    Raises:
        FolderError: it holds something other than a report.
        InputError: it lies inside a batch, bundle, store or test set, which would no longer be unchanged.
    """
    require_ours(out, _foreign)


def replace_report(out: Path, files: Mapping[str, bytes]) -> None:
    """Write files beside a folder's place, then move them there: all or nothing.

    Raises:
        FolderError: the folder holds something other than a report.
        StorageError: the disk refused; an older report stays as it was.
    """

    def fill(folder: Path) -> None:
        for name, data in files.items():
            write_bytes(folder / name, data)

    replace_folder(out, fill, _foreign)


def write_report(out: Path, report: Report) -> list[str]:
    """Write a report on batches beside its place, then move it there.

    Args:
        out: new or empty folder, or an older report, which is replaced.
        report: what to write.

    Returns:
        The files' names: report.html, report.json and the CSV tables.

    Raises:
        FolderError: the folder holds something else.
        StorageError: the disk refused; an older report stays as it was.
    """
    files = report_files(report)
    replace_report(real_path(out), files)
    return list(files)


def _foreign(out: Path) -> str | None:
    """What stands in a folder that no report put there."""
    found = {path.name for path in out.iterdir()}
    for figures, tables in _KINDS:
        if figures not in found:
            continue
        try:
            kind = str(read_json_object(out / figures).get("format", ""))
        except ValueError:
            return figures
        if not kind.startswith(("cfgan-report/", "cfgan-control/", "cfgan-stats/")):
            return figures
        return next(iter(sorted(found - {"report.html", figures, *(f"{name}.csv" for name in tables)})), None)
    return anything(out)
