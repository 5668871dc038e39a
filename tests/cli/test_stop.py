"""A stop is one sentence and exit code 130 from the first line of ``main`` on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cfgan.errors import BundleError, DataError, InputError
from cfgan_cli import stop
from cfgan_cli.app import app
from cfgan_cli.output import exit_codes

pytestmark = pytest.mark.slow

START = "from cfgan_cli.main import main\nimport signal, cfgan_cli.stop as stop\n"
START += "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"  # which a shell ignores in what it runs in the background
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
    for kind in (BundleError, DataError):
        assert len(str(kind(f"a.csv has {value}, which it should not."))) < 300


@pytest.mark.parametrize(
    "arguments", [["generate", "x"], ["x"], ["generate", "--x"], ["data", "stats", "a", "--workers", "x"]]
)
def test_errors_of_usage_repeat_little_of_what_was_typed(arguments: list[str]) -> None:
    said = CliRunner().invoke(app, [*arguments[:-1], arguments[-1] * 90_000]).stderr
    assert "Error" in said and len(said) < 1000


def test_what_libraries_warn_of_is_one_line_without_their_code(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with exit_codes():
            warnings.warn("the palette\x1b[31m has no end", UserWarning, stacklevel=1)
    said = capsys.readouterr().err
    assert said == "the palette\\x1b[31m has no end\n" and __file__ not in said


@pytest.mark.parametrize("arguments", [["--help"], ["attributes"], ["attributes", "--json"]])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_an_output_that_takes_nothing_is_one_sentence(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "cfgan", *arguments]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1 and ended.stderr.startswith("Error: ") and ended.stderr.count("\n") == 1, ended


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
def test_closed_streams_are_no_fault(closed: tuple[int, ...]) -> None:
    command = "; ".join(f"exec {stream}>&-" for stream in closed) + f"; exec {sys.executable} -m cfgan attributes"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended


SWALLOWED = """
import os, signal, sys, time, types
from cfgan_cli.main import main
signal.signal(signal.SIGINT, signal.SIG_DFL)

class Freed:
    def __del__(self):  # whatever is raised here is dropped by Python
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)

def work():
    Freed()
    time.sleep(60)

sys.modules["cfgan_cli.app"] = types.SimpleNamespace(app_for=lambda arguments: work)
main()
"""


def test_a_stop_that_python_drops_is_not_lost() -> None:
    ended = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, timeout=50)
    assert (ended.returncode, ended.stderr) == (130, "Stopped.\n")
