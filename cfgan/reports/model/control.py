"""The control report of a bundle: what each attribute moves, as one HTML page, JSON and CSV."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cfgan.evaluation.accuracy import plain
from cfgan.io.cells import CellWriter
from cfgan.io.png import encode_png, grid
from cfgan.model.bundle import Bundle
from cfgan.reports.model.request_suite import suite_row
from cfgan.reports.page import environment
from cfgan.reports.plots import control_plot
from cfgan.verify.real_faces import real_faces
from cfgan.version import __version__

if TYPE_CHECKING:
    from cfgan.evaluation.control import Control
    from cfgan.evaluation.request_suite import SuitePart

FORMAT = "cfgan-control/1.1"
_TEMPLATES = Path(__file__).parent.parent / "templates"


def control_files(bundle: Bundle, control: Control, seed: int, suite: Sequence[SuitePart] = ()) -> dict[str, bytes]:
    """The files of a control report, by name; the same bytes for the same figures.

    ``control.json`` holds ``format``, ``cfgan``, ``bundle``, ``seed``, what :meth:`Control.to_dict` gives and
    ``requests``, the rows of :func:`cfgan.reports.model.request_suite.suite_row`; ``control.csv`` the matrix of shifts,
    a row an attribute that was switched, a column one that was looked for.

    Raises:
        BundleError: the bundle's readings of real faces are damaged.
    """
    real = real_faces(bundle)
    about = {"name": bundle.name, "digest": bundle.digest}
    data = {"format": FORMAT, "cfgan": __version__, "bundle": about, "seed": seed, **plain(control.to_dict())}
    data["requests"] = plain([suite_row(part, real) for part in suite])
    return {
        "report.html": _page(data, control, about, seed).encode("utf-8"),
        "control.json": (json.dumps(data, indent=1, allow_nan=False) + "\n").encode("utf-8"),
        "control.csv": _matrix(control).encode("utf-8"),
    }


def _page(data: dict[str, Any], control: Control, about: dict[str, str], seed: int) -> str:
    from markupsafe import Markup

    order = np.argsort(control.effect, kind="stable")
    rows = [
        {
            "name": control.names[i],
            "strip": _strip(control.strips[i], about, seed),
            **data["attributes"][control.names[i]],
        }
        for i in order
    ]
    weak = [row["name"] for row in rows if row["effect"] < 0.5]
    return (
        environment()
        .from_string((_TEMPLATES / "control.html.j2").read_text(encoding="utf-8"))
        .render(
            data=data,
            rows=rows,
            weak=weak,
            style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704
            heat_map=Markup(control_plot(control.names, control.moved, control.reader)),  # noqa: S704
        )
    )


def _strip(strip: np.ndarray[Any, np.dtype[np.uint8]], about: dict[str, str], seed: int) -> str:
    """The first faces of an attribute as a data URI: off above, on below."""
    off, on = strip
    sheet = grid(np.concatenate([off, on]), len(off))
    png = encode_png(sheet, {"synthetic": True, "bundle": about, "seed": seed}, compress=9)
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _matrix(control: Control) -> str:
    buffer = io.StringIO()
    writer = CellWriter(buffer)
    writer.writerow(["switched", *control.names])
    for name, row in zip(control.names, control.moved, strict=True):
        writer.writerow([name, *(f"{value:.4f}" for value in row)])
    return buffer.getvalue()
