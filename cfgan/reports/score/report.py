"""The report on a system's scores: one HTML page, the figures as JSON, tables as CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgan.io.files import read_json_object, real_path, write_bytes
from cfgan.io.folders import anything, replace_folder, require_ours
from cfgan.reports.page import environment, style
from cfgan.reports.score.sections import SECTIONS
from cfgan.reports.score.shared import shared
from cfgan.reports.score.words import (
    KINDS,
    changes,
    exact,
    findings,
    headline,
    headline_curves,
    probability,
    share,
    span,
    verdict,
)
from cfgan.reports.section import render_sections, section_tables, table_names, whole_schema

FILES = ("report.html", "score.json", *(f"{name}.csv" for name in table_names(SECTIONS)))
"""The files of a score report; tables without a row are left out."""

_SCHEMA = Path(__file__).parent / "score.schema.json"
_WORDS = {
    "weak": ("falls_short", "Weak spots found"),
    "even": ("holds", "No weak spot shown"),
    "unproven": ("unproven", "Not proved"),
}


def score_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``score.json``, which documents every key."""
    return whole_schema(_SCHEMA, SECTIONS)


def check_out(out: Path) -> None:
    """Refuse a folder for a report before anything is computed.

    Raises:
        FolderError: it holds something other than a score report.
        InputError: it lies inside a test set, batch, bundle or store, which would no longer be unchanged.
    """
    require_ours(out, _foreign)


def score_files(data: Mapping[str, Any]) -> dict[str, bytes]:
    """File name -> content, from the figures of :func:`cfgan.testsets.scores.scoring.score_testset`."""
    return {
        "report.html": _page(data).encode("utf-8"),
        "score.json": (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8"),
        **section_tables(SECTIONS, data),
    }


def write_score_report(out: Path, data: Mapping[str, Any]) -> list[str]:
    """Write a report beside its place, then move it there: all or nothing.

    Returns:
        The files' names.

    Raises:
        FolderError: the folder holds something else.
        StorageError: the disk refused; an older report stays as it was.
    """
    files = score_files(data)

    def fill(folder: Path) -> None:
        for name, content in files.items():
            write_bytes(folder / name, content)

    replace_folder(real_path(out), fill, _foreign)
    return list(files)


def _foreign(out: Path) -> str | None:
    """What stands in a folder that is no file of a score report."""
    try:
        if not str(read_json_object(out / "score.json").get("format", "")).startswith("cfgan-score/"):
            return "score.json"
    except ValueError:
        return anything(out)
    return next(iter(sorted({path.name for path in out.iterdir()} - set(FILES))), None)


def _page(data: Mapping[str, Any]) -> str:
    style_of_verdict, word = _WORDS[verdict(data)]
    made = environment()
    whole = made.filters["say"]
    words: dict[str, Any] = {
        "p": probability,
        "kind": lambda key: KINDS[key].name,
        "pct": lambda rate: whole(share(rate)),
        "span": span,
        "exact": exact,
    }
    made.filters |= words
    return made.get_template("score.html.j2").render(
        data=data,
        style=style(),
        verdict_style=style_of_verdict,
        verdict_word=word,
        headline=headline(data),
        findings=findings(data),
        changes=changes(data),
        eers=headline_curves(data),
        kinds={row["kind"]: row for row in data["rows"] if row["family"] == "all"},
        sections=render_sections(SECTIONS, data, data, made),
        **shared(data),
    )
