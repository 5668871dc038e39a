"""Mean images of those with an attribute and of those without it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.reports.data.look import DataReport, Look
from cfgan.reports.section import Section, schema_beside, template_beside


def _compute(look: Look) -> dict[str, Any]:
    if look.scan is None:
        return {"means": None}
    found = []
    for k, name in enumerate(look.names):
        for sign, value in enumerate((name, f"-{name}")):
            image = look.scan.means.image(2 * k + sign)
            if image is not None:
                look.means[value] = image
                found.append({"value": value, "images": int(look.scan.means.count[2 * k + sign])})
    return {"means": found}


def _view(report: DataReport) -> dict[str, Any]:
    """For each attribute with a mean: the pictures with it and without it, or None, and of how many images."""
    count = {row["value"]: row["images"] for row in report.data["means"] or []}
    found = []
    for name in (row["name"] for row in report.data["attributes"]):
        sides = [
            {"value": value, "images": count[value], "image": _png(report.means[value])} if value in count else None
            for value in (name, f"-{name}")
        ]
        if any(sides):
            found.append({"name": name, "sides": sides})
    return {"means": found}


def _png(image: npt.NDArray[np.uint8]) -> str:
    """A data URI."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


MEANS: Section[Look, DataReport] = Section(template_beside(__file__), _compute, _view, schema=schema_beside(__file__))
