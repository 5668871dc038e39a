"""``cfgan serve``: the pages and the API."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cfgan.model.default import DEFAULT
from cfgan_cli.options import Device, EngineName, Quiet, on
from cfgan_cli.output import exit_codes, message

_CONNECTIONS = 256  # open at a time; more are answered with 503
_GOODBYE = 5  # seconds that answers under way have when the server is ended


def serve(
    bundles: Annotated[
        list[str] | None, typer.Option("--bundle", help="A shipped bundle's name, or a folder; repeat for several.")
    ] = None,
    show: Annotated[
        list[Path] | None,
        typer.Option(
            "--show", help="Also show a batch, a test set or a report, or a folder of them; repeat for several."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Others than this machine's own need --allow.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8000,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="A host name under which others may ask, such as faces.lan; repeat for several."),
    ] = None,
    most: Annotated[int, typer.Option("--max-faces", min=1, max=10_000, help="Most faces in one request.")] = 256,
    seconds: Annotated[
        float,
        typer.Option(min=1, max=3600, help="Time that a request may take, in seconds; then it stops with what it has."),
    ] = 60.0,
    waiting: Annotated[int, typer.Option(min=0, max=1000, help="Requests that may wait; more are sent away.")] = 8,
    engine: EngineName = "auto",
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Serve pages to explore faces, and an API, on this machine.

    Nothing is loaded from outside and nothing is sent there; no script runs in the pages. What is uploaded
    stays in memory and is gone after the answer. Needs the extra: pip install 'cfgan[serve]'.
    """
    with exit_codes():
        import uvicorn

        from cfgan.errors import InputError
        from cfgan.model.bundle import open_bundle
        from cfgan.serve.app import LOOPBACK, create_app
        from cfgan.serve.limits import Limits
        from cfgan.serve.shown import check_shown
        from cfgan.serve.work import Served

        check_hosts(host, allow or [])
        shown = check_shown(show or [])
        models: dict[str, Served] = {}
        for opened in [open_bundle(name) for name in bundles or [DEFAULT]]:
            if opened.name in models:
                raise InputError("two bundles have this name.", field="--bundle", value=opened.name)
            models[opened.name] = Served(opened, on(engine, device))
        limits = Limits(faces=most, draws=max(Limits.draws, 20 * most), seconds=seconds, waiting=waiting)
        app = create_app(models, hosts=[*LOOPBACK, *(allow or [])], limits=limits, shown=shown)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_GOODBYE,
        )
        with _listening(host, port) as listener:
            if not quiet:
                name = f"[{host}]" if ":" in host else host
                message(f"http://{name}:{listener.getsockname()[1]}/  (Ctrl-C ends it)")
            uvicorn.Server(config).run(sockets=[listener])


def check_hosts(host: str, allow: Sequence[str]) -> None:
    """Raise InputError: an address for others without a name for them, or a name that is none."""
    from cfgan.errors import InputError

    for name in allow:
        if name != "*" and not re.fullmatch(r"(\*\.)?[\w-]+(\.[\w-]+)*|\[[0-9a-fA-F:.]+\]", name):
            text = f"{name!r} is not a host name: no port, no path, * only in front, as in *.example.com."
            raise InputError(text, field="--allow", value=name)
    if not _is_loopback(host) and not allow:
        raise InputError(
            "others can reach this address: name the host under which they may ask with --allow.",
            field="--host",
            value=host,
            nearest=["127.0.0.1"],
        )


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises InputError: the port is taken, or no such address here."""
    from cfgan.errors import InputError

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:  # gaierror is one
        text = f"{host}:{port} cannot be listened on ({error.strerror or error})."
        raise InputError(text, field="--port", value=port, nearest=[0]) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
