"""Workers that are killed while they make shards: replaced, nothing lost or repeated, the same bytes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from campaign_helpers import TRIES

from cfgan.model.bundle import Bundle

pytestmark = [
    pytest.mark.timeout(0),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc"),
]

KILLS = 3  # of workers, in a run
TWO = ("--processes", "2")


def command(bundle: Bundle, request: str, count: int) -> list[str]:
    """All of it but the folder that the shards go into."""
    line = [sys.executable, "-m", "cfgan", "generate", "-a", request, "-n", str(count), "--seed", "5", "-q"]
    return [*line, "--bundle", str(bundle.path), "--shards", "tar", "--shard-draws", "64", "--out"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def children(process: int) -> list[int]:
    """Process numbers of its workers, the one that keeps count of what they share left out."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == process and b"spawn_main" in (status.parent / "cmdline").read_bytes():
                found.append(int(status.parent.name))
    return found


@pytest.mark.slow
def test_killed_workers_change_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    line = command(tiny_bundle, "Red,-Striped", 2500)
    subprocess.run([*line, str(tmp_path / "calm")], check=True)
    whole = contents(tmp_path / "calm")
    chance, killed = random.Random(1), 0
    for number in range(TRIES):
        out = tmp_path / str(number)
        running = subprocess.Popen([*line, str(out), *TWO])
        for _ in range(KILLS):
            before = len(list(out.glob("*.done.json")))
            while running.poll() is None and len(list(out.glob("*.done.json"))) <= before + chance.randrange(6):
                time.sleep(0.01)
            if running.poll() is None and (workers := children(running.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    killed += 1
        assert running.wait(300) == 0
        assert contents(out) == whole
    assert killed


@pytest.mark.slow
def test_a_killed_command_leaves_no_workers_and_goes_on(tiny_bundle: Bundle, tmp_path: Path) -> None:
    line = command(tiny_bundle, "Red", 3000)
    subprocess.run([*line, str(tmp_path / "calm")], check=True)
    whole = contents(tmp_path / "calm")
    for name, kind, code in (("term", signal.SIGTERM, 130), ("kill", signal.SIGKILL, -signal.SIGKILL)):
        out = tmp_path / name
        running = subprocess.Popen([*line, str(out), *TWO])
        while len(list(out.glob("*.done.json"))) < 3:
            time.sleep(0.01)
        workers = children(running.pid)
        running.send_signal(kind)
        assert running.wait(60) == code
        deadline = time.monotonic() + 20
        while (left := [each for each in workers if Path(f"/proc/{each}").exists()]) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left
        subprocess.run([*line, str(out), *TWO], check=True)
        assert contents(out) == whole
