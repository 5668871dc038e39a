"""How long large test sets take, and how much memory: tables and scores are drawn, no face is generated.

    python benchmarks/testset_scale.py --pairs 100000 --enrolled 10000

Each command runs in a process of its own; time is that of the processor, memory the most that the process held.
``nearest`` is the choice of the most similar others among so many embedded faces, which ``testset build`` makes.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cfgan.io.files import write_json
from cfgan.testsets.folder import CHECKSUMS, FORMAT, MANIFEST, PROTOCOL, Mated, Pair, open_testset, write_pairs
from cfgan.testsets.scores.identification import identification_protocol

STRATA = ("random", "matched", "nearest")
CHANGES = ("Smiling", "Eyeglasses")
FOLDS = 10

_NEAREST = """
import numpy as np
from cfgan.testsets.building.nearest import nearest_pairs
vectors = np.random.default_rng(0).normal(size=({faces}, 128)).astype(np.float32) * 0.05
found = nearest_pairs(vectors, 1, 2, 10, 4, 0.4)
print(len(found.pairs))
"""


def image(subject: int, number: int = 1) -> str:
    return f"images/s{subject:06d}/s{subject:06d}_{number:04d}.png"


def drawn_pairs(count: int) -> Iterator[Pair]:
    """Comparisons as a `matched` set with two changes has them: a fifth of them in each stratum."""
    rng = np.random.default_rng(0)
    subjects = max(100, count // (len(STRATA) + len(CHANGES)))
    numbers = itertools.count(1)
    for subject in range(subjects):
        group, fold = f"s{subject:06d}", subject % FOLDS + 1

        def pair(
            b: str,
            mated: Mated,
            stratum: str,
            *values: str,
            subject: int = subject,
            group: str = group,
            fold: int = fold,
        ) -> Pair:
            name = f"p{next(numbers):06d}"
            alike = -0.3 if mated == "presumed" else -0.8
            return Pair(name, image(subject), b, mated, stratum, group, values, (), (), alike, fold)

        yield pair(image(subjects + subject), "0", "random")
        for stratum in STRATA[1:]:
            other = (subject + FOLDS * int(rng.integers(1, subjects // FOLDS))) % subjects
            yield pair(image(other), "0", stratum, "Male", "Eyeglasses")
        for place, change in enumerate(CHANGES, start=2):
            yield pair(image(subject, place), "presumed", change, "Male")


def write_set(folder: Path, pairs: Sequence[Pair]) -> None:
    """The tables of a set, of whose images there are only the names."""
    folder.mkdir()
    write_pairs(folder, pairs)
    write_json(folder / MANIFEST, {"format": FORMAT, "design": "matched"})
    write_json(folder / PROTOCOL, {"folds": FOLDS})
    files = sorted({name for pair in pairs for name in (pair.a, pair.b)})
    (folder / CHECKSUMS).write_text("".join(f"{'0' * 64}  {name}\n" for name in files))
    rng = np.random.default_rng(1)
    with (folder / "attributes.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "subject", "seed", "draw", *(f"verifier.{k}" for k in range(40)), "quality.sharpness"])
        for name in files:
            writer.writerow([name, name.split("/")[1], 0, 0, *[0.5] * 40, f"{rng.gamma(2.0):.6f}"])


def measured(name: str, arguments: Sequence[object]) -> dict[str, object]:
    """A command in a process of its own."""
    process = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}")
    return {
        "what": name,
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / 1024),
    }


def write_matrix(path: Path, probes: int, mate: np.ndarray, enrolled: int) -> None:
    """Similarities of all probes and enrolled people, float32, written row by row."""
    rng = np.random.default_rng(2)
    with path.open("wb") as handle:  # not mapped: a process that is started counts the memory of the one that starts it
        about = {"descr": "<f4", "fortran_order": False, "shape": (probes, enrolled)}
        np.lib.format.write_array_header_1_0(handle, about)
        for k in range(probes):
            row = rng.normal(size=enrolled)
            if mate[k] >= 0:
                row[mate[k]] += 5
            handle.write(row.astype("<f4").tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--enrolled", type=int, default=10_000)
    parser.add_argument("--nearest", type=int, default=10_000, help="faces among which the most similar are looked for")
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pairs = list(drawn_pairs(args.pairs))
        write_set(folder / "set", pairs)
        rng = np.random.default_rng(3)
        score = rng.normal(size=len(pairs)) + np.asarray([4.0 * (pair.mated != "0") for pair in pairs])
        lines = [f"{pair.pair},{value:.6f}" for pair, value in zip(pairs, score, strict=True)]
        (folder / "scores.csv").write_text("\n".join(["pair,score", *lines]) + "\n")
        score_set = ("-m", "cfgan", "testset", "score", folder / "set", folder / "scores.csv")
        many = ("--resamples", args.resamples, "-q")
        show(measured(f"score, {len(pairs):,} comparisons", (*score_set, *many, "--out", folder / "report")))
        show(measured("score, two systems", (*score_set, folder / "scores.csv", *many)))
        write_set(folder / "many", list(drawn_pairs(5 * args.enrolled)))
        protocol = identification_protocol(open_testset(folder / "many"))
        probes = len(protocol.probes)
        write_matrix(folder / "matrix.npy", probes, protocol.mate, len(protocol.enrolled))
        what = f"identify, {probes:,} probes by {len(protocol.enrolled):,} enrolled"
        identify = ("-m", "cfgan", "testset", "identify", folder / "many", folder / "matrix.npy", "--json")
        show(measured(what, identify))
        code = _NEAREST.format(faces=args.nearest)
        show(measured(f"nearest of {args.nearest:,} faces", ("-c", code)))


def show(row: dict[str, object]) -> None:
    """A line of JSON, as soon as it is known."""
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
