"""A report as one HTML page: no script, nothing from the network, names from outside only as text."""

from __future__ import annotations

from cfgan.reports.batch.look import Report
from cfgan.reports.batch.sections import SECTIONS
from cfgan.reports.page import environment, style
from cfgan.reports.section import render_sections

VERDICTS = {
    "holds": "Holds",
    "falls_short": "Falls short",
    "fails": "Fails",
    "unproven": "Not proved",
}
"""The verdicts as words."""

_NAMES = 20  # batches named in the title


def render_page(report: Report) -> str:
    """The page. Every value is escaped; only the plots, which are made here, are markup."""
    data = report.data
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            style=style(),
            title=_title([batch["name"] for batch in data["batches"]]),
            verdict=VERDICTS[data["verdict"]],
            sections=render_sections(SECTIONS, report, data),
        )
    )


def _title(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES:,} more"
