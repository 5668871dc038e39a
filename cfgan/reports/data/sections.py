"""The sections of a report on a data set, in the order of its page, its figures and its tables."""

from __future__ import annotations

from cfgan.reports.data.association import ASSOCIATION
from cfgan.reports.data.combinations import COMBINATIONS
from cfgan.reports.data.duplicates import DUPLICATES
from cfgan.reports.data.images import IMAGES
from cfgan.reports.data.leakage import LEAKAGE
from cfgan.reports.data.look import DataReport, Look
from cfgan.reports.data.means import MEANS
from cfgan.reports.data.prevalence import PREVALENCE
from cfgan.reports.data.reading import READING
from cfgan.reports.data.relations import RELATIONS
from cfgan.reports.section import Section

SECTIONS: tuple[Section[Look, DataReport], ...] = (
    PREVALENCE,
    ASSOCIATION,
    RELATIONS,
    COMBINATIONS,
    IMAGES,
    DUPLICATES,
    LEAKAGE,
    MEANS,
    READING,
)
