"""Plots for a page, as SVG that takes its colours from the page's style sheet: legible in light and in dark."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

# Stand-ins that no plot needs otherwise; in the SVG each becomes a custom property of the page.
_INK, _MUTED, _LINE, _HERE, _DRAWS, _REAL = (f"#0{k}0{k}0{k}" for k in range(1, 7))
_PROPERTIES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _LINE: "--line",
    _HERE: "--here",
    _DRAWS: "--draws",
    _REAL: "--real",
}
COLOURS = {"ink": _INK, "muted": _MUTED, "here": _HERE, "draws": _DRAWS, "real": _REAL}
"""What a plot elsewhere may draw in; :func:`to_svg` makes them the page's own."""
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "cfgan",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "grid.color": _LINE,
    "legend.frameon": False,
}
_ROWS = 24  # values shown; those furthest below real faces
_LETTERS = 24  # of a name beside a plot: a longer one would leave the plot no room
_WIDTH = 4.0  # inches; narrow, so that the letters are still large enough on a phone


def rates_plot(overview: Sequence[Mapping[str, Any]], reader: str) -> str:
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
        ("real", "real faces with it", "s", _REAL, 0.24),
        ("unfiltered", "all draws", "o", _DRAWS, 0.0),
        ("verified", "delivered faces", "D", _HERE, -0.24),
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

    text = "; ".join(f"{name} {_percent(figures['verified']['rate'])}" for name, figures in values)
    alt = f"Rates at which the {reader} sees what was asked for in the delivered faces: {text}. The table has all."
    return to_svg(draw, (_WIDTH, 1.1 + 0.42 * len(values)), "rates", alt)


def reliability_plot(diagram: Mapping[str, Any], key: str) -> str:
    """One reliability diagram: how often something is so, over the probability that a reader gives it.

    Args:
        diagram: an entry of ``calibration`` of a report.
        key: distinguishes it from the others of the page.

    Returns:
        SVG markup; empty where there are no bins.
    """
    bins = diagram["bins"]
    if not bins:
        return ""
    label = diagram["truth"] == "label"

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(aspect="equal")
        axes.plot([0, 100], [0, 100], color=_MUTED, linewidth=1, linestyle=(0, (4, 3)))
        x, y = ([100 * row[what] for row in bins] for what in ("confidence", "rate"))
        low, high = ([100 * abs(row["rate"] - row["interval"][side]) for row in bins] for side in (0, 1))
        colour = _REAL if label else _HERE
        marker = "s" if label else "D"
        axes.errorbar(x, y, yerr=[low, high], fmt=f"{marker}-", color=colour, markersize=4, linewidth=1, elinewidth=1.2)
        axes.set_xlim(-3, 103)
        axes.set_ylim(-3, 103)
        axes.set_xlabel(f"probability by the {diagram['reader']}, %")
        axes.set_ylabel("labelled so, %" if label else "seen by the judge, %")
        axes.grid()
        axes.set_axisbelow(True)

    points = "; ".join(f"{_percent(row['confidence'])} {_percent(row['rate'])}" for row in bins)
    truth = "are labelled so" if label else "the judge sees so"
    alt = f"Reliability over {diagram['over']}: probability by the {diagram['reader']}, how many {truth}: {points}"
    return to_svg(draw, (3.0, 3.0), key, alt)


def control_plot(names: Sequence[str], moved: npt.NDArray[np.float64], reader: str) -> str:
    """Heat map of what each attribute moves.

    Args:
        names: A attributes.
        moved: (A, A), -1..1; row: switched on, column: looked for.
        reader: who looked.

    Returns:
        SVG markup.
    """
    titles = [name.replace("_", " ") for name in names]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        mesh = axes.pcolormesh(moved, cmap="PuOr_r", vmin=-1, vmax=1, edgecolors="none")
        axes.invert_yaxis()
        places = [k + 0.5 for k in range(len(names))]
        axes.set_xticks(places, titles, rotation=90, fontsize=7)
        axes.set_yticks(places, titles, fontsize=7)
        axes.tick_params(length=0)
        axes.set_aspect("equal")
        figure.colorbar(mesh, ax=axes, shrink=0.5, label="seen more often (share of faces)")

    side = 2.2 + 0.16 * len(names)
    return to_svg(
        draw, (side, side), "control", f"Heat map of what each of {len(names)} attributes moves, by the {reader}"
    )


def to_svg(draw: Any, size: tuple[float, float], key: str, alt: str) -> str:
    """Draw a figure and make it fit for being part of a page: no prologue, own ids, colours from the page."""
    import matplotlib
    from matplotlib.figure import Figure

    # Letters that the measuring font lacks are drawn by the browser all the same.
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg \1 role="img" aria-label="{html.escape(alt)}">', text)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{key}-", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font: \1 var(--sans)", text)
    text = re.sub(r"font-family: [^;\"]+", "font-family: var(--sans)", text)
    for stand_in, name in _PROPERTIES.items():
        text = text.replace(stand_in, f"var({name})")
    return re.sub(r"\n\s*", "\n", text)


def shortened(name: str, most: int = _LETTERS) -> str:
    """A name beside a plot, cut where it is too long."""
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
