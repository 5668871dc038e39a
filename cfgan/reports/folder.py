"""The folder of a report: what may lie in it, and writing it all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cfgan.errors import FolderError, InputError
from cfgan.io.files import is_unused, read_json_object, replace_folder, write_bytes

CONTROL = ("report.html", "control.json", "control.csv")
"""The files of a control report."""

_OF_DATA = ("attributes", "phi", "relations", "combinations", "problems", "sizes", "duplicates", "leakage")
STATS = ("report.html", "stats.json", *(f"{name}.csv" for name in _OF_DATA))
"""The files of a report on a data set."""

TABLES = ("cells", "attributes", "faces", "witnesses", "side_effects", "agreement", "calibration")
"""Names of the tables of a report on batches, without their ending."""


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
