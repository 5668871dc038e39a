"""A stop is one sentence and exit code 130 from the first line of ``main`` on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cfgan.errors import BundleError, InputError
from cfgan_cli import stop
from cfgan_cli.output import exit_codes

pytestmark = pytest.mark.slow

START = "from cfgan_cli.main import main\nimport sys, cfgan_cli.stop as stop\n"
START += "stop.listen()\nprint('go', flush=True)\nmain()\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.0, 0.2, 0.6, 1.5])
def test_a_stop_during_the_start_is_one_sentence(number: signal.Signals, delay: float) -> None:
    command = [sys.executable, "-c", START, "attributes", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "go\n"
        time.sleep(delay)
        os.kill(process.pid, number)
        shown, said = process.communicate(timeout=120)
    if process.returncode != 130:  # it was done; a signal while Python itself ends finds no handler any more
        assert process.returncode in (0, -number) and said == "" and json.loads(shown), said
    else:
        assert said == "Stopped.\n"


def test_what_fails_for_a_stop_is_not_blamed_on_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "_asked", True)
    with pytest.raises(stop.Stopped), exit_codes():
        raise BundleError("a sound bundle is damaged")


def test_errors_repeat_little_of_what_they_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    value = "x" * 90_000
    error = InputError(f"{value!r} is no attribute; {value} neither.", field="--attrs", value=value, nearest=[value])
    assert len(str(error)) < 1000 and error.value == value
