"""A plan into shards: given out, counted, cut to the count, and listed in an index that is written last.

::

    000-000000.tar ...   the shards: place of the request, number of the shard
    shards.json          what identifies the work: bundle digest, engine, spec, format, draws a shard
    index.json           every shard with its sha256, faces and draws; what each request took
    README.md            a data set card as the Hugging Face Hub reads it

While it is being made, ``NAME.done.json`` stands beside each finished shard. Whoever is killed, run again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from cfgan.attributes.spec import Plan
from cfgan.errors import FolderError, InputError, RequestError, StoppedError, StorageError
from cfgan.generate.batch import CellTally
from cfgan.generate.job import check_plan
from cfgan.generate.sampling import CHUNK
from cfgan.generate.shards.card import dataset_card
from cfgan.generate.shards.content import Shard, ShardRecord
from cfgan.generate.shards.formats import FORMATS, require_format
from cfgan.generate.shards.schedule import CellSchedule
from cfgan.generate.shards.store import ShardStore
from cfgan.generate.shards.summary import ShardSummary
from cfgan.generate.shards.workers import RECORD, OpenWorkers, ShardJob, Workers, in_process
from cfgan.generate.summary import summarise
from cfgan.io.files import json_bytes, json_object
from cfgan.io.folders import something_else
from cfgan.io.progress import Progress, silent
from cfgan.io.seal import sealed, unsealed
from cfgan.io.signals import StopRequest
from cfgan.model.bundle import Bundle
from cfgan.model.engines import open_engine
from cfgan.version import __version__

FORMAT = "cfgan-shards/1"
_ENDINGS = "|".join(re.escape(each) for each in (RECORD, *(f".{form.ending}" for form in FORMATS.values())))
SHARD = re.compile(rf"\d{{3,}}-\d{{6,}}({_ENDINGS})")
"""How shards and their records are called."""
ABOUT, INDEX, CARD = "shards.json", "index.json", "README.md"
DRAWS = 4096
"""Draws a shard: some 20 to 40 MB, half a minute of one core."""

_DEATHS = 5  # of workers, without a shard made between them
_PATIENCE = 0.2  # seconds between two looks at whether a stop was asked for


def generate_shards(
    bundle: Bundle,
    plan: Plan,
    store: ShardStore,
    *,
    kind: str = "tar",
    draws: int = DRAWS,
    device: str = "auto",
    workers: OpenWorkers = in_process,
    progress: Progress | None = None,
) -> ShardSummary:
    """Make the shards of a plan, or go on with them.

    The same bundle, plan, engine, format and draws give the same files, whoever makes them.

    Args:
        bundle: the model.
        plan: requests and counts.
        store: a new or empty place, or one with this same work.
        kind: "tar" or "parquet".
        draws: a shard, a multiple of 32.
        device: where to compute.
        workers: who makes them.
        progress: called with faces counted and wanted, and the shards as the remark.

    Raises:
        RequestError: a request that contradicts itself, or nothing is asked for.
        InputError: format or draws cannot be used.
        FolderError: the place holds something else.
        StorageError: the disk or the bucket refused; what is stored stays.
        StoppedError: a stop was asked for; run again to go on.
    """
    started = time.monotonic()
    require_format(kind)
    check_plan(plan, bundle)
    if not plan.cells:
        raise RequestError("nothing is asked for.", field="attrs")
    if draws < CHUNK or draws % CHUNK:
        near = max(CHUNK, round(draws / CHUNK) * CHUNK)
        raise InputError(
            f"{draws} is not a multiple of {CHUNK}, the draws that are made at a time.",
            field="--shard-draws",
            value=draws,
            nearest=[near],
        )
    header = {
        "format": FORMAT,
        "bundle": {"name": bundle.name, "digest": bundle.digest},
        "cfgan": __version__,
        "engine": open_engine(bundle, device).name,
        "spec": plan.resolved,
        "shards": {"format": kind, "draws": draws},
    }
    job = ShardJob(bundle.path, bundle.digest, device, plan, kind, store)
    with store.locked():
        cells = [CellSchedule(index, cell, draws) for index, cell in enumerate(plan.cells)]
        if _begin(store, header):
            if index := _finished(store):
                restored = _restored(cells, index)
                _require_whole(store, restored)
                _tidy(store, restored)  # a kill may have left something
                return _summary(store, plan, restored, started)
            _take_up(store, cells)
        with StopRequest() as stop:
            if any(not cell.counted()[2] for cell in cells):
                with workers(job, lambda: stop.asked) as open_workers:
                    _make_all(open_workers, cells, plan, stop, progress or silent)
            stop.raise_if_asked(f"{_accepted(cells):,} faces are in {store.where}; the same command goes on from there")
            made = _summary(store, plan, cells, started)
            _finish(store, header, cells, made, dataset_card(bundle, plan, kind, made))
    return made


def _begin(store: ShardStore, header: Mapping[str, Any]) -> bool:
    """Whether this work was begun before; else the place is claimed for it."""
    sizes = store.sizes()
    if not sizes:
        store.write(ABOUT, json_bytes(sealed(header)))
        return False
    if ABOUT not in sizes:
        raise something_else(store.where, min(sizes))
    if unsealed(read_object(store, ABOUT)) != json.loads(json.dumps(header)):
        text = f"{store.where} holds other shards (other request, settings, bundle, engine or format)"
        raise FolderError(f"{text}; choose another --out.", field="--out", value=store.where)
    return True


def read_object(store: ShardStore, name: str) -> dict[str, Any]:
    """A sealed JSON object of a place. Raises FolderError if it is damaged or missing, StorageError."""
    try:
        return json_object(store.read(name), name)
    except FileNotFoundError:
        raise FolderError(f"{store.where}: {name} is missing.", field="--out", value=store.where) from None
    except ValueError as error:
        raise FolderError(f"{store.where} is damaged: {error}.", field="--out", value=store.where) from None


def _finished(store: ShardStore) -> dict[str, Any] | None:
    return read_object(store, INDEX) if INDEX in store.sizes() else None


def _restored(cells: list[CellSchedule], index: Mapping[str, Any]) -> list[CellSchedule]:
    left = [cell.cell.count for cell in cells]
    for entry in index["shards"]:
        place = entry["cell"]
        cells[place].take(ShardRecord(**entry, limit=left[place]))
        left[place] -= entry["faces"]
    return cells


def _entry(record: ShardRecord) -> dict[str, Any]:
    """A record in the index, where the limit that a shard happened to be made with says nothing."""
    return {key: value for key, value in vars(record).items() if key != "limit"}


def _take_up(store: ShardStore, cells: list[CellSchedule]) -> None:
    """What earlier runs finished: a record whose shard is there and whole in length."""
    sizes = store.sizes()
    for name in sizes:
        if not name.endswith(RECORD):
            continue
        try:
            record = ShardRecord(**unsealed(read_object(store, name)))
            known = cells[record.cell].shard(record.number, record.limit).name + RECORD == name
        except (FolderError, TypeError, IndexError):
            continue  # made again
        if known and (not record.file or sizes.get(record.file) == record.bytes):
            cells[record.cell].take(record)


def _make_all(workers: Workers, cells: list[CellSchedule], plan: Plan, stop: StopRequest, progress: Progress) -> None:
    waiting: dict[Future[ShardRecord], Shard] = {}
    deaths = 0
    while not stop.asked:
        while len(waiting) < workers.slots and (shard := _next(cells)) is not None and not stop.asked:
            cells[shard.cell].running.add(shard.number)
            waiting[workers.submit(shard)] = shard
        if not waiting:
            return
        done, _ = wait(waiting, timeout=_PATIENCE, return_when=FIRST_COMPLETED)
        broken = False
        for future in done:
            try:
                record = future.result()
            except BrokenProcessPool:
                broken = True
            except StoppedError:
                return
            else:
                del waiting[future]
                cells[record.cell].take(record)
                deaths = 0
        if broken:
            # All that was under way is lost with the pool, and is given out again.
            for shard in waiting.values():
                cells[shard.cell].running.discard(shard.number)
            waiting.clear()
            deaths += 1
            if deaths >= _DEATHS:
                raise StorageError(f"{deaths} times a worker died before it had made a shard; is there enough memory?")
            workers.restart()
        if done:
            made = sum(len(cell.records) for cell in cells)
            progress("generating", _accepted(cells), plan.count, f"{made:,} shards")


def _next(cells: list[CellSchedule]) -> Shard | None:
    return next((shard for cell in cells if (shard := cell.next()) is not None), None)


def _accepted(cells: list[CellSchedule]) -> int:
    return sum(min(cell.cell.count, cell.made) for cell in cells)


def _finish(
    store: ShardStore, header: Mapping[str, Any], cells: list[CellSchedule], made: ShardSummary, card: str
) -> None:
    """Card and index; then what was made in vain goes."""
    records = [record for cell in cells for record in cell.counting()]
    about = {"synthetic": True, "wanted": made.wanted, "accepted": made.accepted, "draws": made.draws}
    index = {**header, **about, "cells": made.cells, "shards": [_entry(record) for record in records]}
    store.write(CARD, card.encode("utf-8"))
    store.write(INDEX, json_bytes(sealed(index)))
    _tidy(store, cells)


def _require_whole(store: ShardStore, cells: list[CellSchedule]) -> None:
    """Raise FolderError if a finished shard is gone or of another length; `batch check` compares checksums too."""
    sizes = store.sizes()
    for record in (record for cell in cells for record in cell.counting()):
        if record.file and sizes.get(record.file) != record.bytes:
            what = "has changed" if record.file in sizes else "is missing"
            text = f"{store.where}: {record.file} {what}; choose another --out"
            raise FolderError(f"{text}, or remove {INDEX} to have it made again.", field="--out", value=store.where)


def _tidy(store: ShardStore, cells: list[CellSchedule]) -> None:
    """Remove records, and shards of ours that do not count; what somebody else put there stays."""
    kept = {record.file for cell in cells for record in cell.counting()}
    for name in store.sizes():
        if SHARD.fullmatch(name) and name not in kept:
            store.remove(name)


def _tally(schedule: CellSchedule) -> CellTally:
    """What all counted shards of a request took together."""
    whole = CellTally()
    for record in schedule.counting():
        part = CellTally(**record.tally)
        whole.next_draw += part.next_draw
        whole.accepted += part.accepted
        for title in ("passed", "passed_kept", "rejected_for", "only_for", "probability"):
            counts: dict[str, Any] = getattr(whole, title)
            for name, count in getattr(part, title).items():
                counts[name] = counts.get(name, 0) + count
    return whole


def _summary(store: ShardStore, plan: Plan, cells: list[CellSchedule], started: float) -> ShardSummary:
    tallies = [_tally(cell) for cell in cells]
    return ShardSummary(
        where=store.where,
        accepted=sum(tally.accepted for tally in tallies),
        wanted=plan.count,
        draws=sum(tally.next_draw for tally in tallies),
        seconds=time.monotonic() - started,
        shards=sum(bool(record.file) for cell in cells for record in cell.counting()),
        cells=[summarise(cell.cell, tally) for cell, tally in zip(cells, tallies, strict=True)],
    )
