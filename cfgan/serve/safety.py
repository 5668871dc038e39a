"""What every answer carries and no request gets around: headers against other sites, and a bound on what is sent."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cfgan.serve.problems import problem

_HEADERS = {
    # Nothing is loaded from anywhere else, no script runs, and no other site frames the page or gets its forms.
    "content-security-policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class SafetyMiddleware:
    """Adds the headers and refuses bodies above a number of bytes, said or sent."""

    def __init__(self, app: ASGIApp, body: int) -> None:
        self._app, self._body = app, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._body:
                raise _TooLargeError
            return message

        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = problem(413, f"more than {self._body:,} bytes were sent.")
        said = Headers(scope=scope).get("content-length", "0")
        if said.isdecimal() and int(said) > self._body:
            await refusal(scope, receive, with_headers)
            return
        try:
            await self._app(scope, bounded, with_headers)
        except _TooLargeError:
            if not started:
                await refusal(scope, receive, with_headers)


class _TooLargeError(Exception):
    """A body that went on above the bound."""
