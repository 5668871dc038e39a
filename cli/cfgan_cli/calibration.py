"""``cfgan verify --calibrate``: what was learnt on a user's own images, shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfgan_cli.output import console, message, percent
from cfgan_cli.tables import print_table

if TYPE_CHECKING:
    from cfgan.verify.user_calibration import UserCalibration


def calibration_figures(learnt: UserCalibration) -> dict[str, Any]:
    """JSON-ready: what was learnt of each attribute, and why others stay as shipped."""
    attributes = {
        name: {
            "images": fitted.images,
            "positives": fitted.positives,
            "threshold": round(fitted.threshold, 6),
            "balanced_accuracy": {"before": fitted.before, "after": fitted.after},
            "rough": fitted.is_rough,
        }
        for name, fitted in learnt.attributes.items()
    }
    return {"attributes": attributes, "left": dict(learnt.left)}


def show_calibration(learnt: UserCalibration, path: Path) -> None:
    """A row an attribute, then what was left."""
    from rich.markup import escape
    from rich.table import Table

    from cfgan.data.left_out import listed

    table = Table(box=None, pad_edge=False)
    for title in ("attribute", "n", "has it", "threshold", "balanced, shipped", "learnt (cross-fitted)"):
        table.add_column(title, justify="left" if title == "attribute" else "right", no_wrap=True)
    for name, fitted in learnt.attributes.items():
        counts = f"{fitted.images:,}", f"{fitted.positives:,}", f"{fitted.threshold:.3f}"
        table.add_row(escape(name), *counts, percent(fitted.before), percent(fitted.after))
    if learnt.attributes:
        print_table(table)
    for reason in dict.fromkeys(learnt.left.values()):
        names = [name for name, why in learnt.left.items() if why == reason]
        message(f"{len(names):,} as shipped ({reason}): {listed(names)}", style="yellow")
    if rough := [name for name, fitted in learnt.attributes.items() if fitted.is_rough]:
        message(f"Rough, with under 25 images of a value: {listed(rough)}", style="yellow")
    console().print(f"{path}: use it with --calibration", markup=False, soft_wrap=True)
