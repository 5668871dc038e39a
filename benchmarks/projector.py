"""How many people a projection keeps, and how many edits of it are seen: the table of docs/benchmarks.md.

    python benchmarks/projector.py --store STORE -n 100

Projects validation faces of a packed store, which are framed already, as `cfgan project` does, then edits each: every
attribute named is turned to the opposite of what the judge sees in the projection. Identity is measured by dlib's
recogniser, edits by the judge; neither took part in the search. Nothing of a face is written.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from cfgan.data.store import open_store
from cfgan.external.face_embedder import FaceEmbedder
from cfgan.external.operating_points import similarity_at
from cfgan.generate.projection.condition import read_condition
from cfgan.generate.projection.edits import edit
from cfgan.generate.projection.identity import FMR
from cfgan.generate.projection.projector import Projector
from cfgan.model.bundle import open_bundle
from cfgan.model.engines import open_engine
from cfgan.verify.reader import readers_of

EDITS = ("Smiling", "Eyeglasses", "Mouth_Slightly_Open", "Bangs", "Blond_Hair", "Male")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="packed store with validation rows")
    parser.add_argument("--bundle", default="celeba64")
    parser.add_argument("-n", type=int, default=100, help="faces")
    parser.add_argument("--steps", type=int, help="of the search; default: as `cfgan project` takes")
    parser.add_argument("--seed", type=int, default=2, help="of the choice of faces")
    parser.add_argument("--together", type=int, default=1, help="faces searched for at a time; more is faster")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bundle, store = open_bundle(given.bundle), open_store(given.store)
    rows = np.random.default_rng(given.seed).permutation(np.asarray(store.rows("validation")))[: given.n]
    photos = np.asarray(store.images[np.sort(rows)])
    projector, embedder = Projector(bundle), FaceEmbedder()
    verifier, judge = readers_of(bundle, open_engine(bundle, "cpu"))
    threshold = -similarity_at("fmr", FMR)
    distances, errors, seconds, agreed = [], [], [], []
    seen: dict[str, list[bool]] = {name: [] for name in EDITS}
    still: dict[str, list[bool]] = {name: [] for name in EDITS}
    for start in range(0, len(photos), given.together):
        part = photos[start : start + given.together]
        begun = time.process_time()
        codes = projector.project(part, read_condition(verifier, part), steps=given.steps)
        seconds.append((time.process_time() - begun) / len(part))
        drawn = projector.render(codes)
        before = judge.seen(drawn)
        agreed.append(before == judge.seen(part))
        errors.append(np.abs(drawn.astype(int) - part).mean((1, 2, 3)))
        people = embedder(part).vectors

        def distance(images: np.ndarray, whose: np.ndarray) -> np.ndarray:
            """To the photos; beyond every threshold where no face is found."""
            shown = embedder(images)
            return np.where(shown.found, np.linalg.norm(shown.vectors - whose, axis=1), np.inf)

        distances += distance(drawn, people).tolist()
        for name in EDITS:
            place = bundle.vocabulary.index(name)
            for value in (1.0, -1.0):
                chosen = np.flatnonzero(before[:, place] == (value < 0))
                if not len(chosen):
                    continue
                done = edit(projector, codes.of(chosen), {name: value}, verifier).pixels
                seen[name] += (judge.seen(done)[:, place] == (value > 0)).tolist()
                still[name] += (distance(done, people[chosen]) < threshold).tolist()
    with_what = f"features of {projector.features}, {bundle.name} {bundle.digest[:12]}"
    print(f"{len(photos)} faces, {projector.steps if given.steps is None else given.steps} steps, {with_what}")
    print()
    print("| what | measured |\n|---|--:|")
    print(f"| the person is kept (dlib, FMR 1 %) | {100 * np.mean(np.asarray(distances) < threshold):.0f} % |")
    print(f"| identity distance, median | {np.median(distances):.3f} |")
    print(f"| pixel error, mean of 255 levels | {np.concatenate(errors).mean():.1f} |")
    print(f"| the judge sees the same attributes as in the photo | {100 * np.concatenate(agreed).mean():.1f} % |")
    print(
        f"| seconds of one core a face, {given.together} searched for at a time, median | {np.median(seconds):.1f} |\n"
    )
    print("| edit | seen by the judge | near the photo by the same threshold |\n|---|--:|--:|")
    for name in EDITS:
        print(f"| {name} turned | {100 * np.mean(seen[name]):.0f} % | {100 * np.mean(still[name]):.0f} % |")
    print(f"| all | {100 * np.mean(sum(seen.values(), [])):.0f} % | {100 * np.mean(sum(still.values(), [])):.0f} % |")


if __name__ == "__main__":
    main()
