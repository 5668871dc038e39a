"""``cfgan serve``: the page and the API."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import typer

from cfgan_cli.options import Device, EngineName, Quiet, on
from cfgan_cli.output import exit_codes, message


def serve(
    bundles: Annotated[
        list[str] | None, typer.Option("--bundle", help="A shipped bundle's name, or a folder; repeat for several.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Others than this machine's own need --allow.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8000,
    allow: Annotated[
        list[str] | None, typer.Option(help="A host name under which others may ask; repeat for several.")
    ] = None,
    most: Annotated[int, typer.Option("--max-faces", min=1, max=10_000, help="Faces of one request.")] = 256,
    seconds: Annotated[float, typer.Option(min=1, help="After which a request stops with what it has.")] = 60.0,
    waiting: Annotated[int, typer.Option(min=0, max=1000, help="Requests that may wait; more are sent away.")] = 8,
    engine: EngineName = "auto",
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Serve a page to explore faces, and an API, on this machine.

    Nothing is loaded from outside and nothing is sent there; no script runs in the page. What is uploaded
    stays in memory and is gone after the answer. Needs the extra: pip install 'cfgan[serve]'.
    """
    with exit_codes():
        import uvicorn

        from cfgan.errors import InputError
        from cfgan.model.bundle import open_bundle
        from cfgan.serve.app import LOOPBACK, create_app
        from cfgan.serve.limits import Limits
        from cfgan.serve.work import Served

        if not _is_loopback(host) and not allow:
            raise InputError(
                "others can ask an address that is not this machine's own: name the host under which with --allow.",
                field="--host",
                value=host,
                nearest=["127.0.0.1"],
            )
        opened = [open_bundle(name) for name in bundles or ["celeba64"]]
        models = {bundle.name: Served(bundle, on(engine, device)) for bundle in opened}
        limits = Limits(faces=most, seconds=seconds, waiting=waiting)
        app = create_app(models, hosts=[*LOOPBACK, *(allow or [])], limits=limits)
        if not quiet:
            message(f"http://{host}:{port}/  (Ctrl-C ends it)")
        uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
