"""Is starting from a bundle worth it? Images seen until a fixed quality is reached, from noise and from a bundle.

    cfgan data pack CELEBA --out stores/celeba64
    python benchmarks/transfer.py --data stores/celeba64 --out runs/transfer --threads 1

Two targets of 2,000 training images: one kind of face out of the store (near; the bundle has seen those very images,
among others), and drawn faces (far; it has never seen a drawing). Quality is the Fréchet distance over the features of
the bundle's judge, between faces drawn for the labels of held-out images of the target and those images. All runs go
forward together; what is done is kept in `transfer.json`, and the same command goes on. The table is written to
`transfer.md`.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from cfgan.data.drawn.dataset import drawn_faces
from cfgan.data.read.splits import Shares
from cfgan.data.store import PackedDataset, open_store, pack
from cfgan.evaluation.card import draw_levels
from cfgan.evaluation.extractors import ClassifierExtractor, extract
from cfgan.evaluation.fidelity import frechet_distance
from cfgan.evaluation.requests import RequestSet
from cfgan.generate.sampling import latents
from cfgan.io.files import make_folder, read_json_object, write_json, write_text
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.model.torch_engine import TorchGenerator
from cfgan.networks.classifier import load_frozen
from cfgan.networks.families import make_generator
from cfgan.networks.shape import GanShape
from cfgan.training.config import GanConfig, load_config
from cfgan.training.gan import train_gan

RECIPE = Path(__file__).parents[1] / "cfgan/training/recipes/celeba64.yaml"
TRAIN = 2_000  # training images of a target
HELD_OUT = 500  # its held-out images, at most
LATENTS = 3  # sets of latents over which a distance is averaged
CPU = torch.device("cpu")
# Constant rates, so that a run can go on past every checkpoint; the average follows at the pace of short runs.
SETTINGS = ["learning_rate_hold=1.0", "ema_images=1000", "device=cpu", "sample_images=4096", "save_images=1000000"]
SETTINGS += ["features=null", "ema_more=[]", "warmup_images=0"]


def one_kind(store: PackedDataset, kind: str) -> PackedDataset:
    """The faces of a store that carry an attribute: the first 2,000 for training, validation ones held out."""
    carries = store.labels[:, store.vocabulary.index(kind)] > 0
    train, held = (np.flatnonzero(carries & (store.split == number)) for number in (0, 1))
    rows = np.concatenate([train[:TRAIN], held[:HELD_OUT]])
    digest = hashlib.sha256(f"{store.digest} {kind} {len(rows)}".encode()).hexdigest()
    return dataclasses.replace(
        store,
        images=np.asarray(store.images[rows]),
        labels=store.labels[rows],
        split=store.split[rows],
        files=tuple(store.files[row] for row in rows),
        digest=digest,
    )


def drawn(folder: Path, size: int) -> PackedDataset:
    """2,000 drawn faces for training and 500 held out."""
    if (folder / "store.json").exists():
        return open_store(folder)
    table = drawn_faces(TRAIN + HELD_OUT, 0, size, shares=Shares(0, 0))
    split = np.where(np.arange(TRAIN + HELD_OUT) < TRAIN, 0, 1).astype(np.uint8)
    return pack(dataclasses.replace(table, split=split), folder, size)[0]


class Target:
    """A data set to learn, and how far generated faces are from its held-out images."""

    def __init__(self, name: str, store: PackedDataset, bundle: Bundle) -> None:
        self.name, self.store = name, store
        rows = store.rows("validation")
        self.labels = np.nan_to_num(store.labels[rows])
        judge = bundle.judge()
        if judge is None:
            raise SystemExit(f"{bundle.name} has no judge")
        self._extractor = ClassifierExtractor(judge, "judge", size=bundle.size)
        self._real = extract(self._extractor, np.asarray(store.images[rows]))
        training = np.asarray(store.images[store.rows("train")[: len(rows)]])
        self.floor = frechet_distance(self._real, extract(self._extractor, training))

    def distances(self, run: Path) -> list[float]:
        """Of a run's generator, one for each set of latents."""
        shape = GanShape(**read_json_object(run / "model.json")["shape"])
        generator = make_generator(shape)
        load_frozen(generator, load_file(run / "generator.safetensors"))
        found = []
        for seed in range(LATENTS):
            z = latents(seed, range(len(self.labels)), shape.z_dim)
            levels = draw_levels(TorchGenerator(generator, CPU), RequestSet([{}] * len(z), self.labels, z))
            found.append(float(frechet_distance(self._real, extract(self._extractor, levels))))
        return found


def reached(points: Mapping[int, float], quality: float) -> float:
    """Images seen when a distance first falls to ``quality``, between checkpoints along the logarithm; NaN: never."""
    before: tuple[int, float] | None = None
    for images, distance in sorted(points.items()):
        if distance <= quality:
            if before is None:
                return float(images)
            share = (before[1] - quality) / (before[1] - distance)
            return math.exp(math.log(before[0]) + share * (math.log(images) - math.log(before[0])))
        before = (images, distance)
    return math.nan


def table(found: Mapping[str, Any]) -> str:
    """All distances, and the images that the quality of the last checkpoint from noise takes from the bundle."""
    runs: Mapping[str, Mapping[str, list[float]]] = found["runs"]
    checkpoints = sorted({int(images) for points in runs.values() for images in points})
    lines = [
        f"FD-judge against held-out images of the target (mean of {LATENTS} sets of latents), after images seen:",
        "",
        f"| run | {' | '.join(f'{images:,}' for images in checkpoints)} |",
        f"|---|{'--:|' * len(checkpoints)}",
    ]
    means = {
        run: {int(images): float(np.mean(values)) for images, values in points.items()} for run, points in runs.items()
    }
    for run, points in means.items():
        cells = [f"{points[images]:.1f}" if images in points else "-" for images in checkpoints]
        lines.append(f"| {run} | {' | '.join(cells)} |")
    lines += ["", "| target | real from real | from noise | reached after | from the bundle after | times fewer |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    for target, floor in found["floors"].items():
        scratch, start = means[f"{target}, from noise"], means[f"{target}, from {found['bundle']}"]
        last = max(set(scratch) & set(start))
        quality = min(value for images, value in scratch.items() if images <= last)
        took, takes = reached(scratch, quality), reached(start, quality)
        lines.append(f"| {target} | {floor:.1f} | FD {quality:.1f} | {took:,.0f} | {takes:,.0f} | {took / takes:.0f} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="packed CelebA at the bundle's size")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bundle", default="celeba64")
    parser.add_argument("--kind", default="5_o_Clock_Shadow", help="attribute that all faces of the near target carry")
    parser.add_argument("--checkpoints", type=int, nargs="+", default=[32, 1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    make_folder(given.out)
    bundle = open_bundle(given.bundle)
    targets = [
        Target(given.kind, one_kind(open_store(given.data), given.kind), bundle),
        Target("drawn faces", drawn(given.out / "drawn", bundle.size), bundle),
    ]
    path = given.out / "transfer.json"
    found: dict[str, Any] = read_json_object(path) if path.exists() else {"bundle": bundle.name, "runs": {}}
    found["floors"] = {target.name: target.floor for target in targets}
    for images in given.checkpoints:  # all runs side by side, so that a stopped study can be read
        for target in targets:
            for start in (bundle.name, "noise"):
                name = f"{target.name}, from {start}"
                points = found["runs"].setdefault(name, {})
                if str(images) in points:
                    continue
                run = given.out / name.replace(", ", "-").replace(" ", "-")
                settings = [*SETTINGS, f"images={images}", f"threads={given.threads}"]
                settings += [f"refine={list(bundle.shape.refine)}"]
                settings += [f"start={bundle.name}"] if start != "noise" else []
                train_gan(target.store, run, load_config(GanConfig, file=RECIPE, settings=settings))
                points[str(images)] = target.distances(run)
                write_json(path, found)
                print(name, images, [round(value, 1) for value in points[str(images)]], flush=True)
    write_text(given.out / "transfer.md", table(found))
    print(table(found))


if __name__ == "__main__":
    main()
