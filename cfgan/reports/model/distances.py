"""Distances to the nearest training image as one SVG: generated faces against real ones that were not trained on."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any


def distance_histograms(panels: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Histograms side by side.

    Args:
        panels: title -> what :func:`cfgan.evaluation.memorisation.closeness` gives.

    Returns:
        An SVG file; the same bytes for the same figures.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "cfgan", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(4.5 * len(panels), 2.8), layout="constrained")
        for axes, (title, found) in zip(
            figure.subplots(1, len(panels), squeeze=False).flat, panels.items(), strict=True
        ):
            histogram = found["histogram"]
            axes.stairs(histogram["held_out"], histogram["edges"], fill=True, alpha=0.35, label="held-out real faces")
            axes.stairs(histogram["generated"], histogram["edges"], linewidth=1.2, label="generated faces")
            axes.axvline(
                found["limit"], color="0.4", linewidth=1, linestyle=(0, (4, 3)), label="99.9 % of held-out ones"
            )
            axes.set_title(title)
            axes.set_xlabel("distance to the nearest training image")
            axes.set_ylabel("density")
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
