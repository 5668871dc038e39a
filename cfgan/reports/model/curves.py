"""Training curves as one SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

_DECIMALS = re.compile(rb"(\d+\.\d)\d+")  # a tenth of a point is finer than any screen
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
        An SVG file of some tens of kilobytes; the same bytes for the same log.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {"svg.hashsalt": "cfgan", "svg.fonttype": "none", "font.size": 8, "font.sans-serif": "DejaVu Sans"}
    ):
        figure = Figure(figsize=(9, 5.4), layout="constrained")
        for axes, (title, series) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
            for key, label in series.items():
                points = thinned([(row["images"] / 1000, row[key]) for row in log if row.get(key) is not None])
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
    return _DECIMALS.sub(rb"\1", buffer.getvalue())


def thinned(points: Sequence[tuple[float, float]], most: int = 120) -> list[tuple[float, float]]:
    """At most so many points: means of neighbours, each over as many, but for what is left for the last."""
    step = -(-len(points) // most)
    if step <= 1:
        return list(points)
    groups = [points[k : k + step] for k in range(0, len(points), step)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
