"""Drawing for people who wait: one request at a time, a bounded queue, faces handed on as they pass."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cfgan.api.faces import Face
from cfgan.attributes.spec import Plan
from cfgan.errors import CfganError
from cfgan.generate.batch import CellTally
from cfgan.generate.batch import Face as Drawn
from cfgan.generate.job import check_plan, fill_cell
from cfgan.generate.sampling import Sampler
from cfgan.io.signals import StopRequest
from cfgan.model.bundle import Bundle
from cfgan.serve.limits import Limits
from cfgan.verify.reader import Reader, reader_of


class BusyError(CfganError):
    """So many wait already that one more would wait too long."""


class Served:
    """A bundle that is served, its networks loaded once.

    Args:
        bundle: the model.
        device: as :func:`cfgan.model.engines.open_engine` takes it.

    Raises:
        InputError, ConfigError, BundleError: it cannot be computed with.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.bundle, self.device, self.sampler = bundle, device, Sampler(bundle, device)

    def reader(self, role: str) -> Reader:
        """A classifier of the bundle. Raises BundleError."""
        return reader_of(self.bundle, self.sampler.engine, role)


class Turns:
    """One after another, and only so many waiting: two jobs that share the cores take more than twice as long."""

    def __init__(self, waiting: int) -> None:
        self._places = threading.BoundedSemaphore(waiting + 1)
        self._turn = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for one's turn. Raises BusyError at once where the queue is full."""
        if not self._places.acquire(blocking=False):
            raise BusyError("too many requests are waiting; try again in a moment.")
        try:
            with self._turn:
                yield
        finally:
            self._places.release()


class _Handed:
    """Takes accepted faces from the thread that encodes them."""

    def __init__(self, cells: int) -> None:
        self.tallies = [CellTally() for _ in range(cells)]
        self.faces: queue.SimpleQueue[tuple[int, Drawn] | None] = queue.SimpleQueue()

    def add(self, cell: int, tally: CellTally, faces: Sequence[Drawn]) -> None:
        for face in faces:
            self.faces.put((cell, face))
        self.tallies[cell] = tally


class Drawing:
    """The faces of a plan, one by one, as they pass.

    Args:
        model: that draws.
        plan: within the limits.
        limits: of the request.
    """

    def __init__(self, model: Served, plan: Plan, limits: Limits) -> None:
        self.model, self.plan, self._limits = model, plan, limits
        self.warnings = check_plan(plan, model.bundle)
        self._sink, self._stop = _Handed(len(plan.cells)), StopRequest()
        self.timed_out = False

    @property
    def accepted(self) -> int:
        """Faces found so far."""
        return sum(tally.accepted for tally in self._sink.tallies)

    @property
    def draws(self) -> int:
        """Draws taken so far."""
        return sum(tally.next_draw for tally in self._sink.tallies)

    @property
    def wanted(self) -> int:
        """Faces asked for."""
        return self.plan.count

    def __iter__(self) -> Iterator[Face]:
        """Draw, and give each face when it has passed. Leaving off early stops the work.

        Raises:
            BundleError: a file of the bundle is damaged.
        """
        ends = time.monotonic() + self._limits.seconds
        with ThreadPoolExecutor(1) as worker:
            done = worker.submit(self._fill)
            try:
                while True:
                    try:
                        found = self._sink.faces.get(timeout=max(0.0, ends - time.monotonic()) or 0.05)
                    except queue.Empty:
                        self.timed_out = self._stop.asked = True
                        continue
                    if found is None:
                        break
                    yield self._public(*found)
            finally:
                self._stop.asked = True
            done.result()

    def _fill(self) -> None:
        try:
            sampler = self.model.sampler
            with ThreadPoolExecutor(1) as encoder:
                for index in range(len(self.plan.cells)):
                    fill_cell(sampler, self.plan, index, self._sink, self._stop, encoder, None)
        finally:
            self._sink.faces.put(None)

    def _public(self, cell: int, face: Drawn) -> Face:
        names = self.model.bundle.vocabulary.names
        return Face(
            file=face.file,
            draw=face.draw,
            seed=face.seed,
            requested=dict(self.plan.cells[cell].request),
            condition=dict(zip(names, face.condition.astype(float).tolist(), strict=True)),
            probability=dict(zip(names, face.verifier.astype(float).tolist(), strict=True)),
            png=face.png(),
        )
