"""The server: pages for people, an API for programs, nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cfgan.serve import pages, problems, v1
from cfgan.serve.limits import Limits
from cfgan.serve.safety import SafetyMiddleware
from cfgan.serve.work import Served, Turns
from cfgan.version import __version__

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def create_app(
    models: Mapping[str, Served], *, hosts: Sequence[str] = LOOPBACK, limits: Limits | None = None
) -> FastAPI:
    """The application, ready for an ASGI server.

    Args:
        models: name -> model that is served; the first is the default.
        hosts: names under which it may be asked; a request with another Host header is refused, so that no page of
            another site can reach it by a name that it points here (DNS rebinding).
        limits: of a request.
    """
    limits = limits or Limits()
    app = FastAPI(title="cfgan", version=__version__, docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json")
    app.state.models, app.state.limits, app.state.turns = dict(models), limits, Turns(limits.waiting)
    app.include_router(v1.router)
    app.include_router(pages.router)
    problems.install(app)
    style = (Path(__file__).parent / "templates" / "style.css").read_bytes()

    @app.get("/style.css", include_in_schema=False)
    def stylesheet() -> Response:
        return Response(style, media_type="text/css")

    app.add_middleware(SafetyMiddleware, body=limits.body)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    return app
