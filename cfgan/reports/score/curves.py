"""DET curves and equal error rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cfgan.reports.plots import COLOURS, WIDTH, shortened, to_svg
from cfgan.reports.score.shared import Figures, shared
from cfgan.reports.score.words import KINDS, share
from cfgan.reports.section import Rows, Section, schema_beside, template_beside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = 5  # drawn in one plot
_LETTERS = 28  # of a stratum's name in the plot


def _view(data: Figures) -> dict[str, Any]:
    from markupsafe import Markup

    about = shared(data)
    return {**about, "det": Markup(_det(data, about["detection"]))}  # noqa: S704


def _det(data: Figures, detection: bool) -> str:
    curves = sorted(data["curves"], key=lambda curve: (curve["stratum"] != "", -curve["eer"]))[:_CURVES]
    if not curves:
        return ""
    several = len({curve["kind"] for curve in curves}) > 1
    titles = [
        shortened(curve["stratum"] or "all", _LETTERS) + (f" ({KINDS[curve['kind']].name})" if several else "")
        for curve in curves
    ]
    return _plot(curves, titles, ("BPCER", "APCER") if detection else ("FMR", "FNMR"))


def _plot(curves: Sequence[Mapping[str, Any]], titles: Sequence[str], terms: tuple[str, str]) -> str:
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
            axes.plot(x, y, color=colour, linestyle=line, linewidth=1.4, label=title)
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
        draw, (WIDTH, WIDTH - 0.3 + 0.18 * (len(curves) + 1)), "det", f"DET curves. Equal error rates: {text}"
    )


def _table(data: Figures) -> Rows:
    return [
        {"stratum": curve["stratum"] or "all", "kind": curve["kind"], **point}
        for curve in data["curves"]
        for point in curve["det"]
    ]


CURVES: Section[Figures, Figures] = Section(
    template_beside(__file__), view=_view, tables={"curves": _table}, schema=schema_beside(__file__)
)
