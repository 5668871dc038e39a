"""The main job: spec -> conditions -> draws -> verified batch."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from cfgan.attributes.spec import Plan, RequestCell, make_plan
from cfgan.attributes.spec_files import as_stored
from cfgan.errors import FolderError, InputError, RequestError
from cfgan.generate.batch import FORMAT, BatchWriter, CellTally, Face
from cfgan.generate.batch_check import NOT_LISTED, check_batch
from cfgan.generate.sampling import Draws, Sampler
from cfgan.generate.summary import Summary, summarise
from cfgan.io import journal
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.model.bundle import Bundle
from cfgan.model.engine import Engine
from cfgan.model.engines import open_engine
from cfgan.verify.gate import gate_of
from cfgan.version import __version__

_ESTIMATED_CELLS = 16  # in larger plans requests of three and more attributes are judged by their rarest pair


def check_plan(plan: Plan, bundle: Bundle, *, strict: bool = False) -> list[str]:
    """Refuse impossible requests and collect warnings about implausible ones, and about draws that do not look real.

    Args:
        plan: what is asked for.
        bundle: of what.
        strict: refuse a bundle whose draws were measured to be below the floor of realism.

    Raises:
        RequestError: a request that contradicts itself, or a precision that the verifier cannot reach.
        InputError: ``strict``, and the bundle's draws do not look real.
    """
    prior = bundle.prior()
    warnings: list[str] = []
    if not bundle.realism.enough:
        if strict:
            raise InputError(bundle.realism.sentence, field="bundle", value=bundle.name)
        warnings.append(f"{bundle.name}: {bundle.realism.sentence}")
    estimate = len(plan.cells) <= _ESTIMATED_CELLS
    for cell in plan.cells:
        gate_of(bundle, cell)
        fixed = cell.unspecified if isinstance(cell.unspecified, dict) else {}
        for warning in prior.check({**cell.request, **fixed}, estimate=estimate):
            text = f"{cell.name}: {warning}" if len(plan.cells) > 1 else warning
            if text not in warnings:
                warnings.append(text)
    return warnings


def generate(
    bundle: Bundle, plan: Plan, out: Path, *, device: str | Engine = "auto", progress: Progress | None = None
) -> Summary:
    """Make a batch folder, or go on with an unfinished one.

    Args:
        bundle: the model.
        plan: cells with requests and counts.
        out: new or empty folder, or this same batch unfinished.
        device: where to compute, or an open engine of the bundle.
        progress: called with faces accepted and wanted, and the draws as the remark.

    Returns:
        The summary; when draws ran out it holds fewer faces than wanted and ``complete`` is false.

    Raises:
        RequestError: a request that contradicts itself.
        FolderError: the folder holds something else.
        StorageError: the disk refused; what is stored stays and can be resumed.
        StoppedError: a stop was asked for; run again to resume.
    """
    started = time.monotonic()
    check_plan(plan, bundle)
    if not plan.cells:
        raise RequestError("nothing is asked for.", field="attrs")
    engine = open_engine(bundle, device)  # a wrong device is found before anything is written
    header = {
        "bundle": {"name": bundle.name, "digest": bundle.digest},
        "cfgan": __version__,
        "engine": engine.name,
        "spec": plan.resolved,
    }
    writer = BatchWriter(out, header, len(plan.cells))
    if writer.complete:
        if problems := [problem for problem in check_batch(out) if not problem.endswith(NOT_LISTED)]:
            raise FolderError(
                f"{out} was this batch, but is damaged ({problems[0]}); remove that folder, or choose another --out.",
                field="out",
                value=out,
            )
    else:
        sampler = Sampler(bundle, engine)  # and so is a damaged bundle
        # The folder is let go of last: after the thread that writes, and after everything is written.
        with StopRequest() as stop, contextlib.closing(writer), ThreadPoolExecutor(1) as disk:
            writer.begin()
            for index in range(len(plan.cells)):
                fill_cell(sampler, plan, index, writer, stop, disk, progress)
                stop.raise_if_asked(f"{writer.accepted} faces are in {out}; the same command goes on from there")
            _finish(bundle, plan, writer)
    return _summary(out, plan, writer, started)


def finish_early(bundle: Bundle, out: Path) -> Summary:
    """Close a batch that was stopped, with the faces that it has: manifest, summary, sums. It can then not go on.

    Args:
        bundle: the one that the batch is of.
        out: its folder.

    Returns:
        The summary, with fewer faces than wanted.

    Raises:
        FolderError: no unfinished batch, one of another bundle, or one that another process works on.
        StorageError: the disk refused; the batch stays as it was.
    """
    started = time.monotonic()
    header = journal.read_header(out)
    if header.get("format") != FORMAT:
        raise FolderError(f"{out} is not an unfinished batch.", field="folder", value=out)
    if header["bundle"]["digest"] != bundle.digest:
        named = str(header["bundle"]["name"])
        raise FolderError(f"{out} is of another bundle, {named[:80]!r}.", field="bundle", value=bundle.name)
    plan = replace(make_plan(header["spec"], bundle.vocabulary, source=str(out)), resolved=header["spec"])
    writer = BatchWriter(out, header, len(plan.cells))
    with contextlib.closing(writer):
        writer.begin()
        _finish(bundle, plan, writer)
    return _summary(out, plan, writer, started)


def _summary(out: Path, plan: Plan, writer: BatchWriter, started: float) -> Summary:
    return Summary(
        out=out,
        accepted=writer.accepted,
        wanted=plan.count,
        draws=sum(tally.next_draw for tally in writer.tallies),
        seconds=time.monotonic() - started,
        cells=[summarise(cell, tally) for cell, tally in zip(plan.cells, writer.tallies, strict=True)],
    )


def _finish(bundle: Bundle, plan: Plan, writer: BatchWriter) -> None:
    cells = [{"name": cell.name, "wanted": cell.count, "max_draws": cell.max_draws} for cell in plan.cells]
    names = bundle.vocabulary.names
    about = {
        "synthetic": True,
        "wanted": plan.count,
        "accepted": writer.accepted,
        "draws": sum(tally.next_draw for tally in writer.tallies),
        "thresholds": dict(zip(names, bundle.calibration.to_dict()["threshold"], strict=True)),
        "gates": [least_probability(bundle, cell) for cell in plan.cells],
        "licence": bundle.config.get("licence", ""),
    }
    writer.finish(names, [cell.request for cell in plan.cells], plan.resolved, about, cells)


def least_probability(bundle: Bundle, cell: RequestCell) -> dict[str, float]:
    """Name -> the probability of the requested value that a face of the cell had to reach."""
    if not cell.verify.enabled:
        return {}
    return gate_of(bundle, cell).thresholds


class FaceSink(Protocol):
    """Where accepted faces go, chunk by chunk."""

    tallies: list[CellTally]

    def add(self, cell: int, tally: CellTally, faces: Sequence[Face]) -> None: ...


def fill_cell(
    sampler: Sampler,
    plan: Plan,
    index: int,
    writer: FaceSink,
    stop: StopRequest,
    disk: ThreadPoolExecutor,
    progress: Progress | None,
) -> None:
    """Draw until the cell is full or its draws are used up. Encoding and writing overlap with the next chunk."""
    cell = plan.cells[index]
    before = sum(tally.accepted for tally in writer.tallies[:index])
    drawn_before = sum(tally.next_draw for tally in writer.tallies[:index])
    tally = writer.tallies[index]
    pending: Future[None] | None = None
    while tally.accepted < cell.count and tally.next_draw < cell.max_draws and not stop.asked:
        draws, last = _next_draws(sampler, cell, tally)
        chunk = sampler.draw(cell, draws, last)
        taken = accept(sampler, cell, chunk, tally)
        tally = taken.tally
        if pending is not None:
            pending.result()  # at most one chunk waits: memory stays bounded, and a full disk is heard of at once
        pending = disk.submit(_store, writer, index, taken, before)
        if progress:
            draws_made = drawn_before + tally.next_draw
            progress("generating", before + tally.accepted, plan.count, f"{draws_made} draws")
    if pending is not None:
        pending.result()


def _next_draws(sampler: Sampler, cell: RequestCell, tally: CellTally) -> tuple[range, int]:
    """The next draws, up to the end of a chunk, and the draw before which inputs are worth making ahead.

    Where the engine allows it the range ends where the cell is probably full: four of five draws pass at first, then as
    many as have passed. Of a request that fewer than half pass, whole chunks are drawn: small ones cost more.
    """
    missing, first = cell.count - tally.accepted, tally.next_draw
    hoped, rate = (tally.accepted + 4) / (first + 5), (tally.accepted + 1) / (first + 2)
    if not cell.verify.enabled:
        hoped = rate = 1.0
    last = min(first + round(missing / rate) + 1, cell.max_draws)
    end = sampler.worth_drawing(first, first + math.ceil(missing / hoped) if hoped >= 0.5 else last)
    return range(first, min(end, cell.max_draws)), last


@dataclass(frozen=True)
class Accepted:
    """What a chunk gave: the faces that are kept, and the count with them.

    Args:
        chunk: all its draws.
        places: positions in it of the faces that are kept.
        tally: of the cell, this chunk counted.
        text: what each image says of itself, but for its own numbers.
        seed: of the cell.
    """

    chunk: Draws
    places: list[int]
    tally: CellTally
    text: dict[str, Any]
    seed: int

    def faces(self, names: Sequence[str]) -> list[Face]:
        """The faces that are kept, under these file names."""
        chunk, faces = self.chunk, []
        for place, name in zip(self.places, names, strict=True):
            pixels, condition, verifier = chunk.pixels[place], chunk.condition[place], chunk.probability[place]
            faces.append(Face(name, chunk.draws[place], self.seed, pixels, self.text, condition, verifier))
        return faces


def accept(sampler: Sampler, cell: RequestCell, chunk: Draws, before: CellTally) -> Accepted:
    """Go through a chunk in draw order until the cell is full; later draws were made in vain and are not counted."""
    bundle = sampler.bundle
    tally = replace(
        before,
        passed=dict(before.passed),
        passed_kept=dict(before.passed_kept),
        rejected_for=dict(before.rejected_for),
        only_for=dict(before.only_for),
        probability=dict(before.probability),
    )
    for name in chunk.gated:
        for counts in (tally.passed, tally.passed_kept, tally.rejected_for, tally.only_for):
            counts.setdefault(name, 0)
        tally.probability.setdefault(name, 0.0)
    places = []
    for place, draw in enumerate(chunk.draws):
        if tally.accepted >= cell.count:
            break
        tally.next_draw = draw + 1
        passed = chunk.passed[place]
        keep = bool(passed.all()) or not cell.verify.enabled
        for name, good in zip(chunk.gated, passed, strict=True):
            tally.passed[name] += int(good)
            tally.passed_kept[name] += int(good and keep)
            tally.rejected_for[name] += int(not good and not keep)
            tally.only_for[name] += int(not good and not keep and (~passed).sum() == 1)
        if keep:
            for name in (each for each in chunk.gated if each in cell.request):
                p = float(chunk.probability[place, bundle.vocabulary.index(name)])
                tally.probability[name] += p if cell.request[name] > 0 else 1 - p
            places.append(place)
            tally.accepted += 1
    text = {
        "software": f"cfgan {__version__}",
        "engine": sampler.engine.name,
        "synthetic": True,
        "bundle": {"name": bundle.name, "digest": bundle.digest},
        "spec": {
            "request": cell.request,
            "free": as_stored(cell.unspecified),
            "truncation": None,
            **bundle.latents.stated(cell.truncation, cell.same_latents),
            "verify": {k: v for k, v in cell.verify.model_dump().items() if k != "max_draws"},
        },
    }
    return Accepted(chunk, places, tally, text, cell.seed)


def _store(writer: FaceSink, index: int, taken: Accepted, before: int) -> None:
    """Hand over a chunk's faces; ``before``: those of earlier cells."""
    stop = before + taken.tally.accepted
    names = [f"images/{number:06d}.png" for number in range(stop - len(taken.places), stop)]
    writer.add(index, taken.tally, taken.faces(names))
