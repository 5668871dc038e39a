"""Error against discard, by measures of image quality."""

from __future__ import annotations

from typing import Any

from cfgan.reports.score.shared import Figures
from cfgan.reports.section import Rows, Section, schema_beside, template_beside

MEASURES = {
    "sharpness": "sharpness",
    "contrast": "contrast",
    "eyes": "pixels between the eyes",
    "detector": "confidence of the detector",
}
"""The measures in words; others keep the name of their column."""


def _view(data: Figures) -> dict[str, Any]:
    return {"measures": MEASURES, "found": data.get("quality") or []}


def _table(data: Figures) -> Rows:
    return [
        {
            "kind": side["kind"],
            "error": side["error"],
            "measure": measure["measure"],
            "n": measure["n"],
            "discard": discard,
            "rate": rate,
            "area": measure["area"],
            "ideal": measure["ideal"],
        }
        for side in data.get("quality") or []
        for measure in side["measures"]
        for discard, rate in zip(measure["discards"], measure["rates"], strict=True)
    ]


QUALITY: Section[Figures, Figures] = Section(
    template_beside(__file__), view=_view, tables={"quality": _table}, schema=schema_beside(__file__)
)
