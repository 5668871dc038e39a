"""The sections of a report on batches, in the order of its page, its figures and its tables."""

from __future__ import annotations

from cfgan.reports.batch.attributes import ATTRIBUTES
from cfgan.reports.batch.look import Look, Report
from cfgan.reports.batch.origin import ORIGIN
from cfgan.reports.batch.readers import READERS
from cfgan.reports.batch.requests import REQUESTS
from cfgan.reports.batch.side_effects import SIDE_EFFECTS
from cfgan.reports.batch.words import WORDS
from cfgan.reports.section import Section

FORMAT = "cfgan-report/1.1"
"""Of ``report.json``: a new key makes a new minor number. 1.1 adds ``witnesses`` and, of a batch, ``nearest``."""

SECTIONS: tuple[Section[Look, Report], ...] = (ATTRIBUTES, REQUESTS, SIDE_EFFECTS, READERS, ORIGIN, WORDS)
