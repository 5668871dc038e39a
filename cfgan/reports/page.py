"""What all pages share: templates that escape every value, and the filters that figures are shown by."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """Templates in which every value is escaped, with the filters that figures are shown by."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    filters: dict[str, Callable[..., str]] = {"pct": _percent, "range": _range, "points": _points, "num": _number}
    made.filters |= {**filters, "signed": _signed, "say": _say, "breakable": _breakable}
    return made


def style() -> Markup:
    """The style sheet of all pages."""
    from markupsafe import Markup

    return Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704


def _percent(value: float | None) -> str:
    return _say(percent(value))


def _say(text: str) -> str:
    """A sentence in which no number is parted from its percent sign and no name from its minus."""
    return re.sub(r"(?<![\w-])-(?=[A-Za-z0-9])", "\N{MINUS SIGN}", text).replace(" %", "\N{NO-BREAK SPACE}%")


def _breakable(name: str) -> Markup:
    """A name of an attribute, which a narrow column may break after an underscore; a minus sign stays with its name."""
    from markupsafe import Markup, escape

    text = "\N{MINUS SIGN}" + name[1:] if name.startswith("-") else name
    return escape(text.replace(", -", ", \N{MINUS SIGN}")).replace("_", Markup("_<wbr>"))


def _range(pair: list[float | None]) -> str:
    low, high = pair
    return "-" if low is None or high is None else f"{_points(low)} to {_points(high)}"


def _points(value: float | None) -> str:
    """A difference of shares in points."""
    return "-" if value is None else f"{100 * value + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.0f}".replace("-", "\N{MINUS SIGN}")


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or value != value else f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    """A share as "12.3 %", or a dash."""
    return "-" if value is None or value != value else f"{100 * value:.1f} %"
