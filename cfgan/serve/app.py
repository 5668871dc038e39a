"""The server: pages for people, an API for programs, nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cfgan.serve import pages, photo, problems, v1
from cfgan.serve import shown as shown_folders
from cfgan.serve.limits import Limits
from cfgan.serve.render import FOLDER
from cfgan.serve.safety import SafetyMiddleware
from cfgan.serve.work import Served, Turns
from cfgan.version import __version__

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def create_app(
    models: Mapping[str, Served],
    *,
    hosts: Sequence[str] = LOOPBACK,
    limits: Limits | None = None,
    shown: Sequence[Path] = (),
) -> FastAPI:
    """The application, ready for an ASGI server.

    Args:
        models: name -> model that is served; the first is the default.
        hosts: names under which it may be asked; a request with another Host header is refused, so that no page of
            another site can reach it by a name that it points here (DNS rebinding).
        limits: of a request.
        shown: folders whose batches, test sets and reports are shown.

    Raises:
        InputError: one of ``shown`` is no folder.
    """
    limits = limits or Limits()
    app = FastAPI(title="cfgan", version=__version__, docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json")
    app.state.models, app.state.limits, app.state.turns = dict(models), limits, Turns(limits.waiting)
    app.state.faces, app.state.shown = photo.FaceFinder(), shown_folders.check_shown(shown)
    for room in (v1, pages, photo, shown_folders):
        app.include_router(room.router)
    problems.install(app)
    style = (FOLDER / "style.css").read_bytes()

    @app.get("/style.css", include_in_schema=False)
    def stylesheet() -> Response:
        return Response(style, media_type="text/css")

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(SafetyMiddleware, body=limits.spec, images=limits.body, seconds=limits.upload)
    return app
