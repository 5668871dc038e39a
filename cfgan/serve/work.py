"""Drawing for people who wait: one request at a time, a bounded queue, faces handed on as they pass."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from cfgan.api.faces import Face
from cfgan.attributes.spec import Plan
from cfgan.errors import CfganError, RequestError
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

    Raises:
        RequestError: nothing is asked for.
    """

    def __init__(self, model: Served, plan: Plan, limits: Limits) -> None:
        if not plan.cells:
            raise RequestError("nothing is asked for.", field="attributes")
        self.model, self.plan, self._limits = model, plan, limits
        self.warnings: list[str] = []
        self._sink, self._stop = _Handed(len(plan.cells)), StopRequest()
        self._done: Future[None] | None = None
        self.timed_out = False

    @property
    def accepted(self) -> int:
        """Faces found so far."""
        return sum(tally.accepted for tally in self._sink.tallies)

    @property
    def draws(self) -> int:
        """Draws taken so far."""
        return sum(self.taken)

    @property
    def taken(self) -> list[int]:
        """Draws taken so far for each request of the plan."""
        return [tally.next_draw for tally in self._sink.tallies]

    @property
    def wanted(self) -> int:
        """Faces asked for."""
        return self.plan.count

    @contextmanager
    def begun(self, turns: Turns) -> Iterator[None]:
        """Wait for a turn, then draw while the block takes the faces; leaving it early stops the work.

        The turn ends with the drawing, not with the block: who reads slowly, or not at all, keeps nobody waiting.

        Raises:
            BusyError: too many wait already.
            RequestError: a request that contradicts itself. How rare one is takes a while to find out, hence the turn.
        """
        with ExitStack() as turn:
            turn.enter_context(turns.taken())
            self.warnings = check_plan(self.plan, self.model.bundle)
            with ThreadPoolExecutor(1, "draw") as worker:
                self._done = worker.submit(self._fill, turn.pop_all())
                try:
                    yield
                finally:
                    self._stop.asked = True

    def __iter__(self) -> Iterator[Face]:
        """Each face when it has passed. Raises BundleError: a file of the bundle is damaged."""
        return (face for _, face in self.placed())

    def placed(self) -> Iterator[tuple[int, Face]]:
        """The same, each with the place of its request in the plan."""
        while (found := self._sink.faces.get()) is not None:
            yield found[0], self._public(*found)
        if self._done is not None:
            self._done.result()

    def _fill(self, turn: ExitStack) -> None:
        late = threading.Timer(self._limits.seconds, self._end)
        late.daemon = True
        try:
            with turn, ThreadPoolExecutor(1, "encode") as encoder:
                late.start()
                for index in range(len(self.plan.cells)):
                    fill_cell(self.model.sampler, self.plan, index, self._sink, self._stop, encoder, None)
        finally:
            late.cancel()
            self._sink.faces.put(None)

    def _end(self) -> None:
        self.timed_out = self._stop.asked = True

    def _public(self, cell: int, face: Drawn) -> Face:
        """With the figures of a batch's manifest, so that they are the same wherever the face was asked for."""
        names, png = self.model.bundle.vocabulary.names, face.png()
        row = face.row(png)
        return Face(
            file=face.file,
            draw=face.draw,
            seed=face.seed,
            requested=dict(self.plan.cells[cell].request),
            condition=dict(zip(names, row["condition"], strict=True)),
            probability=dict(zip(names, row["verifier"], strict=True)),
            png=png,
        )
