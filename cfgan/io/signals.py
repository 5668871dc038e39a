"""Stopping long work at a safe point on Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from cfgan.errors import StoppedError


class StopRequest:
    """A context in which SIGINT and SIGTERM only set a flag, so that the work inside stops where nothing is lost.

    A second signal raises KeyboardInterrupt at once, for work that does not come to a safe point. Outside the main
    thread no handler can be set, and nothing is asked.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, Any] = {}

    def raise_if_asked(self, how_to_go_on: str) -> None:
        """Raise StoppedError if a stop was asked for. Call it only where everything done is saved."""
        if self.asked:
            raise StoppedError(f"stopped; {how_to_go_on}.")

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._previous[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, previous in self._previous.items():
            signal.signal(signum, previous)
        self._previous.clear()
