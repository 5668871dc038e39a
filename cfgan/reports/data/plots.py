"""Plots of a data set's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cfgan.reports.plots import COLOURS, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 80  # attributes in one plot: the rarest and the commonest
_LETTERS = 24  # of a name beside a plot: a longer one would leave the plot no room
_RASTER = 60  # attributes from which the matrix is a picture, not shapes: thousands of squares are slow on a phone


def prevalence_plot(rows: Sequence[Mapping[str, Any]]) -> str:
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
        axes.set_yticks(places, [_short(row["name"]) for row in shown])
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


def phi_plot(association: Mapping[str, Any], names: Sequence[str]) -> str:
    """Heat map of phi, attributes in the order of their clustering.

    Args:
        association: of ``stats.json``.
        names: the attributes in the order of its matrix.

    Returns:
        SVG markup; empty with fewer than two attributes.
    """
    order = [names.index(name) for name in association["order"]]
    if len(order) < 2:
        return ""
    phi = np.asarray(association["phi"], dtype=float)[np.ix_(order, order)]
    np.fill_diagonal(phi, np.nan)
    titles = [_short(name.replace("_", " ")) for name in association["order"]]
    # A few pairs that mean the same thing must not leave the rest pale.
    bound = max(0.1, float(np.nanquantile(np.abs(phi), 0.995)) if np.isfinite(phi).any() else 1.0)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(phi),
            cmap="PuOr_r",
            vmin=-bound,
            vmax=bound,
            edgecolors="none",
            rasterized=len(order) > _RASTER,
        )
        axes.invert_yaxis()
        places = [k + 0.5 for k in range(len(order))]
        axes.set_xticks(places, titles, rotation=90, fontsize=7)
        axes.set_yticks(places, titles, fontsize=7)
        axes.tick_params(length=0)
        axes.set_aspect("equal")
        figure.colorbar(mesh, ax=axes, shrink=0.5, label="phi", extend="both")

    strongest = association["strongest"][:3]
    listed = "; ".join(f"{row['first']} and {row['second']} {row['phi']:.2f}" for row in strongest)
    alt = f"Heat map of phi for every two of {len(order)} attributes. Strongest: {listed}. phi.csv has all."
    side = 2.2 + 0.16 * len(order)
    return to_svg(draw, (side + 0.9, side), "phi", alt)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"
