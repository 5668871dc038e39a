"""Who makes the shards: this process, several processes, or the actors of a Ray cluster.

All take a shard and promise its record; the file is written by whoever drew it, so that no image passes between them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cfgan.attributes.spec import Plan
from cfgan.errors import BundleError, StoppedError
from cfgan.generate.sampling import Sampler
from cfgan.generate.shards.content import Shard, ShardRecord, make_shard
from cfgan.generate.shards.store import ShardStore
from cfgan.io.files import json_bytes
from cfgan.io.seal import sealed
from cfgan.model.bundle import open_bundle
from cfgan.model.cores import cores

RECORD = ".done.json"
"""How the file ends that says that a shard is finished; it is written after the shard."""


@dataclass(frozen=True)
class ShardJob:
    """All that a worker has to know. It can be handed to another process.

    Args:
        bundle: folder of the bundle, the same one on every machine.
        digest: of the bundle; a worker that finds another one refuses.
        device: where and with what to compute, as :func:`cfgan.model.engines.open_engine` takes it.
        plan: what is made.
        kind: format of the shards.
        store: where they go.
    """

    bundle: Path
    digest: str
    device: str
    plan: Plan
    kind: str
    store: ShardStore


class Workers(Protocol):
    """Something that makes shards. ``slots``: as many as it can have under way."""

    slots: int

    def submit(self, shard: Shard) -> Future[ShardRecord]:
        """Have a shard made and stored. A worker that dies breaks the promise: submit again."""

    def restart(self) -> None:
        """Go on after workers have died."""


OpenWorkers = Callable[[ShardJob, Callable[[], bool]], AbstractContextManager[Workers]]
"""Opens workers for a job; they stop when the second argument says so, at the latest when the context ends."""


class ShardMaker:
    """Makes and stores the shards of a job, one after the other."""

    def __init__(self, job: ShardJob) -> None:
        self._job = job
        opened = open_bundle(job.bundle)
        if opened.digest != job.digest:
            raise BundleError(f"{job.bundle} is not the bundle that this job was begun with.")
        self._sampler = Sampler(opened, job.device)

    def make(self, shard: Shard, stopped: Callable[[], bool]) -> ShardRecord:
        """Make a shard; its record is stored once the shard is. Raises StoppedError, StorageError."""
        job = self._job
        record, data = make_shard(self._sampler, job.plan, shard, job.kind, stopped)
        if record.file:
            job.store.write(record.file, data)
        job.store.write(shard.name + RECORD, json_bytes(sealed(vars(record))))
        return record


class _InProcess:
    slots = 1

    def __init__(self, maker: ShardMaker, stopped: Callable[[], bool]) -> None:
        self._maker, self._stopped = maker, stopped

    def submit(self, shard: Shard) -> Future[ShardRecord]:
        future: Future[ShardRecord] = Future()
        try:
            future.set_result(self._maker.make(shard, self._stopped))
        except StoppedError as error:
            future.set_exception(error)
        return future

    def restart(self) -> None:
        pass


@contextlib.contextmanager
def in_process(job: ShardJob, stopped: Callable[[], bool]) -> Iterator[Workers]:
    """This process alone makes them, with as many threads as there are cores."""
    yield _InProcess(ShardMaker(job), stopped)


class _Processes:
    def __init__(self, job: ShardJob, count: int, stop: Any) -> None:
        self.slots, self._job, self._stop = count, job, stop
        self._context = multiprocessing.get_context("spawn")
        self._threads = max(1, cores() // count)
        self._pool = self._open()

    def _open(self) -> ProcessPoolExecutor:
        given = (self._job, self._stop, self._threads)
        return ProcessPoolExecutor(self.slots, self._context, initializer=_begin, initargs=given)

    def submit(self, shard: Shard) -> Future[ShardRecord]:
        return self._pool.submit(_make, shard)

    def restart(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._open()

    def close(self) -> None:
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


def processes(count: int) -> OpenWorkers:
    """So many processes of this machine, each with its share of the cores; one is this process itself."""

    if count == 1:
        return in_process

    @contextlib.contextmanager
    def opened(job: ShardJob, stopped: Callable[[], bool]) -> Iterator[Workers]:
        stop = multiprocessing.get_context("spawn").Event()
        workers = _Processes(job, count, stop)
        try:
            yield workers
        finally:
            workers.close()

    return opened


_maker: ShardMaker | None = None
_stop: Any = None


def _begin(job: ShardJob, stop: Any, threads: int) -> None:
    """A worker process begins. Ctrl-C reaches it too, and is left to the process that gives out the work."""
    import signal

    global _maker, _stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _maker, _stop = ShardMaker(job), stop


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # nobody is left to give out work, and half a shard is worth nothing


def _make(shard: Shard) -> ShardRecord:
    if _maker is None:
        raise RuntimeError("a worker was not begun")
    return _maker.make(shard, _stop.is_set)
