"""How common each attribute is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from cfgan.data.profile.statistics import AttributeCount, count_attributes, count_missing, split_shift
from cfgan.reports.data.look import DataReport, Look
from cfgan.reports.data.rounding import rounded, significant
from cfgan.reports.plots import COLOURS, shortened, to_svg
from cfgan.reports.section import Rows, Section, schema_beside, template_beside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 80  # attributes in one plot: the rarest and the commonest


def _compute(look: Look) -> dict[str, Any]:
    source = look.source
    counts = count_attributes(look.names, source.labels)
    by_split = {
        name: count_attributes(look.names, source.labels[source.split == k])
        for k, name in enumerate(source.splits)
        if source.split is not None and bool((source.split == k).any())
    }
    attributes = [
        _attribute(row, {name: rows[k] for name, rows in by_split.items()}, len(counts)) for k, row in enumerate(counts)
    ]
    return {"attributes": attributes, "missing": asdict(count_missing(source.labels))}


def _attribute(row: AttributeCount, splits: dict[str, AttributeCount], tested: int) -> dict[str, Any]:
    shift = split_shift(list(splits.values()), tested)
    return {
        **asdict(row),
        "n": row.n,
        "rate": rounded(row.rate),
        "interval": [rounded(value) for value in row.interval],
        "imbalance": rounded(row.imbalance, 2),
        "rarer": row.rarer,
        "splits": {
            name: {"n": part.n, "rate": rounded(part.rate), "interval": [rounded(value) for value in part.interval]}
            for name, part in splits.items()
        },
        "shift": None if shift is None else {"points": rounded(shift.points), "p": significant(shift.p)},
    }


def _table(report: DataReport) -> Rows:
    return [_flat(row) for row in report.data["attributes"]]


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {key: value for key, value in row.items() if key not in ("interval", "splits", "shift")}
    flat |= {"low": row["interval"][0], "high": row["interval"][1]}
    for name, part in row["splits"].items():
        flat |= {f"{name}.n": part["n"], f"{name}.rate": part["rate"]}
    return flat


def _view(report: DataReport) -> dict[str, Any]:
    from markupsafe import Markup

    rows = report.data["attributes"]
    return {
        "rows": sorted(rows, key=lambda row: -1.0 if row["rate"] is None else -row["rate"]),
        "splits": list(report.data["source"]["splits"] or {}),
        "common": Markup(_plot(rows)),  # noqa: S704
    }


def _plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """How common each attribute is, with its interval, commonest first.

    Args:
        rows: ``attributes`` of ``stats.json``.

    Returns:
        SVG markup; empty where nothing is known.
    """
    known = sorted((row for row in rows if row["rate"] is not None), key=lambda row: -row["rate"])
    if not known:
        return ""
    shown = known if len(known) <= _ROWS else [*known[: _ROWS // 2], *known[-_ROWS // 2 :]]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        places = range(len(shown))
        rate = np.asarray([100 * row["rate"] for row in shown])
        low, high = (np.asarray([100 * row["interval"][side] for row in shown]) for side in (0, 1))
        axes.barh(places, rate, color=COLOURS["here"], height=0.62, alpha=0.55)
        axes.errorbar(
            rate,
            places,
            # Rounding may put a rate a hair outside its interval.
            xerr=[np.maximum(rate - low, 0), np.maximum(high - rate, 0)],
            fmt="none",
            ecolor=COLOURS["ink"],
            elinewidth=1.1,
        )
        axes.set_yticks(places, [shortened(row["name"]) for row in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("of the rows that say yes or no, %")
        axes.axvline(50, color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)

    ends = f"from {shown[0]['name']}, {100 * shown[0]['rate']:.1f} %, to {shown[-1]['name']}"
    alt = f"How common each of {len(shown)} attributes is: {ends}, {100 * shown[-1]['rate']:.1f} %. The table has all."
    return to_svg(draw, (4.0, 0.8 + 0.19 * len(shown)), "common", alt)


PREVALENCE: Section[Look, DataReport] = Section(
    template_beside(__file__), _compute, _view, {"attributes": _table}, schema_beside(__file__)
)
