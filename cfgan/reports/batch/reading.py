"""Reading a batch again: its faces by verifier and judge, and its draws once more from their seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cfgan.generate.sampling import Sampler
from cfgan.io.progress import Progress
from cfgan.reports.batch.folder import BatchFolder, CellFaces, Content
from cfgan.stats.rates import Bools
from cfgan.verify.reader import Reader

Probabilities = dict[str, npt.NDArray[np.float32]]
"""Reader -> calibrated probabilities (n, A)."""

SAME = 2.0
"""Mean difference, in pixel levels of 0..255, up to which two pictures count as one and the same: devices round
differently; two faces differ by tens."""

_CHUNK = 64


@dataclass(frozen=True)
class Redrawn:
    """The first m draws of a cell, made again.

    Args:
        probability: reader -> calibrated, float32 (m, A).
        kept: bool (m,), whether the batch delivers the draw.
        gate: bool (m,), whether the gate, run again, lets it pass.
        difference: float64, mean difference in levels between each delivered face among them and its new picture.
        rejected: the first rejected draws and their pixels, uint8 (3, H, W).
    """

    probability: Probabilities
    kept: Bools
    gate: Bools
    difference: npt.NDArray[np.float64]
    rejected: list[tuple[int, npt.NDArray[np.uint8]]]


@dataclass(frozen=True)
class CellReading:
    """One cell: what is delivered, as the readers see it, and the draws made again where that was possible."""

    faces: CellFaces
    kept: Probabilities
    redrawn: Redrawn | None = None


@dataclass(frozen=True)
class BatchReading:
    """One batch.

    Args:
        cells: in order.
        thresholds: reader -> float64 (A,), from which an attribute counts as seen.
        size: side of the images in pixels; 0 where no image was read.
        duplicates: faces whose pixels are those of an earlier face of the batch.
    """

    cells: list[CellReading]
    thresholds: Mapping[str, npt.NDArray[np.float64]]
    size: int = 0
    duplicates: int = 0


@dataclass
class _Steps:
    progress: Progress
    total: int
    done: int = 0

    def step(self, stage: str, count: int) -> None:
        self.done += count
        self.progress(stage, self.done, self.total)


@dataclass
class _Pixels:
    """Counts pictures that are the same to the last pixel."""

    known: set[bytes] = field(default_factory=set)
    duplicates: int = 0

    def add(self, images: npt.NDArray[np.uint8]) -> None:
        for image in images:
            digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
            self.duplicates += digest in self.known
            self.known.add(digest)


def read_faces(
    batch: BatchFolder,
    content: Content,
    readers: Mapping[str, Reader],
    sampler: Sampler | None,
    *,
    redraw: int,
    shown: int,
    size: int | None,
    progress: Progress,
) -> BatchReading:
    """Read every delivered face and, with the model at hand, make up to ``redraw`` draws of each cell again.

    Without the verifier among ``readers``, what it said is taken from the manifest.

    Args:
        batch, content: what was received.
        readers: "verifier", "judge": those that are at hand.
        sampler: of the very model that made the batch; None when it is not at hand.
        redraw: most draws of a cell that are made again.
        shown: rejected draws of a cell of which the picture is kept.
        size: side in pixels that the readers want.
        progress: called while it lasts.

    Raises:
        FolderError: an image is of another size.
    """
    amounts = [min(faces.tally.next_draw, redraw) if sampler is not None else 0 for faces in content.cells]
    steps = _Steps(progress, sum(amounts) + sum(len(faces.files) for faces in content.cells))
    seen, cells = _Pixels(), []
    thresholds = {name: reader.calibration.threshold for name, reader in readers.items()}
    thresholds.setdefault("verifier", content.thresholds)
    for faces, amount in zip(content.cells, amounts, strict=True):
        kept = _kept(batch, faces, readers, seen, size, steps)
        redrawn = None
        if sampler is not None:
            redrawn = _redraw(batch, faces, readers, sampler, amount, shown, steps)
        cells.append(CellReading(faces, kept, redrawn))
    return BatchReading(cells, thresholds, sampler.bundle.size if sampler else size or 0, seen.duplicates)


def _kept(
    batch: BatchFolder,
    faces: CellFaces,
    readers: Mapping[str, Reader],
    seen: _Pixels,
    size: int | None,
    steps: _Steps,
) -> Probabilities:
    parts: dict[str, list[npt.NDArray[np.float32]]] = {name: [faces.verifier[:0]] for name in readers}
    for start in range(0, len(faces.files), _CHUNK):
        images = batch.pixels(faces.files[start : start + _CHUNK], size)
        seen.add(images)
        for name, reader in readers.items():
            parts[name].append(reader.probability(images))
        steps.step("reading", len(images))
    return {"verifier": faces.verifier, **{name: np.concatenate(found) for name, found in parts.items()}}


def _redraw(
    batch: BatchFolder,
    faces: CellFaces,
    readers: Mapping[str, Reader],
    sampler: Sampler,
    amount: int,
    shown: int,
    steps: _Steps,
) -> Redrawn:
    cell, numbers = faces.cell, {int(draw): k for k, draw in enumerate(faces.draws)}
    parts: dict[str, list[npt.NDArray[np.float32]]] = {name: [faces.verifier[:0]] for name in readers}
    gates: list[Bools] = [np.zeros(0, dtype=bool)]
    difference: list[float] = []
    rejected: list[tuple[int, npt.NDArray[np.uint8]]] = []
    for draws in _chunks(amount):
        drawn = sampler.draw(cell, draws, last=amount)
        for name, reader in readers.items():
            again = drawn.probability if name == "verifier" else reader.probability(drawn.pixels)
            parts[name].append(again)
        gates.append(np.asarray(drawn.passed.all(1) | (not cell.verify.enabled), dtype=bool))
        delivered = [(place, numbers[draw]) for place, draw in enumerate(draws) if draw in numbers]
        images = batch.pixels([faces.files[k] for _, k in delivered], sampler.bundle.size)
        for (place, _), image in zip(delivered, images, strict=True):
            difference.append(float(np.abs(image.astype(np.float64) - drawn.pixels[place]).mean()))
        for place, draw in enumerate(draws):
            if draw not in numbers and len(rejected) < shown:
                rejected.append((draw, drawn.pixels[place]))
        steps.step("drawing again", len(draws))
    return Redrawn(
        {name: np.concatenate(found) for name, found in parts.items()},
        np.isin(np.arange(amount), faces.draws),
        np.concatenate(gates),
        np.asarray(difference),
        rejected,
    )


def _chunks(amount: int) -> Iterator[range]:
    for start in range(0, amount, _CHUNK):
        yield range(start, min(start + _CHUNK, amount))
