"""What the external classifiers see in real faces, against their labels: prints one table.

    python benchmarks/external_classifiers.py STORE --face-api package --write

STORE is a packed store of CelebA at the size of the bundle's faces. Of each classifier: accuracy and balanced accuracy
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
from cfgan.external.opening import open_external_classifiers
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
    external_classifiers, missing = open_external_classifiers(options.face_api)
    for sentence in missing:
        print(sentence)
    face = Rate.of(found(boxes))
    share = _percent(face.value, face.interval())
    print(f"a face is found in {share} of {face.n:,}, {len(levels) / seconds:.0f} images/s\n")
    print("| witness | attribute | accuracy | balanced | seen with it | seen without it | no word | images/s |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    readings = {}
    for classifier in external_classifiers:
        start = time.perf_counter()
        probability = classifier(levels, boxes)
        seconds = time.perf_counter() - start
        row = readings[classifier] = count_readings(
            classifier, probability, labels[:, store.vocabulary.index(classifier.attribute)]
        )
        yes, no = Rate(*row.rate(1.0)), Rate(*row.rate(-1.0))
        both, right = balanced(yes, no), yes + no
        cells = [
            classifier.name,
            classifier.attribute,
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
