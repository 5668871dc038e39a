"""Commands run in processes of their own that are stopped, killed or run out of disk, and what became of their output.

A process is forked from a server that has loaded the libraries, so that a try takes as long as the work and no longer.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = int(os.environ.get("CFGAN_CAMPAIGN", "25"))
ASKED = pytest.mark.skipif("CFGAN_CAMPAIGN" not in os.environ, reason="minutes: make campaign")
TRIES = max(1, EXAMPLES // 25)
"""Of each command; a quick one in the ordinary suite."""

HANGS = 300  # seconds of its own work, or of waiting for nothing, after which a command is taken to hang

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["numpy", "pandas", "PIL.Image", "torch", "onnxruntime", "safetensors", "scipy.optimize", "matplotlib.pyplot"]
    + ["cfgan.assemble.build", "cfgan.balance.run", "cfgan.reports.batch.report", "cfgan.testsets.building.build"]
    + ["cfgan.training.gan", "cfgan.training.classifier", "cfgan_cli.app"]
)


@dataclass(frozen=True)
class Command:
    """A command that writes ``out`` into the folder that it runs in.

    Attributes:
        name: as a person types it.
        arguments: all of them.
        changing: regular expression of files that differ between undisturbed runs, for they hold times.
        codes: exit codes of an undisturbed run.
    """

    name: str
    arguments: tuple[object, ...]
    changing: str = r"(?!)"
    codes: tuple[int, ...] = (0,)


@dataclass
class Tally:
    """What became of the tries of one command; ``stops`` are the signals that found it at work."""

    command: str
    tries: int = 0
    stops: int = 0
    lost: int = 0
    repeated: int = 0
    tracebacks: int = 0
    hangs: int = 0
    remarks: list[str] = field(default_factory=list)

    def row(self) -> str:
        counts = (self.tries, self.lost, self.repeated, self.tracebacks, self.hangs)
        name = f"{self.command}, {self.stops} stops" if self.stops else self.command
        return f"| {name} | " + " | ".join(map(str, counts)) + " |"

    def sound(self) -> bool:
        return not (self.lost or self.repeated or self.tracebacks or self.hangs)


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code (-9 when killed, None when it had to be), what it wrote to stderr, seconds."""

    code: int | None
    said: str
    seconds: float


def run(
    command: Command,
    folder: Path,
    *,
    stop: tuple[signal.Signals, float | Callable[[], bool]] | None = None,
    most_bytes: int | None = None,
    said: str = "stderr.txt",
) -> Ended:
    """Run a command in a folder.

    Args:
        command: what is run.
        folder: where.
        stop: a signal, and after how many seconds, or once what is so, it is sent.
        most_bytes: no file may grow beyond it.
        said: name of the file that stderr goes to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    err = folder / said
    err.unlink(missing_ok=True)
    receive, send = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(
        target=_child, args=([*command.name.split(), *map(str, command.arguments)], str(err), send, most_bytes)
    )
    process.start()
    send.close()
    receive.recv_bytes()
    begun = time.monotonic()
    if stop is not None:
        moment = stop[1]
        if callable(moment):
            while process.is_alive() and not moment():
                time.sleep(0.01)
        else:
            process.join(moment)
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, stop[0])
    _wait(process)
    seconds = time.monotonic() - begun
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    receive.close()
    return Ended(code, err.read_text(errors="replace") if err.exists() else "", seconds)


def _wait(process: Any) -> None:
    """Wait until a process ends or hangs. On a busy machine one that is not let work does not hang."""
    worked, idle = 0.0, time.monotonic()
    while process.exitcode is None:
        process.join(1)
        found = _worked(process.pid)
        if found > worked:
            worked, idle = found, time.monotonic()
        if worked > HANGS or time.monotonic() - idle > HANGS:
            return


def _worked(pid: int) -> float:
    """Seconds of processor time that a process has had; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child(arguments: list[str], err: str, ready: Connection, most_bytes: int | None) -> None:
    from cfgan_cli import stop
    from cfgan_cli.main import main

    os.chdir(Path(err).parent)
    os.environ["OMP_NUM_THREADS"] = "1"
    for number, name in ((1, os.devnull), (2, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
    if arguments[:2] == ["data", "align"]:  # faces of dots and what finds them, instead of people and dlib
        from framing_helpers import Dots

        from cfgan.external import landmarks

        landmarks.FaceLandmarks = Dots  # type: ignore[misc, assignment]
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell ignores in what it runs in the background
    stop.listen()
    ready.send_bytes(b"go")
    sys.argv = ["cfgan", *arguments]
    code: object = 0
    try:
        main()
    except SystemExit as end:
        stop.ignore()
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


Content = dict[str, str]


def content(folder: Path) -> Content:
    """sha256 of every file below ``out``, whether that is a folder or a file; what lies beside it by its name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not re.fullmatch(r"stderr\d?\.txt", name):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def differences(command: Command, whole: Content, found: Content) -> list[str]:
    """Names of the files that an undisturbed run has and this does not, has otherwise, or has beyond it."""
    changing = re.compile(command.changing)
    return [
        name
        for name in sorted({*whole, *found})
        if (name in whole) != (name in found) or (whole[name] != found[name] and not changing.search(name))
    ]


_PIECE = re.compile(r'"((?:[\w-]+/)*[\w.-]+\.(?:png|jpg))"')


def stored(folder: Path) -> dict[Path, int]:
    """The images that the journal of an unfinished folder says are stored, and what tells whether one is made anew."""
    journal = folder / "out" / "journal.jsonl"
    if not journal.exists():
        return {}
    names = _PIECE.findall(journal.read_text(errors="replace").rpartition("\n")[0])
    paths = [path for name in names for path in (folder / "out" / name, folder / "out" / "images" / name)]
    return {path: path.stat().st_ino for path in paths if path.is_file()}


def logged_twice(folder: Path) -> bool:
    """Whether a run's log has an entry a second time."""
    log = folder / "out" / "stats.jsonl"
    if not log.exists():
        return False
    images = [json.loads(line).get("images") for line in log.read_text().splitlines()]
    return len(images) != len(set(images))


def kill_and_go_on(
    command: Command, folder: Path, whole: Content, seconds: float, rng: random.Random, tally: Tally
) -> None:
    """One try: up to three stops at moments of their own, then the same command until it ends; counted."""
    tally.tries += 1
    kept: dict[Path, int] = {}
    for _ in range(rng.randint(1, 3)):
        number = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
        ended = run(command, folder, stop=(number, rng.uniform(0, 1.1 * seconds)))
        tally.stops += ended.code in (130, -9)
        _judge(ended, (*command.codes, 130, -9), tally)
        if number != signal.SIGKILL and ended.code == 130 and "topped" not in ended.said:
            tally.remarks.append(f"a stop without a word: {ended.said[-200:]!r}")
        _compare_stored(kept, tally)
        kept |= stored(folder)
    ended = run(command, folder)
    _judge(ended, command.codes, tally)
    _compare_stored(kept, tally)
    if found := differences(command, whole, content(folder)):
        tally.lost += 1
        tally.remarks.append(f"not as undisturbed: {found[:4]}")
    if logged_twice(folder):
        tally.repeated += 1
        tally.remarks.append("logged twice")


def _compare_stored(kept: dict[Path, int], tally: Tally) -> None:
    if gone := [path.name for path in kept if not path.exists()]:
        tally.lost += 1
        tally.remarks.append(f"stored and gone: {gone[:4]}")
    if again := [path.name for path, node in kept.items() if path.exists() and path.stat().st_ino != node]:
        tally.repeated += 1
        tally.remarks.append(f"made anew: {again[:4]}")


def _judge(ended: Ended, codes: tuple[int, ...], tally: Tally) -> None:
    if ended.code is None:
        tally.hangs += 1
        tally.remarks.append("hangs")
    elif "Traceback" in ended.said:
        tally.tracebacks += 1
        tally.remarks.append(f"traceback: {ended.said[-600:]!r}")
    elif ended.code not in codes:
        tally.lost += 1
        tally.remarks.append(f"exit code {ended.code}: {ended.said[-300:]!r}")


judge_end = _judge


def show(tally: Tally, say: Callable[[str], None]) -> None:
    """A row of the table, and under it what was not as it should be."""
    say(tally.row())
    for remark in tally.remarks[:20]:
        say(f"    {remark}")


def conclude(tally: Tally, capsys: pytest.CaptureFixture[str]) -> None:
    """Print the row, whatever else is captured, and fail unless everything was as it should be."""
    with capsys.disabled():
        show(tally, lambda line: print(f"\n{line}", end=""))
    assert tally.sound(), tally
