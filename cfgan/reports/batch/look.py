"""What the sections of a report on batches compute from: what was received, and who read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cfgan.io.progress import Progress, silent
from cfgan.model.bundle import Bundle
from cfgan.reports.batch.examples import Picture
from cfgan.reports.batch.figures import gated
from cfgan.reports.batch.folder import BatchFolder, Content
from cfgan.reports.batch.reading import BatchReading, CellReading
from cfgan.verify.real_faces import RealFaces

if TYPE_CHECKING:
    from cfgan.external.classifier import ExternalClassifier

Cells = Sequence[tuple[BatchReading, CellReading]]
"""Cells of one vocabulary, each with the batch that it belongs to."""


@dataclass(frozen=True)
class Report:
    """A report before it is written.

    Args:
        data: ``report.json``; what it holds is documented in ``report.schema.json``.
        pictures: cell id -> the faces shown.
        faces: a row a delivered face: batch, cell, file, draw, and each reader's probabilities.
    """

    data: dict[str, Any]
    pictures: dict[str, list[Picture]]
    faces: list[dict[str, Any]]


@dataclass(frozen=True)
class Received:
    """A batch with what was read in it."""

    id: str
    name: str
    folder: BatchFolder
    content: Content
    reading: BatchReading
    own: bool
    left_out: list[str]


@dataclass(frozen=True)
class Look:
    """What the sections compute from.

    Args:
        read: the batches that are what they say, with what was read in them.
        bundle: whose readers read them.
        real: what those make of real faces; None where the bundle does not keep that.
        deciding: the reader that the verdict rests on.
        any_own: whether the bundle made any of the batches.
        external_classifiers: external ones, which look too; None: nobody was asked to.
        missing: a sentence about each external classifier that is not at hand.
        progress: called while it lasts.
    """

    read: Sequence[Received]
    bundle: Bundle
    real: RealFaces | None
    deciding: str
    any_own: bool
    external_classifiers: Sequence[ExternalClassifier] | None = None
    missing: Sequence[str] = ()
    progress: Progress = field(default=silent)

    @cached_property
    def fitting(self) -> list[Received]:
        """The batches that the bundle's readers could read."""
        return [item for item in self.read if item.content.vocabulary.names == self.bundle.vocabulary.names]

    @cached_property
    def own(self) -> Cells:
        """Cells of the batches that the bundle made, or of all that its readers could read where it made none."""
        return [
            (item.reading, cell) for item in self.fitting if item.own or not self.any_own for cell in item.reading.cells
        ]

    @cached_property
    def asked(self) -> list[str]:
        """The attributes asked for in them, in the vocabulary's order."""
        order = self.bundle.vocabulary.names
        return sorted({name for _, cell in self.own for name in gated(cell.faces.cell)}, key=order.index)
