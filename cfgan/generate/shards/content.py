"""What a shard holds: the faces that pass among some consecutive draws of one request, and nothing else decides.

A shard is a function of bundle, engine, spec, its number, and how many of its faces are kept. So it does not matter
which process makes it, in which order, or how often.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from cfgan.attributes.spec import Plan, RequestCell
from cfgan.errors import StoppedError
from cfgan.generate.batch import CellTally, Face
from cfgan.generate.job import accept
from cfgan.generate.sampling import CHUNK, Sampler
from cfgan.generate.shards.formats import FORMATS, Row

_ENCODERS = 2  # threads that encode images while the next chunk is drawn


@dataclass(frozen=True)
class Shard:
    """Some draws of one request.

    Args:
        cell: place of the request in the plan.
        number: of the shard among those of its request, from 0.
        draws: its draw numbers.
        limit: faces that are kept at most, the first ones.
    """

    cell: int
    number: int
    draws: range
    limit: int

    @property
    def name(self) -> str:
        """File name without its ending."""
        return f"{self.cell:03d}-{self.number:06d}"


@dataclass(frozen=True)
class ShardRecord:
    """What came of a shard.

    Args:
        cell, number, limit: which shard it is.
        file: its name; "" if no draw passed, and there is none.
        faces: in it.
        bytes, sha256: of the file.
        tally: of its own draws.
    """

    cell: int
    number: int
    limit: int
    file: str
    faces: int
    bytes: int
    sha256: str
    tally: dict[str, Any]


def make_shard(
    sampler: Sampler, plan: Plan, shard: Shard, kind: str, stopped: Callable[[], bool]
) -> tuple[ShardRecord, bytes]:
    """Draw a shard.

    Args:
        sampler: a bundle ready to draw.
        plan: the whole plan.
        shard: which of it.
        kind: a format, one of :data:`cfgan.generate.shards.formats.FORMATS`.
        stopped: asked between two chunks.

    Returns:
        What came of it, and the file's bytes.

    Raises:
        StoppedError: ``stopped`` said so; nothing was written.
    """
    cell = plan.cells[shard.cell]
    counted = replace(cell, count=shard.limit)  # the gate is kept for the cell itself
    tally, rows = CellTally(next_draw=shard.draws.start), []
    with ThreadPoolExecutor(_ENCODERS) as encoders:
        start = shard.draws.start
        while start < shard.draws.stop and tally.accepted < shard.limit:
            if stopped():
                raise StoppedError("stopped.")
            draws = range(start, min(start // CHUNK * CHUNK + CHUNK, shard.draws.stop))
            taken = accept(sampler, counted, sampler.draw(cell, draws, shard.draws.stop), tally)
            tally, start = taken.tally, draws.stop
            keys = [f"{shard.cell:03d}-{taken.chunk.draws[place]:09d}" for place in taken.places]
            faces = taken.faces([f"{key}.png" for key in keys])
            rows += [encoders.submit(_row, sampler, cell, face) for face in faces]
        done = [row.result() for row in rows]
    tally.next_draw -= shard.draws.start
    form = FORMATS[kind]
    data = form.encode(done, sampler.bundle.vocabulary.names, plan) if done else b""
    file = f"{shard.name}.{form.ending}" if done else ""
    digest = hashlib.sha256(data).hexdigest()
    record = ShardRecord(shard.cell, shard.number, shard.limit, file, len(done), len(data), digest, vars(tally))
    return record, data


def _row(sampler: Sampler, cell: RequestCell, face: Face) -> Row:
    png = face.png()
    about = face.row(png)
    names = sampler.bundle.vocabulary.names
    about["condition"] = dict(zip(names, about["condition"], strict=True))
    about["verifier"] = dict(zip(names, about["verifier"], strict=True))
    return Row(face.file.removesuffix(".png"), png, {**about, "request": cell.name, "requested": dict(cell.request)})
