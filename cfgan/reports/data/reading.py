"""How to read the page."""

from __future__ import annotations

from cfgan.reports.data.look import DataReport, Look
from cfgan.reports.section import Section, template_beside

READING: Section[Look, DataReport] = Section(template_beside(__file__))
