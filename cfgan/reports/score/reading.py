"""How to read the page."""

from __future__ import annotations

from cfgan.reports.score.shared import Figures, shared
from cfgan.reports.section import Section, template_beside

READING: Section[Figures, Figures] = Section(template_beside(__file__), view=shared)
