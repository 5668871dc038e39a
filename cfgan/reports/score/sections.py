"""The sections of a score report, in the order of its page and its tables."""

from __future__ import annotations

from cfgan.reports.score.curves import CURVES
from cfgan.reports.score.differences import DIFFERENCES
from cfgan.reports.score.differentials import DIFFERENTIALS
from cfgan.reports.score.points import POINTS
from cfgan.reports.score.quality import QUALITY
from cfgan.reports.score.rates import RATES
from cfgan.reports.score.reading import READING
from cfgan.reports.score.shared import Figures
from cfgan.reports.section import Section

SECTIONS: tuple[Section[Figures, Figures], ...] = (POINTS, RATES, DIFFERENTIALS, DIFFERENCES, CURVES, QUALITY, READING)
