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

KILLS = 3  # of workers, in a run


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
@pytest.mark.timeout(0)
def test_killed_workers_change_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("there is no /proc")
    line = [sys.executable, "-m", "cfgan", "generate", "-a", "Red,-Striped", "-n", "4000", "--seed", "5", "-q"]
    line += ["--bundle", str(tiny_bundle.path), "--shards", "tar", "--shard-draws", "64", "--out"]
    subprocess.run([*line, str(tmp_path / "calm")], check=True)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "calm").iterdir()}
    chance, killed = random.Random(1), 0
    for number in range(TRIES):
        out = tmp_path / str(number)
        running = subprocess.Popen([*line, str(out), "--processes", "2"])
        for _ in range(KILLS):
            before = len(list(out.glob("*.done.json")))
            while running.poll() is None and len(list(out.glob("*.done.json"))) <= before + chance.randrange(6):
                time.sleep(0.01)
            if running.poll() is None and (workers := children(running.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    killed += 1
        assert running.wait(300) == 0
        assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    assert killed


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_a_killed_command_leaves_no_workers_and_goes_on(tiny_bundle: Bundle, tmp_path: Path) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("there is no /proc")
    line = [sys.executable, "-m", "cfgan", "generate", "-a", "Red", "-n", "3000", "-q", "--processes", "2"]
    line += ["--bundle", str(tiny_bundle.path), "--shards", "tar", "--shard-draws", "64", "--out"]
    subprocess.run([*line, str(tmp_path / "calm")], check=True)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "calm").iterdir()}
    for name, kind, code in (("term", signal.SIGTERM, 130), ("kill", signal.SIGKILL, -signal.SIGKILL)):
        out = tmp_path / name
        running = subprocess.Popen([*line, str(out)])
        while len(list(out.glob("*.done.json"))) < 3:
            time.sleep(0.01)
        workers = children(running.pid)
        running.send_signal(kind)
        assert running.wait(60) == code
        deadline = time.monotonic() + 20
        while (left := [each for each in workers if Path(f"/proc/{each}").exists()]) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left
        subprocess.run([*line, str(out)], check=True)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
