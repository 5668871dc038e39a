"""Attribute by attribute: what was asked for, how often it is seen, and how often in real faces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cfgan.reports.batch.external import EXTERNAL
from cfgan.reports.batch.flat import named
from cfgan.reports.batch.look import Look, Report
from cfgan.reports.page import percent
from cfgan.reports.plots import COLOURS, WIDTH, to_svg
from cfgan.reports.section import Rows, Section, template_beside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RATES = ("verified", "unfiltered", "real", "real_without")
_ROWS = 24  # values in the plot; those furthest below real faces


def order_of_readers(deciding: str) -> list[str]:
    """The deciding reader, then the other."""
    return [deciding, *({"judge", "verifier"} - {deciding})]


def _view(report: Report) -> dict[str, Any]:
    from markupsafe import Markup

    rows, deciding = report.data["attributes"], report.data["settings"]["deciding"]
    readers = order_of_readers(deciding)
    return {
        "tables": [(reader, found) for reader in readers if (found := [r for r in rows if reader in r["readers"]])],
        "both": [row for row in rows if row["readers"].get(deciding, {}).get("balanced")],
        "rates": Markup(_plot(rows, deciding)),  # noqa: S704
    }


def _plot(overview: Sequence[Mapping[str, Any]], reader: str) -> str:
    """Each requested value: its rate in the delivered faces, among all draws and on real faces, with intervals.

    Args:
        overview: ``attributes`` of a report.
        reader: whose rates.

    Returns:
        SVG markup; empty where there is nothing to show.
    """
    values = [
        (row["name"] if word == "wanted" else f"-{row['name']}", row["readers"][reader][word])
        for row in overview
        for word in ("wanted", "unwanted")
        if (row["readers"].get(reader, {}).get(word) or {"verified": {"n": 0}})["verified"]["n"]
    ]
    worst = sorted(values, key=lambda pair: -(pair[1]["gap"]["value"] if pair[1]["gap"] else -2.0))[:_ROWS]
    values = [pair for pair in values if pair in worst]
    if not values:
        return ""
    series = (
        ("real", "real faces with it", "s", COLOURS["real"], 0.24),
        ("unfiltered", "all draws", "o", COLOURS["draws"], 0.0),
        ("verified", "delivered faces", "D", COLOURS["here"], -0.24),
    )

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for key, label, marker, colour, offset in series:
            points = [(k, figures[key]) for k, (_, figures) in enumerate(values) if figures[key] and figures[key]["n"]]
            if not points:
                continue
            x = [100 * row["rate"] for _, row in points]
            low, high = ([100 * abs(row["rate"] - row["interval"][side]) for _, row in points] for side in (0, 1))
            axes.errorbar(
                x,
                [k + offset for k, _ in points],
                xerr=[low, high],
                fmt=marker,
                color=colour,
                label=label,
                markersize=4,
                elinewidth=1.2,
                markerfacecolor=colour if key != "unfiltered" else "none",
            )
        axes.set_yticks(range(len(values)), [name for name, _ in values])
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.set_xlim(-2, 102)
        axes.set_xlabel(f"seen as asked for by the {reader}, %")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles[::-1], labels[::-1], loc="outside upper center", ncols=3, handletextpad=0.2, columnspacing=1.2
        )

    text = "; ".join(f"{name} {percent(figures['verified']['rate'])}" for name, figures in values)
    alt = f"Rates at which the {reader} sees what was asked for in the delivered faces: {text}. The table has all."
    return to_svg(draw, (WIDTH, 1.1 + 0.42 * len(values)), "rates", alt)


def _cells(report: Report) -> Rows:
    return [_cell(batch, cell) for batch in report.data["batches"] for cell in batch["cells"]]


def _cell(batch: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    row = {"batch": batch["name"], "cell": cell["id"], "name": cell["name"]}
    row["request"] = ",".join(f"{name}={value:g}" for name, value in cell["request"].items())
    row |= {key: cell[key] for key in ("seed", "wanted", "accepted", "draws", "redrawn")}
    row |= named("acceptance", cell["acceptance"])
    per_face = cell["draws_per_face"] or {"value": None, "interval": [None, None]}
    row |= {"draws_per_face": per_face["value"]}
    row |= {"draws_per_face.low": per_face["interval"][0], "draws_per_face.high": per_face["interval"][1]}
    for reader, figure in (cell["exact"] or {"readers": {}})["readers"].items():
        for what in ("verified", "unfiltered", "real"):
            row |= named(f"exact.{reader}.{what}", figure[what])
    return row


def _values(report: Report) -> Rows:
    return [row for batch in report.data["batches"] for cell in batch["cells"] for row in _value_rows(batch, cell)]


def _value_rows(batch: Mapping[str, Any], cell: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for attribute in cell["attributes"]:
        for reader, figure in attribute["readers"].items():
            row = {"batch": batch["name"], "cell": cell["id"], "attribute": attribute["name"]}
            row |= {"value": attribute["value"], "gated": attribute["gated"], "reader": reader}
            if not attribute["gated"]:
                yield {**row, "mean_probability": figure["mean_probability"]}
                continue
            for what in _RATES:
                row |= named(what, figure[what])
            gap = figure["gap"] or {"value": None, "interval": [None, None]}
            row |= {"gap": gap["value"], "gap.low": gap["interval"][0], "gap.high": gap["interval"][1]}
            yield {**row, **{key: figure[key] for key in ("short", "certain", "failing")}}


ATTRIBUTES: Section[Look, Report] = Section(
    template_beside(__file__),
    view=_view,
    tables={"cells": _cells, "attributes": _values, "faces": lambda report: report.faces},
    parts=(EXTERNAL,),
)
