"""Errors as problem details (RFC 9457): type, title, status, detail, and which field, value and nearest valid ones.

A page answers with a page that says the same.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from cfgan.errors import CfganError, InputError
from cfgan.serve.work import BusyError

MEDIA_TYPE = "application/problem+json"
BROKEN = "the model or the disk of the server failed; its log says how."

HEADERS = {
    # Nothing is loaded from anywhere else, no script runs, and no other site frames the page or gets its forms.
    "content-security-policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""What every answer carries unless it says otherwise."""

_log = logging.getLogger("cfgan.serve")


def problem(status: int, detail: str, **more: Any) -> JSONResponse:
    """A response that says what is wrong."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(_sendable(body), status, _more_headers(status), media_type=MEDIA_TYPE)


def _more_headers(status: int) -> dict[str, str]:
    return {**HEADERS, **({"retry-after": "5"} if status == HTTPStatus.TOO_MANY_REQUESTS else {})}


def _sendable(value: Any) -> Any:
    """Half a surrogate pair, which JSON may hold and UTF-8 cannot, becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _sendable(item) for key, item in value.items()}
    return [_sendable(item) for item in value] if isinstance(value, list) else value


def status_of(error: CfganError) -> int:
    """422 for what was sent, 429 for a full queue, 500 for what is wrong here."""
    if isinstance(error, InputError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.TOO_MANY_REQUESTS if isinstance(error, BusyError) else HTTPStatus.INTERNAL_SERVER_ERROR


def words_of(error: CfganError) -> dict[str, Any]:
    """What an error tells whoever asked; one that is no fault of theirs names no file of the server, and is logged."""
    if isinstance(error, InputError):
        field = error.field and error.field.removeprefix("--")  # here it is no option of a command
        value = None if error.value is None else str(error.value)[:200]
        detail = str(error).removeprefix("--") if error.field else str(error)
        kind = type(error).__name__
        return {"detail": detail, "field": field, "value": value, "nearest": list(error.nearest), "error": kind}
    if isinstance(error, BusyError):
        return {"detail": str(error)}
    _log.error("%s", error)
    return {"detail": BROKEN}


def problem_of(error: CfganError) -> JSONResponse:
    """An error of the library as a response."""
    return problem(status_of(error), **words_of(error))


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem, or with a page where one was asked for."""

    def answer(request: Request, status: int, detail: str, **more: Any) -> Response:
        from cfgan.serve.render import render

        if request.url.path.startswith("/v1/") or "text/html" not in request.headers.get("accept", ""):
            return problem(status, detail, **more)
        page = render("error.html.j2", here="", query="", error=_sendable(detail), title=HTTPStatus(status).phrase)
        return HTMLResponse(page, status, _more_headers(status))

    @app.exception_handler(CfganError)
    def _of_library(request: Request, error: CfganError) -> Response:
        return answer(request, status_of(error), **words_of(error))

    @app.exception_handler(RequestValidationError)
    def _of_request(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part not in ("query", "body"))
        detail = f"{field}: {first['msg']}." if field else f"{first['msg']}."
        return answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, field=field or None)

    @app.exception_handler(HTTPException)
    def _of_http(request: Request, error: HTTPException) -> Response:
        found = answer(request, error.status_code, str(error.detail))
        found.headers.update(error.headers or {})
        return found

    @app.exception_handler(Exception)
    def _of_ours(request: Request, error: Exception) -> Response:
        return answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "the server made a mistake; its log says which.")
