"""What a report is made of: sections. Each holds all that there is of one subject, and stands in its report's list.

The figures, the page, the CSV tables and the schema all go through that list, so that a new section is its own file
(with its template and its part of the schema beside it) and a line in the list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cfgan.reports.page import environment
from cfgan.reports.tables import to_csv

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

Rows = list[dict[str, Any]]
Look = TypeVar("Look")
Report = TypeVar("Report")


@dataclass(frozen=True)
class Section(Generic[Look, Report]):
    """One subject of a report.

    Args:
        template: two macros: ``contents``, its entry in the table of contents, and ``body``. Both see ``data``, the
            report's JSON, and what ``view`` gives.
        compute: what is looked at -> the section's keys of the report's JSON, in their order.
        view: report -> variables of the template, plots among them.
        tables: name of a CSV table -> its rows from a report; one without rows is not written.
        schema: JSON Schema of each of its keys.
        parts: sections that stand inside its body, where the template goes through ``parts``; only ``body`` of these
            is shown.
    """

    template: str
    compute: Callable[[Look], dict[str, Any]] = lambda look: {}
    view: Callable[[Report], dict[str, Any]] = lambda report: {}
    tables: Mapping[str, Callable[[Report], Rows]] = field(default_factory=dict)
    schema: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Section[Look, Report], ...] = ()


def template_beside(source: str) -> str:
    """The template ``name.html.j2`` beside a section's ``name.py``, given its ``__file__``."""
    return Path(source).with_suffix(".html.j2").read_text(encoding="utf-8")


def schema_beside(source: str) -> dict[str, Any]:
    """The same of ``name.schema.json``."""
    schema: dict[str, Any] = json.loads(Path(source).with_suffix(".schema.json").read_text(encoding="utf-8"))
    return schema


def with_parts(sections: Sequence[Section[Look, Report]]) -> Iterator[Section[Look, Report]]:
    """Each section, then those inside it."""
    for section in sections:
        yield section
        yield from with_parts(section.parts)


def figures_of(sections: Sequence[Section[Look, Any]], look: Look) -> dict[str, Any]:
    """All keys of the report's JSON that the sections compute."""
    return {key: value for section in with_parts(sections) for key, value in section.compute(look).items()}


def render_sections(
    sections: Sequence[Section[Any, Report]], report: Report, data: Mapping[str, Any], made: Environment | None = None
) -> list[dict[str, Markup]]:
    """``contents`` and ``body`` of each section, in order, to be put into a page."""
    made = made or environment()
    found = []
    for section in sections:
        inside = render_sections(section.parts, report, data, made)
        variables = {"data": data, "parts": inside, **section.view(report)}
        macros: Any = made.from_string(section.template).make_module(variables)
        found.append({"contents": macros.contents(), "body": macros.body()})
    return found


def section_tables(sections: Sequence[Section[Any, Report]], report: Report) -> dict[str, bytes]:
    """File name -> content of the CSV tables that have a row, in order."""
    tables = {name: rows(report) for section in with_parts(sections) for name, rows in section.tables.items()}
    return {f"{name}.csv": to_csv(rows) for name, rows in tables.items() if rows}


def table_names(sections: Sequence[Section[Any, Any]]) -> tuple[str, ...]:
    """Names of the CSV tables that a report may have, without their ending."""
    return tuple(name for section in with_parts(sections) for name in section.tables)


def whole_schema(path: Path, sections: Sequence[Section[Any, Any]]) -> dict[str, Any]:
    """A report's schema: what a file says of the report as a whole, and each section of its own keys, all required."""
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for section in with_parts(sections):
        schema["properties"] |= section.schema
        schema["required"] += section.schema
    return schema
