"""Ctrl-C and SIGTERM outside the work that stops at a safe point: one sentence and exit code 130, at any moment."""

from __future__ import annotations

import signal
from types import FrameType

EXIT_STOPPED = 130


class Stopped(BaseException):
    """A stop was asked for where nothing waits for it. Not an Exception: no library may take it for its own fault."""


_asked = False


def asked() -> bool:
    """Whether a stop was asked for: what fails after that may have failed for it."""
    return _asked


def listen() -> None:
    """From here on a signal raises :class:`Stopped` in the main thread."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells have it in the background
            signal.signal(number, _stop)


def ignore() -> None:
    """The process is about to end: further signals change nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    raise Stopped
