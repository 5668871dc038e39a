"""A data set while it is looked at: what more than one section needs is worked out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cfgan.data.profile.duplicate_groups import DuplicateGroups, find_duplicate_groups
from cfgan.data.profile.duplicates import DISTANCE, MAX_DISTANCE
from cfgan.data.profile.image_scan import Scan, scan_images
from cfgan.data.profile.pairs import Relation, find_relations
from cfgan.data.profile.statistics import Signs
from cfgan.data.sources.base import Source
from cfgan.errors import InputError
from cfgan.io.progress import Progress
from cfgan.reports.section import Rows

LISTED = 50
"""Groups of duplicates and unusable images that stats.json names; the CSV tables name all."""


@dataclass(frozen=True)
class Settings:
    """How to look.

    Args:
        images: whether to open the images, where there are any.
        sizes: numbers of values whose rarest combinations are listed.
        tolerance: exceptions among the rarer of two values up to which they count as exclusive or implied.
        alpha: of the test behind that, before Bonferroni's correction.
        distance: bits of 256 that near duplicates differ in at most.
        workers: decoding threads.
        side: of the mean images in pixels.
    """

    images: bool = True
    sizes: tuple[int, ...] = (2, 3)
    tolerance: float = 0.01
    alpha: float = 0.05
    distance: int = DISTANCE
    workers: int = 2
    side: int = 64

    def check(self) -> None:
        """Raise InputError for a value out of range."""
        for name, value, low, high in (
            ("--tolerance", self.tolerance, 0, 0.2),
            ("--distance", self.distance, 0, MAX_DISTANCE),
        ):
            if not low <= value <= high:
                raise InputError(f"{value:g} does not lie in {low}..{high}.", field=name, value=value)
        for size in self.sizes:
            if not 2 <= size <= 6:
                raise InputError(f"combinations of {size} are not counted; 2 to 6.", field="--combinations", value=size)


@dataclass(frozen=True)
class DataReport:
    """Figures, and what stands beside them.

    Args:
        data: ``stats.json``; see :func:`cfgan.reports.data.page.stats_schema`.
        tables: name of a CSV table -> rows.
        means: signed value ("Male", "-Male") -> uint8 (side, side, 3), the mean of the images that carry it. For the
            page of whoever holds the images: of real people, it is not for publishing.
    """

    data: dict[str, Any]
    tables: dict[str, Rows] = field(default_factory=dict)
    means: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict)


class Places(NamedTuple):
    """Names of the images, their rows, their splits (-1 in none)."""

    names: Sequence[str]
    rows: npt.NDArray[np.int64]
    split: npt.NDArray[np.int64]


class Look:
    """What the sections compute from.

    Args:
        source: the data set.
        settings: how to look.
        step: called while it lasts.
    """

    def __init__(self, source: Source, settings: Settings, step: Progress) -> None:
        self.source, self.settings, self.step = source, settings, step
        self.names = source.vocabulary.names
        self.tables: dict[str, Rows] = {}
        """Name of a CSV table -> rows; filled by the sections."""
        self.means: dict[str, npt.NDArray[np.uint8]] = {}
        """Signed value -> mean image; filled by the section of that name."""

    @cached_property
    def signs(self) -> Signs:
        """Which rows say yes and no."""
        signs = Signs(self.source.labels)
        self.step("counting", 0, 0)
        return signs

    @cached_property
    def pairs(self) -> npt.NDArray[np.int64]:
        """Rows with each two values."""
        return self.signs.pairs()

    @cached_property
    def relations(self) -> tuple[list[Relation], int]:
        """Exclusive and implied pairs, and how many cells were tested."""
        settings = self.settings
        return find_relations(self.names, self.pairs, tolerance=settings.tolerance, alpha=settings.alpha)

    @cached_property
    def scan(self) -> Scan | None:
        """What was seen of the images; None where there are none, or nobody is to open them."""
        if self.source.pictures is None or not self.settings.images:
            return None
        settings = self.settings
        return scan_images(
            self.source.pictures,
            self.source.labels,
            side=settings.side,
            workers=settings.workers,
            progress=self.step,
        )

    @cached_property
    def duplicates(self) -> DuplicateGroups | None:
        """Groups of images that are the same, or nearly; None where none was opened."""
        return find_duplicate_groups(self.scan, self.settings.distance, progress=self.step) if self.scan else None

    @cached_property
    def places(self) -> Places:
        """Where each image belongs."""
        pictures = self.source.pictures
        if pictures is None:
            return Places((), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        rows = pictures.rows
        split = np.full(len(rows), -1, dtype=np.int64)
        if self.source.split is not None:
            split[rows >= 0] = self.source.split[rows[rows >= 0]]
        return Places(pictures.names, rows, split)

    def split_name(self, number: int) -> str | None:
        return self.source.splits[number] if number >= 0 else None
