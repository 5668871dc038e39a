"""What the external witnesses see in real faces, against their labels: prints one table.

    python benchmarks/witnesses.py STORE --face-api package --write

STORE is a packed store of CelebA at the size of the bundle's faces. Of each witness: accuracy and balanced accuracy
with 95 % intervals (Wilson; Newcombe for balanced), over the faces of which it can say something. With --write the
counts go into cfgan/external/real_faces.json, which reports take their ceilings from.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from cfgan.data.store import open_store
from cfgan.external.detector import FaceFinder, found
from cfgan.external.opening import open_witnesses
from cfgan.external.real_faces import FILE, count_readings, to_json
from cfgan.io.files import write_json
from cfgan.stats.rates import Rate, balanced


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--face-api", type=Path, help="the unpacked npm package")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--write", action="store_true", help=f"write {FILE.name}")
    options = parser.parse_args()
    store = open_store(options.store)
    rows = store.rows(options.split)
    levels, labels = np.asarray(store.images[rows]), np.asarray(store.labels[rows])
    start = time.perf_counter()
    boxes = FaceFinder()(levels)
    seconds = time.perf_counter() - start
    witnesses, missing = open_witnesses(options.face_api)
    for sentence in missing:
        print(sentence)
    face = Rate.of(found(boxes))
    share = _percent(face.value, face.interval())
    print(f"a face is found in {share} of {face.n:,}, {len(levels) / seconds:.0f} images/s\n")
    print("| witness | attribute | accuracy | balanced | seen with it | seen without it | no word | images/s |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    readings = {}
    for witness in witnesses:
        start = time.perf_counter()
        probability = witness(levels, boxes)
        seconds = time.perf_counter() - start
        row = readings[witness] = count_readings(
            witness, probability, labels[:, store.vocabulary.index(witness.attribute)]
        )
        yes, no = Rate(*row.rate(1.0)), Rate(*row.rate(-1.0))
        both, right = balanced(yes, no), yes + no
        cells = [
            witness.name,
            witness.attribute,
            _percent(right.value, right.interval()),
            _percent(both["rate"], both["interval"]),
            f"{row.yes[0]:,} of {row.yes[1]:,}",
            f"{row.no[0]:,} of {row.no[1]:,}",
            f"{row.unsaid:,}",
            f"{len(levels) / seconds:.0f}",
        ]
        print(f"| {' | '.join(cells)} |")
    if options.write:
        about = {"data": store.digest, "split": options.split, "images": len(rows), "size": store.size}
        write_json(FILE, to_json(about, boxes, readings))


def _percent(rate: float, interval: tuple[float, float] | list[float]) -> str:
    return f"{100 * rate:.1f} % ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


if __name__ == "__main__":
    main()
