"""How to read the page: the words it uses."""

from __future__ import annotations

from cfgan.reports.batch.external import beside_the_judge
from cfgan.reports.batch.look import Look, Report
from cfgan.reports.section import Section, template_beside

WORDS: Section[Look, Report] = Section(
    template_beside(__file__), view=lambda report: {"witnesses": beside_the_judge(report)}
)
