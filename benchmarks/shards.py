"""Many faces by each way that shards are made: rate, memory, and whether the bytes are the same; also under kill -9.

    python benchmarks/shards.py --faces 200000 --ways one,processes,ray --out runs/shards [--bundle anime64]
    python benchmarks/shards.py --faces 20000 --ways one,processes --kills 10 --shard-draws 512 --out runs/killed

Each way is the whole command, start-up included. Memory is what all its processes hold by themselves, the most of the
first and of the second half of the run. With ``--kills`` that many random processes of it, the head among them, are
killed at random moments, 2 to 15 seconds apart; where the head dies the same command is given again. Shards must be
made faster than that: five workers in a row that die before they have made one end the command.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WAYS = {"one": [], "processes": ["--processes", "2"], "ray": ["--ray", "local"]}
_LOOK = 0.5  # seconds between two looks at the memory


@dataclass
class Run:
    """One way: what it took and what it made."""

    seconds: float = 0.0
    megabytes: list[float] = field(default_factory=list)
    killed: int = 0
    again: int = 0

    @property
    def halves(self) -> tuple[float, float]:
        """The most memory in the first and in the second half."""
        middle = len(self.megabytes) // 2
        return max(self.megabytes[:middle], default=0.0), max(self.megabytes[middle:], default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=200_000)
    parser.add_argument("--ways", default="one,processes,ray")
    parser.add_argument("--bundle", default="anime64")
    parser.add_argument("--attrs", default="any")
    parser.add_argument("--kind", default="tar")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--shard-draws", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng, first = random.Random(options.seed), ""
    kills = " killed, given again |" if options.kills else ""
    print(f"| way | faces | seconds | faces/s | MiB, first half, second half | index |{kills}", flush=True)
    print(f"|---|--:|--:|--:|--:|---|{'--:|' if options.kills else ''}", flush=True)
    for way in options.ways.split(","):
        out = options.out / way
        shutil.rmtree(out, ignore_errors=True)
        command = [sys.executable, "-m", "cfgan_cli.main", "generate", "--attrs", options.attrs, "-n", options.faces]
        command += ["--bundle", options.bundle, "--shards", options.kind, "--out", out, "-q", *WAYS[way]]
        command += ["--shard-draws", options.shard_draws]
        run = watched([str(part) for part in command], options.kills if first else 0, rng)
        index = hashlib.sha256((out / "index.json").read_bytes()).hexdigest()[:12]
        first = first or index
        same = "the same" if index == first else "ANOTHER"
        told = f" {run.killed}, {run.again} |" if options.kills else ""
        print(
            f"| {way} | {options.faces:,} | {run.seconds:.0f} | {options.faces / run.seconds:.0f} "
            f"| {run.halves[0]:.0f}, {run.halves[1]:.0f} | {index}, {same} |{told}",
            flush=True,
        )


def watched(command: list[str], kills: int, rng: random.Random) -> Run:
    """Run a command to its end, again where its head was killed. Raises SystemExit: it failed by itself."""
    run, start = Run(), time.perf_counter()
    while True:
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        ended = follow(process, run, kills, rng)
        if ended == 0:
            run.seconds = time.perf_counter() - start
            return run
        if ended != -signal.SIGKILL:
            raise SystemExit(f"{' '.join(command)} ended with {ended}")
        run.again += 1
        wipe(process.pid)


def follow(process: subprocess.Popen[bytes], run: Run, kills: int, rng: random.Random) -> int:
    """Until it ends, look at its memory and kill what is to be killed. Returns its exit status."""
    due = time.monotonic() + rng.uniform(2, 15)
    while True:
        try:
            return process.wait(_LOOK)
        except subprocess.TimeoutExpired:
            pass
        alive = [process.pid, *children(process.pid)]
        run.megabytes.append(sum(map(held, alive)))
        if run.killed < kills and time.monotonic() >= due:
            victim, due = rng.choice(alive), time.monotonic() + rng.uniform(2, 15)
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
            run.killed += 1


def wipe(head: int) -> None:
    """What the head of a killed run left behind, which is of its session."""
    try:
        os.killpg(head, signal.SIGKILL)
    except ProcessLookupError:
        return


def children(pid: int) -> Iterator[int]:
    """All processes below one."""
    try:
        direct = [int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in _words(task / "children")]
    except OSError:
        return
    for child in direct:
        yield child
        yield from children(child)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def held(pid: int) -> float:
    """MiB that a process holds by itself, files and shared memory not counted."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


if __name__ == "__main__":
    main()
