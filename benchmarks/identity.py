"""How well a face embedder tells people apart on real pairs: the operating points that test sets are screened by.

    python benchmarks/identity.py --data stores/celeba64 --identities CelebA/identity_CelebA.txt
    python benchmarks/identity.py --data ... --identities ... --human-models package

People are split in two halves: thresholds are chosen on the pairs of one half, the error rates that they give are
reported on those of the other. Writes ``cfgan/external/dlib_resnet.json``, or with --human-models ``faceres.json``
(figures only; of images of 128 pixels those with ``_128`` in their names), and prints it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from cfgan.data.store import open_store
from cfgan.external.face_embedder import Embedder, FaceEmbedder
from cfgan.external.operating_points import FILES, measure_operating_points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a packed store")
    parser.add_argument("--identities", type=Path, required=True, help="lines of file name and person number")
    parser.add_argument("--images", type=int, default=4000, help="images embedded at most")
    parser.add_argument("--cache", type=Path, help="where embeddings are kept between two runs (.npz)")
    parser.add_argument("--human-models", type=Path, help="the unpacked npm package: measure its network faceres")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    store = open_store(args.data)
    person = dict(line.split() for line in args.identities.read_text().splitlines() if line.strip())
    people = np.asarray([int(person[name]) for name in store.files])
    rows = people_with_several(people, args.images)
    embedder: Embedder = FaceEmbedder()
    if args.human_models:
        from cfgan.external.human_models import FaceresEmbedder

        embedder = FaceresEmbedder(args.human_models)
    if args.cache and args.cache.exists():
        with np.load(args.cache, allow_pickle=False) as kept:
            if not np.array_equal(kept["rows"], rows):
                raise SystemExit(f"{args.cache} holds other images")
            vectors, found = kept["vectors"], kept["found"]
    else:
        embedded = embedder(store.images[rows])
        vectors, found = embedded.vectors, embedded.found
        if args.cache:
            np.savez(args.cache, rows=rows, vectors=vectors, found=found)
    points = measure_operating_points(vectors, people[rows])
    points |= {"embedder": embedder.name, "digest": embedder.digest, "size": store.size}
    points |= {
        "images": len(rows),
        "face_found": round(float(found.mean()), 4),
        "data": f"CelebA, aligned, {store.size} x {store.size}",
    }
    (args.out or FILES[embedder.name][store.size]).write_text(json.dumps(points, indent=2) + "\n")
    print(json.dumps(points, indent=2))


def people_with_several(people: np.ndarray, most: int) -> np.ndarray:
    """Rows of people with two images and more, in an order that depends on nothing but the people; three a person."""
    rng = np.random.default_rng(0)
    names, counts = np.unique(people, return_counts=True)
    chosen: list[int] = []
    for name in rng.permutation(names[counts > 1]):
        chosen += rng.permutation(np.flatnonzero(people == name))[:3].tolist()
        if len(chosen) >= most:
            break
    return np.sort(np.asarray(chosen[:most]))


if __name__ == "__main__":
    main()
