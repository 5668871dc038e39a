"""``cfgan serve``: what is wrong is said before anything listens, and the address that is printed is the one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cfgan
from cfgan.model.bundle import Bundle
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

runner = CliRunner()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "name the host"),
        (["--allow", "faces.lan:80"], "no port"),
        (["--allow", "a*b"], "not a host name"),
        (["--show", "nowhere"], "not a folder"),
        (["--bundle", "TINY", "--bundle", "TINY"], "two bundles have this name"),
        (["--bundle", "TINY", "--port", "TAKEN"], "cannot be listened on"),
    ],
)
def test_what_is_wrong_is_said_at_the_start(options: list[str], said: str, tiny_bundle: Bundle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = {"TINY": str(tiny_bundle.path), "TAKEN": str(taken.getsockname()[1])}
        result = runner.invoke(app, ["serve", *(words.get(word, word) for word in options)])
    assert result.exit_code == 2 and re.search(said, " ".join(result.stderr.split())), result.stderr


def test_the_printed_address_answers_until_it_is_stopped(tiny_bundle: Bundle, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cfgan", "serve", "--bundle", str(tiny_bundle.path), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
        try:
            assert process.stderr is not None
            found = re.match(r"(http://127\.0\.0\.1:\d+)/", process.stderr.readline())
            assert found and len(cfgan.connect(found[1]).generate("Red", count=2)) == 2
        finally:
            process.send_signal(signal.SIGINT)
        left = process.stderr.read()
        # 0 where this test runs in the background of a shell, which has its children ignore SIGINT after uvicorn.
        assert process.wait(30) in (0, 130) and "Traceback" not in left, left
