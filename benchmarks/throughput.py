"""How fast faces are made by each engine, against its bare networks: prints one table.

    python benchmarks/throughput.py --faces 10000

The bare rate is generator and verifier alone, on the same draws, in the same process and with the same chunk size. The
whole job adds prior, latents, encoding, flushing every file to the disk, manifest and checksums. Each engine is
measured in a process of its own; the whole process includes its start.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does; OpenMP reads it when torch is loaded

import numpy as np

from cfgan.attributes.spec import make_plan
from cfgan.generate.job import generate
from cfgan.generate.sampling import CHUNK
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.model.engine import Engine
from cfgan.model.engines import has_graphs, open_engine


def bare_rate(engine: Engine, bundle: Bundle, draws: int) -> float:
    """Draws a second of generator plus verifier alone."""
    generator, verifier = engine.generator(), engine.classifier("verifier")
    rng = np.random.default_rng(0)
    z = rng.standard_normal((CHUNK, bundle.z_dim)).astype(np.float32)
    condition = rng.choice(np.asarray([-1, 1], np.float32), (CHUNK, len(bundle.vocabulary)))
    for _ in range(3):
        verifier.logits(generator(z, condition))
    start = time.perf_counter()
    for _ in range(max(1, draws // CHUNK)):
        verifier.logits(generator(z, condition))
    return max(1, draws // CHUNK) * CHUNK / (time.perf_counter() - start)


def whole_rate(bundle: Bundle, device: str, faces: int, folder: Path) -> tuple[float, int]:
    """Draws a second of the whole job without rejection, and the peak resident memory in MiB."""
    settings = {"count": faces, "seed": 1, "verify": {"enabled": False}}
    plan = make_plan(settings, bundle.vocabulary, latents=bundle.latents)
    start = time.perf_counter()
    generate(bundle, plan, folder, device=device)
    seconds = time.perf_counter() - start
    return faces / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def whole_process(arguments: list[str], repeats: int = 3) -> float:
    """Median wall seconds of a command line, start-up included."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cfgan_cli.main", *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def measure(bundle: Bundle, name: str, faces: int) -> dict[str, Any]:
    """The figures of one engine, title -> text; in a process that computes with no other."""
    engine, device = open_engine(bundle, f"{name}:cpu"), f"{name}:cpu"
    scratch = Path(tempfile.mkdtemp(prefix="cfgan-bench-"))
    try:
        small, memory_small = whole_rate(bundle, device, 1000, scratch / "small")
        whole, memory = whole_rate(bundle, device, faces, scratch / "large")
        bare = bare_rate(engine, bundle, faces // 2)  # afterwards: its networks are others, and count as memory too
        attrs = ["--attrs", "Male,Smiling,Eyeglasses", "-n", "32", "--bundle", str(bundle.path), "--engine", name]
        places = iter(range(99))
        times = [
            whole_process(["generate", *attrs, "--quiet", "--out", str(scratch / f"run{next(places)}")], 1)
            for _ in range(5)
        ]
    finally:
        shutil.rmtree(scratch)
    return {
        "bare generator + verifier, images/s": f"{bare:,.0f}",
        "whole job, 1,000 faces, images/s": f"{small:,.0f}",
        f"whole job, {faces:,} faces, images/s": f"{whole:,.0f}",
        "whole job against bare": f"{whole / bare:.0%}",
        "peak memory after 1,000 faces, MiB": f"{memory_small:,}",
        f"peak memory after {faces:,} faces, MiB": f"{memory:,}",
        "32 verified Male,Smiling,Eyeglasses, whole process, s": f"{sorted(times)[2]:.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="celeba64")
    parser.add_argument("--faces", type=int, default=10_000)
    parser.add_argument("--only", help=argparse.SUPPRESS)  # an engine: its figures as JSON
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    if options.only:
        print(json.dumps(measure(bundle, options.only, options.faces)))
        return
    found = {}
    for name in ("onnxruntime", "torch") if has_graphs(bundle) else ("torch",):
        command = [sys.executable, __file__, "--bundle", options.bundle, "--faces", str(options.faces), "--only", name]
        found[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"| what | {' | '.join(found)} |\n|---|{'--:|' * len(found)}")
    for title in next(iter(found.values())):
        print(f"| {title} | {' | '.join(figures[title] for figures in found.values())} |")
    start = f"{whole_process(['--help']):.2f}"
    print(f"| cfgan --help, s | {' | '.join([start] * len(found))} |")


if __name__ == "__main__":
    main()
