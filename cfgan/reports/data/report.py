"""What is in a data set: every figure of ``cfgan data stats``, before it becomes a page."""

from __future__ import annotations

from typing import Any

from cfgan.data.profile.duplicates import LIKENESS
from cfgan.data.profile.image_scan import LEAST_IMAGES
from cfgan.data.sources.base import Source
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.reports.data.findings import findings
from cfgan.reports.data.look import DataReport, Look, Settings
from cfgan.reports.data.sections import SECTIONS
from cfgan.reports.section import figures_of
from cfgan.version import __version__

__all__ = ["DataReport", "Settings", "build_data_report"]

FORMAT = "cfgan-stats/1"
_NOTHING = "nothing was written"


def build_data_report(
    source: Source, settings: Settings | None = None, *, progress: Progress | None = None
) -> DataReport:
    """Look at a data set.

    Args:
        source: of :func:`cfgan.data.source.open_source`.
        settings: how.
        progress: called while it lasts.

    Raises:
        InputError: settings out of range.
        StoppedError: a stop was asked for; nothing was written.
    """
    chosen = settings or Settings()
    chosen.check()
    with StopRequest() as stop:

        def step(stage: str, done: int, total: int, remark: str = "") -> None:
            stop.raise_if_asked(_NOTHING)
            if progress is not None:
                progress(stage, done, total, remark)

        return _report(Look(source, chosen, step))


def _report(look: Look) -> DataReport:
    data = _about(look.source, look.settings)
    data |= figures_of(SECTIONS, look)
    data["findings"] = findings(data)
    return DataReport(data, look.tables, look.means)


def _about(source: Source, settings: Settings) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "cfgan": __version__,
        "source": {
            "kind": source.kind,
            "name": source.name,
            "rows": len(source.labels),
            "digest": source.digest,
            "splits": _split_sizes(source),
            "left_out": source.left_out.to_dict(),
        },
        "settings": {
            "tolerance": settings.tolerance,
            "alpha": settings.alpha,
            "distance": settings.distance,
            "likeness": LIKENESS,
            "least_images": LEAST_IMAGES,
        },
    }


def _split_sizes(source: Source) -> dict[str, int] | None:
    if source.split is None:
        return None
    return {name: n for k, name in enumerate(source.splits) if (n := int((source.split == k).sum()))}
