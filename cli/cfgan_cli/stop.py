"""Ctrl-C and SIGTERM outside the work that stops at a safe point: one sentence and exit code 130, at any moment."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

EXIT_STOPPED = 130

_AGAIN = 2.0  # seconds after which a stop that came to nothing is raised again


class Stopped(BaseException):
    """A stop was asked for where nothing waits for it. Not an Exception: no library may take it for its own fault."""


_asked = False


def asked() -> bool:
    """Whether a stop was asked for: what fails after that may have failed for it."""
    return _asked


def listen() -> None:
    """From here on a signal raises :class:`Stopped` in the main thread.

    Python drops what is raised while it frees an object, as in the midst of an import; then it is raised again.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells have it in the background
            signal.signal(number, _stop)
    sys.unraisablehook = _unraisable


def ignore() -> None:
    """The process is about to end: further signals change nothing."""
    _remind(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    _remind(_AGAIN)
    raise Stopped


def _remind(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _stop if seconds else signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _unraisable(dropped: Any, /) -> None:
    if not isinstance(dropped.exc_value, Stopped):
        sys.__unraisablehook__(dropped)
