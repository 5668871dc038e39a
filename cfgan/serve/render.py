"""The templates of the pages."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent / "templates"

templates = Environment(
    loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
templates.filters["data_url"] = lambda png: "data:image/png;base64," + base64.b64encode(png).decode("ascii")
templates.filters["pct"] = lambda p: f"{100 * p:.0f} %"
templates.filters["words"] = lambda name: name.replace("_", " ")
templates.globals["pages"] = (("explore", "/", "Explore"), ("walk", "/walk", "Walk"), ("photo", "/photo", "Your photo"))


def render(name: str, **context: Any) -> str:
    """A page as text."""
    return templates.get_template(name).render(**context)
