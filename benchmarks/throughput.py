"""How fast faces are made, against the bare networks: prints one table.

    python benchmarks/throughput.py --faces 10000

The bare rate is generator and verifier forward passes alone, on the same draws, in the same process and with the same
chunk size. The whole job adds prior, latents, encoding, flushing every file to the disk, manifest and checksums.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does; OpenMP reads it when torch is loaded

import torch

from cfgan.attributes.spec import make_plan
from cfgan.generate.job import generate
from cfgan.generate.sampling import CHUNK
from cfgan.model.bundle import Bundle, open_bundle


def bare_rate(bundle: Bundle, draws: int) -> float:
    """Draws a second of generator plus verifier alone."""
    generator, verifier = bundle.generator(), bundle.verifier()
    z = torch.randn(CHUNK, bundle.z_dim)
    condition = torch.randint(0, 2, (CHUNK, len(bundle.vocabulary))).float() * 2 - 1
    with torch.inference_mode():
        for _ in range(3):
            verifier(generator(z, condition))
        start = time.perf_counter()
        for _ in range(max(1, draws // CHUNK)):
            verifier(generator(z, condition))
        return max(1, draws // CHUNK) * CHUNK / (time.perf_counter() - start)


def whole_rate(bundle: Bundle, faces: int, folder: Path) -> tuple[float, int]:
    """Draws a second of the whole job without rejection, and the peak resident memory in MiB."""
    plan = make_plan(
        {"count": faces, "seed": 1, "verify": {"enabled": False}}, bundle.vocabulary, latents=bundle.latents
    )
    start = time.perf_counter()
    generate(bundle, plan, folder)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="celeba64")
    parser.add_argument("--faces", type=int, default=10_000)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    scratch = Path(tempfile.mkdtemp(prefix="cfgan-bench-"))
    try:
        rows = [("threads", f"{torch.get_num_threads()}")]
        small, memory_small = whole_rate(bundle, 1000, scratch / "small")
        before = bare_rate(bundle, options.faces // 4)
        whole, memory = whole_rate(bundle, options.faces, scratch / "large")
        bare = (before + bare_rate(bundle, options.faces // 4)) / 2
        rows += [
            ("bare generator + verifier, images/s", f"{bare:,.0f}"),
            ("whole job, 1,000 faces, images/s", f"{small:,.0f}"),
            (f"whole job, {options.faces:,} faces, images/s", f"{whole:,.0f}"),
            ("whole job against bare", f"{whole / bare:.0%}"),
            ("peak memory after 1,000 faces, MiB", f"{memory_small:,}"),
            (f"peak memory after {options.faces:,} faces, MiB", f"{memory:,}"),
            ("cfgan --help, s", f"{whole_process(['--help']):.2f}"),
        ]
        attrs = ["--attrs", "Male,Smiling,Eyeglasses", "-n", "32", "--bundle", str(options.bundle), "--quiet"]
        places = iter(range(99))
        times = [whole_process(["generate", *attrs, "--out", str(scratch / f"run{next(places)}")], 1) for _ in range(3)]
        rows.append(("32 verified Male,Smiling,Eyeglasses, whole process, s", f"{sorted(times)[1]:.2f}"))
        print("| what | figure |\n|---|--:|")
        for name, value in rows:
            print(f"| {name} | {value} |")
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
