"""Errors as problem details (RFC 9457): type, title, status, detail, and which field, value and nearest valid ones."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cfgan.errors import CfganError, InputError
from cfgan.serve.work import BusyError

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, **more: Any) -> JSONResponse:
    """A response that says what is wrong."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    headers = {"Retry-After": "5"} if status == HTTPStatus.TOO_MANY_REQUESTS else None
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def status_of(error: CfganError) -> int:
    """422 for what was sent, 429 for a full queue, 500 for what is wrong here."""
    if isinstance(error, InputError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.TOO_MANY_REQUESTS if isinstance(error, BusyError) else HTTPStatus.INTERNAL_SERVER_ERROR


def problem_of(error: CfganError) -> JSONResponse:
    """An error of the library as a response; one that is no fault of the sender's names no file of the server."""
    if isinstance(error, InputError):
        value = None if error.value is None else str(error.value)[:200]
        return problem(status_of(error), str(error), field=error.field, value=value, nearest=list(error.nearest))
    if isinstance(error, BusyError):
        return problem(status_of(error), str(error))
    return problem(status_of(error), "the model or the disk of the server failed; its log says how.")


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""

    @app.exception_handler(CfganError)
    def _of_library(_request: Request, error: CfganError) -> JSONResponse:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    def _of_request(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part not in ("query", "body"))
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: {first['msg']}.", field=field)

    @app.exception_handler(HTTPException)
    def _of_http(_request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail))
