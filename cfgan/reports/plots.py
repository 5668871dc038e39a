"""Plots for a page, as SVG that takes its colours from the page's style sheet: legible in light and in dark."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Sequence
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
_LETTERS = 24  # of a name beside a plot: a longer one would leave the plot no room
WIDTH = 4.0
"""Of a plot in inches; narrow, so that the letters are still large enough on a phone."""


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
