"""The report on a system's scores: one HTML page, the figures as JSON, tables as CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgan.errors import FolderError
from cfgan.io.files import is_unused, read_json_object, replace_folder, write_bytes
from cfgan.reports.page import environment
from cfgan.reports.score.plots import det_plot, error_plot
from cfgan.reports.score.words import FAMILIES, KINDS, changes, findings, headline, probability, share, span, verdict
from cfgan.reports.tables import to_csv

FILES = ("report.html", "score.json", "rates.csv", "differences.csv", "curves.csv", "points.csv")
"""The files of a score report; tables without a row are left out."""

_TEMPLATES = Path(__file__).parent.parent / "templates"
_SCHEMA = Path(__file__).parent / "score.schema.json"
_CURVES = 5  # drawn in one plot
_ROWS = 100  # parts of one kind shown on the page
_WORDS = {
    "weak": ("falls_short", "Weak spots found"),
    "even": ("holds", "No weak spot shown"),
    "unproven": ("unproven", "Not proved"),
}


def score_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``score.json``, which documents every key."""
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return schema


def check_out(out: Path, testset: Path) -> None:
    """Refuse a folder for a report before anything is computed.

    Raises:
        FolderError: it holds something other than a score report, or lies inside the test set.
    """
    if out.resolve().is_relative_to(testset.resolve()):
        raise FolderError(f"{out} lies inside the test set {testset}.", field="--out", value=out)
    if not is_unused(out) and not _is_report(out):
        raise FolderError(f"{out} already holds something else.", field="--out", value=out)


def score_files(data: Mapping[str, Any]) -> dict[str, bytes]:
    """File name -> content, from the figures of :func:`cfgan.testsets.scores.scoring.score_testset`."""
    tables: dict[str, list[dict[str, Any]]] = {
        "rates.csv": rate_rows(data),
        "differences.csv": [_flat_difference(row, rate) for row in data["differences"] for rate in row["rates"]],
        "curves.csv": [
            {"stratum": curve["stratum"] or "all", "kind": curve["kind"], **point}
            for curve in data["curves"]
            for point in curve["det"]
        ],
        "points.csv": [
            {"point": point["name"], "fold": fold, "threshold": threshold}
            for point in data["points"]
            for fold, threshold in ({"all": point["threshold"]} | point["thresholds_by_fold"]).items()
        ],
    }
    return {
        "report.html": _page(data).encode("utf-8"),
        "score.json": (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8"),
        **{name: to_csv(rows) for name, rows in tables.items() if rows},
    }


def rate_rows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of ``rates.csv``: one a part of the test set and operating point."""
    return [_flat_rate(row, rate) for row in data["rows"] for rate in row["rates"]]


def write_score_report(out: Path, testset: Path, data: Mapping[str, Any]) -> list[str]:
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

    replace_folder(out.resolve(), fill, lambda: check_out(out, testset))
    return list(files)


def _is_report(out: Path) -> bool:
    try:
        found = {path.name for path in out.iterdir()}
        if not {"score.json"} <= found <= set(FILES):
            return False
        return str(read_json_object(out / "score.json").get("format", "")).startswith("cfgan-score/")
    except ValueError:
        return False


def _page(data: Mapping[str, Any]) -> str:
    from markupsafe import Markup

    style, word = _WORDS[verdict(data)]
    parts = [_section(data, key) for key in KINDS if any(row["kind"] == key for row in data["rows"])]
    detection = data["testset"]["design"] == "detection"
    made = environment()
    whole = made.filters["say"]
    made.filters |= {
        "p": probability,
        "kind": lambda key: KINDS[key].name,
        "pct": lambda rate: whole(share(rate)),
        "span": span,
    }
    return made.from_string((_TEMPLATES / "score.html.j2").read_text(encoding="utf-8")).render(
        data=data,
        style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704
        verdict_style=style,
        verdict_word=word,
        headline=headline(data),
        findings=findings(data),
        changes=changes(data),
        sections=parts,
        det=Markup(_det(data, detection)),  # noqa: S704
        detection=detection,
        unit="presentations" if detection else "comparisons",
        kinds={row["kind"]: row for row in data["rows"] if row["family"] == "all"},
    )


def _section(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """One kind of comparison: its rows by family, and a plot of the worst."""
    from markupsafe import Markup

    rows = [row for row in data["rows"] if row["kind"] == key]
    families = {
        words: found[:_ROWS]
        for family, words in FAMILIES.items()
        if (found := [row for row in rows if row["family"] == family])
    }
    strata = [row for row in rows if row["family"] == "stratum"]
    term = f"{KINDS[key].error} at {data['points'][0]['name']}"
    plot = error_plot(strata, [_shortened(row["name"]) for row in strata], term, f"errors-{key}")
    return {
        "kind": KINDS[key],
        "whole": next(row for row in rows if row["family"] == "all"),
        "families": families,
        "left_out": sum(row["family"] != "all" for row in rows) - sum(map(len, families.values())),
        "plot": Markup(plot),  # noqa: S704
    }


def _det(data: Mapping[str, Any], detection: bool) -> str:
    curves = sorted(data["curves"], key=lambda curve: (curve["stratum"] != "", -curve["eer"]))[:_CURVES]
    if not curves:
        return ""
    several = len({curve["kind"] for curve in curves}) > 1
    titles = [
        _shortened(curve["stratum"] or "all") + (f" ({KINDS[curve['kind']].name})" if several else "")
        for curve in curves
    ]
    return det_plot(curves, titles, ("BPCER", "APCER") if detection else ("FMR", "FNMR"))


def _shortened(name: str, most: int = 28) -> str:
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _flat_rate(row: Mapping[str, Any], rate: Mapping[str, Any]) -> dict[str, Any]:
    about = {key: row[key] for key in ("family", "name", "kind", "n", "scored", "failed")}
    figures = {"point": rate["point"], "error": row["error"], "errors": rate["errors"], "rate": rate["rate"]}
    figures |= {"low": rate["interval"][0], "high": rate["interval"][1], "method": rate["method"]}
    figures |= {"general_term": rate["general_term"], "general": rate["general"]}
    tested = ("subjects", "independent", "smallest_rate", "rest", "gap", "compared", "p", "p_holm", "flag")
    first = {key: row[key] for key in tested}
    return {**about, **figures, **first}


def _flat_difference(row: Mapping[str, Any], rate: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: row[key] for key in ("kind", "stratum", "against", "groups")}
    flat |= {"score": row["score"]["value"], "score.low": row["score"]["interval"][0]}
    flat |= {"score.high": row["score"]["interval"][1], "point": rate["point"], "rate": rate["value"]}
    return {**flat, "rate.low": rate["interval"][0], "rate.high": rate["interval"][1]}
