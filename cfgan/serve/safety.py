"""What no request gets around: no other site asks through a browser, and what is sent is bounded in bytes and time."""

from __future__ import annotations

import time

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cfgan.serve.problems import HEADERS, problem

_IMAGES = ("/v1/verify", "/photo")  # where they are sent; everything else is text


class SafetyMiddleware:
    """Adds the headers, and refuses what comes from pages of other sites and bodies that are too large or too slow.

    Args:
        app: what answers.
        body: bytes of a body at most, said or sent.
        images: the same where an image is sent.
        seconds: until the whole body must be there.
    """

    def __init__(self, app: ASGIApp, body: int, images: int, seconds: float) -> None:
        self._app, self._body, self._images, self._seconds = app, body, images, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._images if scope["path"] in _IMAGES else self._body
        too_large = f"more than {most:,} bytes were sent."
        received, more, ends = 0, True, time.monotonic() + self._seconds

        async def bounded() -> Message:
            nonlocal received, more
            if not more:  # the body is there; what comes now is that the other side goes away
                return await receive()
            with anyio.move_on_after(max(0.0, ends - time.monotonic())):
                message = await receive()
                received, more = received + len(message.get("body", b"")), message.get("more_body", False)
                if received > most:
                    raise HTTPException(413, too_large)
                return message
            raise HTTPException(408, f"the body was not there after {self._seconds:g} seconds.")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        said = headers.get("content-length", "0")
        if is_foreign(scope["method"], headers):
            await problem(403, "a page of another site may not ask this server.")(scope, receive, with_headers)
        elif said.isdecimal() and int(said) > most:
            await problem(413, too_large)(scope, receive, with_headers)
        else:
            await self._app(scope, bounded, with_headers)


def is_foreign(method: str, headers: Headers) -> bool:
    """Whether a browser asks because a page of another site made it; a link that a person follows is no such thing."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return True
    followed = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    followed = followed and headers.get("sec-fetch-dest") in (None, "document")
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not followed
