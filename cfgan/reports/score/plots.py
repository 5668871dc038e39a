"""Plots of a score report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cfgan.reports.plots import COLOURS, to_svg
from cfgan.reports.score.words import share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 24  # parts shown; the worst
_WIDTH = 4.0  # inches; narrow, so that the letters are still large enough on a phone


def det_plot(curves: Sequence[Mapping[str, Any]], titles: Sequence[str], terms: tuple[str, str]) -> str:
    """DET curves on probit axes, on which normally distributed scores give straight lines (Martin et al. 1997).

    Args:
        curves: up to five entries of ``curves`` of a score report.
        titles: of each.
        terms: what the errors on the axes are called, such as FMR and FNMR.

    Returns:
        SVG markup.
    """
    from scipy.stats import norm

    ticks = [0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95]
    least = max(ticks[0], min(0.5 / max(curve[side], 1) for curve in curves for side in ("negatives", "positives")))

    def place(rate: float) -> float:
        return float(norm.ppf(min(max(rate, least), 1 - least)))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(aspect="equal")
        edges = place(least), place(max(0.5, *(1.3 * curve["eer"] for curve in curves)))
        axes.plot(edges, edges, color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
        styles = (
            (COLOURS["ink"], "-"),
            (COLOURS["real"], "-"),
            (COLOURS["here"], "--"),
            (COLOURS["draws"], "-."),
            (COLOURS["muted"], ":"),
        )
        for curve, title, (colour, line) in zip(curves, titles, styles, strict=False):
            x, y = ([place(point[key]) for point in curve["det"]] for key in ("fmr", "fnmr"))
            axes.plot(x, y, color=colour, linestyle=line, linewidth=1.4, drawstyle="steps-post", label=title)
        shown = [tick for tick in ticks if least <= tick and place(tick) <= edges[1]]
        for axis, term in ((axes.xaxis, terms[0]), (axes.yaxis, terms[1])):
            axis.set_ticks([place(tick) for tick in shown], [f"{100 * tick:g}" for tick in shown])
            axis.set_label_text(f"{term}, %")
        axes.set_xlim(edges)
        axes.set_ylim(edges)
        axes.grid()
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper center", ncols=2, handlelength=3)

    text = "; ".join(f"{title} {share(curve['eer'])}" for curve, title in zip(curves, titles, strict=True))
    return to_svg(
        draw, (_WIDTH, _WIDTH - 0.3 + 0.18 * (len(curves) + 1)), "det", f"DET curves. Equal error rates: {text}"
    )


def error_plot(rows: Sequence[Mapping[str, Any]], titles: Sequence[str], term: str, key: str) -> str:
    """Error rates of parts of a test set at one operating point, with intervals, and the rate of the rest of each.

    Args:
        rows: entries of ``rows`` of a score report; the first 24 are shown.
        titles: of each.
        term: what the error is called.
        key: distinguishes the plot from the others of the page.

    Returns:
        SVG markup; empty where there is nothing to show.
    """
    rows, titles = rows[:_ROWS], titles[:_ROWS]
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
    return to_svg(draw, (_WIDTH, 1.0 + 0.3 * len(rows)), key, f"{term} by part: {text}. The table has all.")
