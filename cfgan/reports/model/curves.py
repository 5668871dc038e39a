"""Training curves as one SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

_PANELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("loss", {"d_loss": "discriminator", "g_loss": "generator"}),
    ("attribute loss", {"d_attributes": "head on reals", "g_attributes": "head on fakes", "g_guide": "guide on fakes"}),
    ("realness", {"d_train": "train", "d_validation": "validation", "d_generated": "generated"}),
    ("gradient penalty", {"r1": "on reals", "r2": "on fakes"}),
)


def training_curves(log: Sequence[Mapping[str, Any]]) -> bytes:
    """Losses, attribute losses, the memorisation probe and penalties over images seen.

    Args:
        log: lines of a GAN run's ``stats.jsonl``.

    Returns:
        An SVG file; the same bytes for the same log.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "cfgan", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(9, 5.4), layout="constrained")
        for axes, (title, series) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
            for key, label in series.items():
                points = [(row["images"] / 1000, row[key]) for row in log if row.get(key) is not None]
                if points:
                    axes.plot(
                        *zip(*points, strict=True), label=label, linewidth=1, marker="." if len(points) < 40 else ""
                    )
            axes.set_title(title)
            axes.set_xlabel("thousand images seen")
            axes.grid(alpha=0.3)
            if axes.lines:
                axes.legend(frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
