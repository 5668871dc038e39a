"""A section added to the list of a report is in its figures, page, tables and schema, without another change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cfgan.reports.batch.sections import SECTIONS as BATCH
from cfgan.reports.data.sections import SECTIONS as DATA
from cfgan.reports.score.sections import SECTIONS as SCORE
from cfgan.reports.section import (
    Section,
    figures_of,
    render_sections,
    section_tables,
    table_names,
    whole_schema,
    with_parts,
)


@dataclass(frozen=True)
class Report:
    data: dict[str, Any] = field(default_factory=dict)


INNER: Section[int, Report] = Section(
    "{% macro contents() %}never shown{% endmacro %}{% macro body() %}<b>{{ data.half }}</b>{% endmacro %}",
    lambda look: {"half": look / 2},
    schema={"half": {"type": "number"}},
)
OUTER: Section[int, Report] = Section(
    "{% macro contents() %}<li>{{ title }}</li>{% endmacro %}"
    "{% macro body() %}{{ data.twice }}{% for part in parts %}{{ part.body }}{% endfor %}{% endmacro %}",
    lambda look: {"twice": 2 * look},
    lambda report: {"title": "Twice <and> half"},
    {"rows": lambda report: [{"n": report.data["twice"]}], "none": lambda report: []},
    {"twice": {"type": "integer"}},
    (INNER,),
)


def test_figures_page_tables_and_schema_go_through_the_list(tmp_path: Path) -> None:
    report = Report(figures_of((OUTER,), 3))
    assert report.data == {"twice": 6, "half": 1.5}
    (shown,) = render_sections((OUTER,), report, report.data)
    assert shown == {"contents": "<li>Twice &lt;and&gt; half</li>", "body": "6<b>1.5</b>"}
    assert section_tables((OUTER,), report) == {"rows.csv": b"n\n6\n"}, "a table without a row is left out"
    assert table_names((OUTER,)) == ("rows", "none")
    (tmp_path / "base.json").write_text('{"properties": {"format": {}}, "required": ["format"]}')
    schema = whole_schema(tmp_path / "base.json", (OUTER,))
    assert schema["required"] == ["format", "twice", "half"] == list(schema["properties"])


def test_no_two_sections_of_a_report_give_the_same_key_or_table() -> None:
    for sections in (DATA, BATCH, SCORE):
        every: list[Section[Any, Any]] = list(with_parts(sections))
        for names in (
            [key for section in every for key in section.schema],
            [key for section in every for key in section.tables],
        ):
            assert names and len(names) == len(set(names))
