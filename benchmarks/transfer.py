"""Is starting from a bundle worth it? Images seen until a fixed quality is reached, from noise and from a bundle.

    cfgan data pack CELEBA --out stores/celeba64
    python benchmarks/transfer.py --data stores/celeba64 --out runs/transfer --threads 1

Two targets of 2,000 training images: one kind of face out of the store (near; the bundle has seen those very images,
among others), and drawn faces (far; it has never seen a drawing). Quality is the Fréchet distance over the features of
the bundle's judge, between faces drawn for the labels of held-out images of the target and those images. All runs go
forward together; what is done is kept in `transfer.json`, and the same command goes on. The table is written to
`transfer.md`.

    python benchmarks/transfer.py --target anime64=stores/anime64 --no-mirror --nsfwjs package --out runs/anime_transfer

asks the same of a packed set of one's own, with a vocabulary of its own, by the kernel distance over MobileNet-v2 of
the npm package nsfwjs, which took no part in anything.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from cfgan.data.drawn.dataset import drawn_faces
from cfgan.data.read.splits import Shares
from cfgan.data.store import PackedDataset, open_store, pack
from cfgan.evaluation.card import draw_levels
from cfgan.evaluation.extractor_names import realism_extractors
from cfgan.evaluation.extractors import ClassifierExtractor, Extractor, extract
from cfgan.evaluation.fidelity import Features, frechet_distance, kid
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
    return part(store, store.labels[:, store.vocabulary.index(kind)] > 0, kind)


def part(store: PackedDataset, chosen: npt.NDArray[np.bool_], name: str) -> PackedDataset:
    """The first 2,000 chosen images for training, the first chosen validation images held out."""
    train, held = (np.flatnonzero(chosen & (store.split == number)) for number in (0, 1))
    rows = np.concatenate([train[:TRAIN], held[:HELD_OUT]])
    digest = hashlib.sha256(f"{store.digest} {name} {len(rows)}".encode()).hexdigest()
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


@dataclasses.dataclass(frozen=True)
class Quality:
    """How far generated images are from real ones.

    Args:
        name: of the distance, for the table.
        extractor: the features that it is taken over.
        distance: of two sets of features.
        digits: after the point, in the table.
    """

    name: str
    extractor: Extractor
    distance: Callable[[Features, Features], float]
    digits: int = 1

    def shown(self, value: float) -> str:
        return f"{value:.{self.digits}f}"


def by_judge(bundle: Bundle) -> Quality:
    judge = bundle.judge()
    if judge is None:
        raise SystemExit(f"{bundle.name} has no judge")
    return Quality("FD-judge", ClassifierExtractor(judge, "judge", size=bundle.size), frechet_distance)


def by_outside(nsfwjs: Path) -> Quality:
    """KID x 1000 over the first network of nsfwjs, MobileNet-v2."""
    extractor = realism_extractors(nsfwjs, CPU)[0]
    return Quality(f"KID x 1000 over {extractor.name}", extractor, lambda a, b: 1000 * kid(a, b)[0])


class Target:
    """A data set to learn, and how far generated faces are from its held-out images."""

    def __init__(self, name: str, store: PackedDataset, quality: Quality, settings: Sequence[str] = ()) -> None:
        self.name, self.store, self.settings = name, store, settings
        rows = store.rows("validation")
        self.labels = np.nan_to_num(store.labels[rows])
        self._extractor, self._distance = quality.extractor, quality.distance
        self._real = extract(self._extractor, np.asarray(store.images[rows]))
        training = np.asarray(store.images[store.rows("train")[: len(rows)]])
        self.floor = float(self._distance(self._real, extract(self._extractor, training)))

    def distances(self, run: Path) -> list[float]:
        """Of a run's generator, one for each set of latents."""
        shape = GanShape(**read_json_object(run / "model.json")["shape"])
        generator = make_generator(shape)
        load_frozen(generator, load_file(run / "generator.safetensors"))
        found = []
        for seed in range(LATENTS):
            z = latents(seed, range(len(self.labels)), shape.z_dim)
            levels = draw_levels(TorchGenerator(generator, CPU), RequestSet([{}] * len(z), self.labels, z))
            found.append(float(self._distance(self._real, extract(self._extractor, levels))))
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


def table(found: Mapping[str, Any], quality: Quality) -> str:
    """All distances, and the images that the quality of the last checkpoint from noise takes from the bundle."""
    runs: Mapping[str, Mapping[str, list[float]]] = found["runs"]
    checkpoints = sorted({int(images) for points in runs.values() for images in points})
    lines = [
        f"{quality.name} against held-out images of the target (mean of {LATENTS} sets of latents), after images seen:",
        "",
        f"| run | {' | '.join(f'{images:,}' for images in checkpoints)} |",
        f"|---|{'--:|' * len(checkpoints)}",
    ]
    means = {
        run: {int(images): float(np.mean(values)) for images, values in points.items()} for run, points in runs.items()
    }
    for run, points in means.items():
        cells = [quality.shown(points[images]) if images in points else "-" for images in checkpoints]
        lines.append(f"| {run} | {' | '.join(cells)} |")
    lines += ["", "| target | real from real | from noise | reached after | from the bundle after | times fewer |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    for target, floor in found["floors"].items():
        scratch, start = means[f"{target}, from noise"], means[f"{target}, from {found['bundle']}"]
        last = max(set(scratch) & set(start))
        best = min(value for images, value in scratch.items() if images <= last)
        took, takes = reached(scratch, best), reached(start, best)
        cells = [quality.shown(floor), quality.shown(best), *(f"{value:,.0f}" for value in (took, takes, took / takes))]
        lines.append(f"| {target} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="packed CelebA at the bundle's size, for the two targets")
    parser.add_argument("--target", help="NAME=STORE instead: a packed set of one's own, at the bundle's size")
    parser.add_argument("--no-mirror", action="store_true", help="its images are never mirrored")
    parser.add_argument("--nsfwjs", type=Path, help="unpacked npm package: KID over an outside network, not FD-judge")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bundle", default="celeba64")
    parser.add_argument("--kind", default="5_o_Clock_Shadow", help="attribute that all faces of the near target carry")
    parser.add_argument("--checkpoints", type=int, nargs="+", default=[32, 1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--seed", type=int, default=0, help="another one wants another --out")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    make_folder(given.out)
    bundle = open_bundle(given.bundle)
    quality = by_outside(given.nsfwjs) if given.nsfwjs is not None else by_judge(bundle)
    if given.target is not None:
        name, _, place = given.target.partition("=")
        own = open_store(Path(place))
        mirror = ["mirror=false"] if given.no_mirror else []
        targets = [Target(name, part(own, np.ones(len(own.files), bool), name), quality, mirror)]
    elif given.data is not None:
        targets = [
            Target(given.kind, one_kind(open_store(given.data), given.kind), quality),
            Target("drawn faces", drawn(given.out / "drawn", bundle.size), quality),
        ]
    else:
        parser.error("say --data or --target")
    path = given.out / "transfer.json"
    found: dict[str, Any] = read_json_object(path) if path.exists() else {"bundle": bundle.name, "runs": {}}
    if found.setdefault("seed", given.seed) != given.seed:
        parser.error(f"{given.out} holds runs of seed {found['seed']}; choose another --out")
    found["floors"] = {target.name: target.floor for target in targets}
    for images in given.checkpoints:  # all runs side by side, so that a stopped study can be read
        for target in targets:
            for start in (bundle.name, "noise"):
                name = f"{target.name}, from {start}"
                points = found["runs"].setdefault(name, {})
                if str(images) in points:
                    continue
                run = given.out / name.replace(", ", "-").replace(" ", "-")
                settings = [*SETTINGS, *target.settings, f"images={images}", f"threads={given.threads}"]
                settings += [f"seed={given.seed}"]
                settings += [f"refine={list(bundle.shape.refine)}"]
                settings += [f"start={bundle.name}"] if start != "noise" else []
                train_gan(target.store, run, load_config(GanConfig, file=RECIPE, settings=settings))
                points[str(images)] = target.distances(run)
                write_json(path, found)
                print(name, images, [round(value, 1) for value in points[str(images)]], flush=True)
    write_text(given.out / "transfer.md", table(found, quality))
    print(table(found, quality))


if __name__ == "__main__":
    main()
