"""``cfgan verify --labels``: how well a reader agrees with labels, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgan_cli.output import console, message, percent
from cfgan_cli.tables import print_table


def show_report(report: Mapping[str, Any], reader: str, bundle: str) -> None:
    """A row an attribute, beside the reader's own figures on real faces; then what has no labels or no image."""
    from rich.markup import escape
    from rich.table import Table as RichTable

    shown = RichTable(box=None, pad_edge=False)
    for k, title in enumerate(
        ("attribute", "n", "has it", "accuracy", "(real)", "balanced", "(real)", "recall", "95 %", "(real)")
        + ("specificity", "95 %", "(real)", "AUC", "(real)", "calibr.\nerror", "(real)")
    ):
        shown.add_column(title, justify="left" if k == 0 else "right", no_wrap=k == 0)
    shown.columns[0].min_width = max(len(name) for name in report["attributes"])
    for name, row in report["attributes"].items():
        real = row["real"] or {}
        cells = [f"{row['n']:,}", f"{row['positives']:,}"]
        for key in ("accuracy", "balanced_accuracy", "recall", "specificity"):
            cells.append(_share(row[key]))
            if f"{key}_interval" in row:
                cells.append(_interval(row[f"{key}_interval"]))
            cells.append(f"({_share(real.get(key))})")
        for key in ("auc", "calibration_error"):
            cells += [_figure(row[key]), f"({_figure(real.get(key))})"]
        shown.add_row(escape(name), *cells)
    out = console()
    print_table(shown)
    mean = report["mean"]
    out.print(
        f"\n{report['images']:,} labelled images by the {reader} of {bundle}: mean accuracy "
        f"{percent(mean['accuracy']['here'])} (real {percent(mean['accuracy']['real'])}), mean balanced "
        f"{percent(mean['balanced_accuracy']['here'])} (real {percent(mean['balanced_accuracy']['real'])}, "
        f"{mean['balanced_accuracy']['attributes']} attributes). In brackets: the {reader}'s own figures on held-out "
        "real faces, its ceiling.",
        soft_wrap=True,
        markup=False,
    )
    if report["requested"] and reader == "verifier":
        out.print(
            "These are requests, and the verifier decides which draws of a batch are kept: only draws that nothing "
            "rejected, or --by judge, say how good the generator is.",
            soft_wrap=True,
        )
    for key, what in (("without_labels", "images without labels"), ("without_image", "labels without an image")):
        if report[key]["count"]:
            names = ", ".join(report[key]["names"])
            more = ", ..." if report[key]["count"] > len(report[key]["names"]) else ""
            message(f"{report[key]['count']:,} {what}: {names}{more}", style="yellow")
    for line in report["left_out"]:
        message(f"{line}.", style="yellow")


def _share(value: float | None) -> str:
    return percent(value).removesuffix(" %")


def _interval(pair: list[float | None]) -> str:
    low, high = pair
    return "-" if low is None or high is None else f"{100 * low:.0f}-{100 * high:.0f}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
