"""Answers that are sent piece by piece, and let go of what they hold however they end."""

from __future__ import annotations

from collections.abc import Generator
from itertools import chain

import anyio
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send


class Streamed(StreamingResponse):
    """Text, a part as soon as it is made.

    The first part is made at once, so that what goes wrong before it is an answer of its own and not half of one. When
    the other side goes away, the generator is closed: a request that nobody waits for keeps no turn.

    Args:
        parts: a generator of text; runs in a thread.
        media_type: of the answer.
    """

    def __init__(self, parts: Generator[str, None, None], media_type: str) -> None:
        self._parts = parts
        first = next(parts, "")
        # A chain holds the generator without closing it: only __call__ does, and never in two threads at once.
        super().__init__(chain([first], parts), media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(self._parts.close)
