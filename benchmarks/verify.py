"""How fast `cfgan verify` reads a folder of PNGs, against the bare classifier: prints one table.

    python benchmarks/verify.py --images 10000

The bare rate is the verifier's forward pass alone on tensors that are ready, in the same batches and with as many
threads. The whole command lists the folder, decodes, classifies, calibrates and writes a CSV; its rate is given with
and without the start of Python and torch. The images are drawn with the bundle and then linked under as many names.
Rates are medians of rounds that take turns, for on a shared machine they drift. Processor time an image says what a
rate does not while other work fills the cores: then nothing is decoded beside the classifier, only in turn with it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does; OpenMP reads it when torch is loaded

import torch

from cfgan.attributes.spec import make_plan
from cfgan.generate.job import generate
from cfgan.model.bundle import Bundle, open_bundle

BATCH = 32


def bare_rate(bundle: Bundle, by: str, images: int) -> tuple[float, float]:
    """Images a second of the classifier alone, and its processor seconds an image."""
    network = bundle.judge() if by == "judge" else bundle.verifier()
    if network is None:
        raise SystemExit(f"{bundle.name} has no {by}")
    batch = torch.randn(BATCH, 3, bundle.size, bundle.size).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        for _ in range(3):
            network(batch)
        count = max(1, images // BATCH) * BATCH
        start, processor = time.perf_counter(), time.process_time()
        for _ in range(count // BATCH):
            network(batch)
        return count / (time.perf_counter() - start), (time.process_time() - processor) / count


def draw_folder(bundle: Bundle, drawn: int, images: int, scratch: Path) -> Path:
    """A folder of ``images`` PNGs, ``drawn`` of them different."""
    plan = make_plan(
        {"count": drawn, "seed": 1, "verify": {"enabled": False}}, bundle.vocabulary, latents=bundle.latents
    )
    generate(bundle, plan, scratch / "batch")
    faces = sorted((scratch / "batch" / "images").iterdir())
    folder = scratch / "folder"
    folder.mkdir()
    for k in range(images):
        os.link(faces[k % drawn], folder / f"{k:07d}.png")
    return folder


def whole_rate(bundle: str, by: str, folder: Path, out: Path) -> tuple[float, float, float, int]:
    """Images a second of the command without and with its start, processor seconds, peak memory in MiB so far."""
    command = [sys.executable, "-m", "cfgan_cli.main", "verify", str(folder), "--bundle", bundle, "--by", by]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, "--out", str(out), "--json"], check=True, stdout=subprocess.PIPE)
    wall = time.perf_counter() - start
    result = json.loads(done.stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result["read"] / result["seconds"], result["read"] / wall, processor, after.ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="celeba64")
    parser.add_argument("--by", default="verifier", choices=["verifier", "judge"])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--drawn", type=int, default=500, help="different images among them, fewer than --images")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    scratch = Path(tempfile.mkdtemp(prefix="cfgan-bench-"))
    try:
        drawn = min(options.drawn, options.images // 2)
        folder = draw_folder(bundle, drawn, options.images, scratch)
        *_, start_up, memory_small = whole_rate(options.bundle, options.by, scratch / "batch", scratch / "small.csv")
        bare, whole = [], []
        for turn in range(options.rounds):
            bare.append(bare_rate(bundle, options.by, options.images // 2))
            whole.append(whole_rate(options.bundle, options.by, folder, scratch / f"{turn}.csv"))
            bare.append(bare_rate(bundle, options.by, options.images // 2))
        alone, alone_processor = (statistics.median(column) for column in zip(*bare, strict=True))
        reading, started, processor, memory = (statistics.median(column) for column in zip(*whole, strict=True))
        an_image = (processor - start_up) / (options.images - drawn)  # what starting costs is in both
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        rows = [
            (
                "threads of torch; cores; load of the machine",
                f"{torch.get_num_threads()}; {os.cpu_count()}; {load:.1f}",
            ),
            (f"bare {options.by}, images/s", f"{alone:,.0f}"),
            (f"`cfgan verify`, {options.images:,} PNGs, images/s", f"{reading:,.0f}"),
            ("against bare", f"{reading / alone:.0%}"),
            ("the same, start of the process included, images/s", f"{started:,.0f}"),
            ("processor time an image, bare, ms", f"{1000 * alone_processor:.2f}"),
            ("processor time an image, `cfgan verify`, ms", f"{1000 * an_image:.2f}"),
            (f"peak memory, {drawn:,} images, MiB", f"{memory_small:,.0f}"),
            (f"peak memory, {options.images:,} images, MiB", f"{memory:,.0f}"),
        ]
        print("| what | figure |\n|---|--:|")
        for name, value in rows:
            print(f"| {name} | {value} |")
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
