"""Faces in memory: the same that a batch folder would hold, without the folder."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cfgan.attributes.spec import Plan
from cfgan.errors import RequestError
from cfgan.generate.batch import CellTally, Face
from cfgan.generate.job import fill_cell
from cfgan.generate.sampling import Sampler
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest


@dataclass(frozen=True)
class KeptFace:
    """An accepted face with its file, and the place of its request in the plan."""

    face: Face
    png: bytes
    cell: int


class MemoryWriter:
    """Keeps accepted faces in memory, encoded as their files would be.

    Args:
        cells: requests of the plan.
    """

    def __init__(self, cells: int) -> None:
        self.tallies = [CellTally() for _ in range(cells)]
        self.kept: list[KeptFace] = []

    def add(self, cell: int, tally: CellTally, faces: Sequence[Face]) -> None:
        """Take a chunk."""
        self.kept += [KeptFace(face, face.png(), cell) for face in faces]
        self.tallies[cell] = tally


def draw_faces(sampler: Sampler, plan: Plan, *, progress: Progress | None = None) -> MemoryWriter:
    """Make the faces of a plan.

    Ctrl-C raises KeyboardInterrupt, and nothing is kept; a folder (:func:`cfgan.generate.job.generate`) can be resumed.

    Args:
        sampler: a bundle ready to draw.
        plan: its requests should have been checked by :func:`cfgan.generate.job.check_plan`.
        progress: called with faces accepted and wanted, and the draws as the remark.

    Returns:
        The faces in the order of the plan, fewer than wanted when draws ran out, and what each request took.

    Raises:
        RequestError: nothing is asked for.
    """
    if not plan.cells:
        raise RequestError("nothing is asked for.", field="attrs")
    writer = MemoryWriter(len(plan.cells))
    with ThreadPoolExecutor(1) as encoder:
        for index in range(len(plan.cells)):
            fill_cell(sampler, plan, index, writer, StopRequest(), encoder, progress)
    return writer
