"""A server in a thread of the tests, on a free port of this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import cfgan
from cfgan.serve.app import create_app
from cfgan.serve.work import Served


@contextlib.contextmanager
def serving(model: cfgan.Model, **settings: Any) -> Iterator[str]:
    """The address of a server of a model; it is ended with the block."""
    import uvicorn

    app = create_app({model.name: Served(model.bundle, "cpu")}, **settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
