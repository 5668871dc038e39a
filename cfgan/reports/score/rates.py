"""Error rates by part of the test set, one kind of comparison after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cfgan.reports.plots import COLOURS, WIDTH, shortened, to_svg
from cfgan.reports.score.shared import Figures, kinds_of, shared
from cfgan.reports.score.words import FAMILIES, share
from cfgan.reports.section import Section, schema_beside, template_beside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PLOTTED = 24  # parts in the plot; the worst
_ROWS = 100  # parts of one family shown on the page
_LETTERS = 28  # of a part's name in the plot


def _view(data: Figures) -> dict[str, Any]:
    return {**shared(data), "kinds": [_kind(data, **kind) for kind in kinds_of(data)]}


def _kind(data: Figures, kind: Any, whole: Mapping[str, Any]) -> dict[str, Any]:
    """One kind of comparison: its rows by family, and a plot of the worst."""
    from markupsafe import Markup

    rows = [row for row in data["rows"] if row["kind"] == kind.key]
    families = {
        words: found[:_ROWS]
        for family, words in FAMILIES.items()
        if (found := [row for row in rows if row["family"] == family])
    }
    strata = [row for row in rows if row["family"] == "stratum" and row["scored"]]
    titles = [shortened(row["name"], _LETTERS) for row in strata]
    plot = _plot(strata, titles, f"{kind.error} at {data['points'][0]['name']}", f"errors-{kind.key}")
    return {
        "kind": kind,
        "whole": whole,
        "families": families,
        "left_out": sum(row["family"] != "all" for row in rows) - sum(map(len, families.values())),
        "plot": Markup(plot),  # noqa: S704
    }


def _plot(rows: Sequence[Mapping[str, Any]], titles: Sequence[str], term: str, key: str) -> str:
    """Error rates of parts of a test set at one operating point, with intervals, and the rate of the rest of each.

    Args:
        rows: entries of ``rows`` of a score report; the first 24 are shown.
        titles: of each.
        term: what the error is called.
        key: distinguishes the plot from the others of the page.

    Returns:
        SVG markup; empty where there is nothing to show.
    """
    rows, titles = rows[:_PLOTTED], titles[:_PLOTTED]
    if not rows:
        return ""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rates = [row["rates"][0] for row in rows]
        x = [100 * rate["rate"] for rate in rates]
        ends = [[100 * abs(rate["rate"] - rate["interval"][side]) for rate in rates] for side in (0, 1)]
        style: dict[str, Any] = {"fmt": "D", "color": COLOURS["here"], "markersize": 4, "elinewidth": 1.2}
        axes.errorbar(x, range(len(rows)), xerr=ends, label="here", **style)
        rest = [(100 * row["rest"], k) for k, row in enumerate(rows) if row["compared"] == "all"]
        if rest:
            others, places = zip(*rest, strict=True)
            axes.scatter(others, places, marker="|", s=90, color=COLOURS["real"], label="all others", zorder=3)
            figure.legend(loc="outside upper center", ncols=2)
        axes.set_yticks(range(len(rows)), titles)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{term}, %")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)

    text = "; ".join(f"{title} {share(row['rates'][0]['rate'])}" for row, title in zip(rows, titles, strict=True))
    return to_svg(draw, (WIDTH, 1.0 + 0.3 * len(rows)), key, f"{term} by part: {text}. The table has all.")


def rate_rows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of ``rates.csv``: one a part of the test set and operating point."""
    return [_flat_rate(row, rate) for row in data["rows"] for rate in row["rates"]]


def _flat_rate(row: Mapping[str, Any], rate: Mapping[str, Any]) -> dict[str, Any]:
    about = {key: row[key] for key in ("family", "name", "kind", "n", "scored", "failed")}
    figures = {"point": rate["point"], "error": row["error"], "errors": rate["errors"], "rate": rate["rate"]}
    figures |= {"low": rate["interval"][0], "high": rate["interval"][1], "method": rate["method"]}
    figures |= {"general_term": rate["general_term"], "general": rate["general"]}
    tested = ("subjects", "independent", "smallest_rate", "rest", "gap", "compared", "p", "p_holm")
    first = {key: row[key] for key in (*tested, "flag", "failure_flag")}
    return {**about, **figures, **first}


RATES: Section[Figures, Figures] = Section(
    template_beside(__file__), view=_view, tables={"rates": rate_rows}, schema=schema_beside(__file__)
)
