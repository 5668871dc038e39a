"""Do synthetic positives help a classifier that has few real ones? A study with ordinary remedies beside it.

    cfgan data pack CELEBA --out stores/celeba64 --size 64
    python benchmarks/rebalance.py --data stores/celeba64 --seeds 5 --out runs/rebalance --samples samples/rebalance

For every attribute and seed, a small residual network is trained on 1,000 real images of which 2 % have the attribute,
once for each remedy, and tested on the real validation split. Each training is one line of `runs.jsonl`; lines that are
there are not made again, so the command goes on where it was, and more seeds or attributes add to what is there.

The generator has seen the labels of the whole train split, many more than the 1,000: this is the case of somebody who
is given a trained generator, not of one who trains it on the 1,000 images.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rebalance_report import write_report
from torch import Tensor
from torch.nn import functional as F

from cfgan.attributes.spec import make_plan
from cfgan.balance.target import Ratio, plan_balance
from cfgan.data.store import PackedDataset, open_store
from cfgan.generate.job import generate
from cfgan.io.files import make_folder
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.networks.classifier import AttributeClassifier, ClassifierShape
from cfgan.training.augment import augment_for_classifier

ATTRIBUTES = ("Eyeglasses", "Wearing_Hat", "Bald", "Smiling", "Blond_Hair", "Male")
WIDTHS = (16, 32, 64)
RECIPE = 1

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """One remedy.

    Args:
        weights: whether each class weighs the same in the loss.
        oversample: whether half of each batch has the attribute.
        augment: whether images are mirrored at random. Shifts, changes of brightness and cut-outs were tried on the
            first seed of Eyeglasses and Bald, where mirroring alone did best: faces are aligned, and steps are few.
        synthetic: whether verified faces are added, as many as positives are missing: with the attribute, without it.
        real: whether as many real positives are added instead, as far as there are; what better data would give.
        verifier: whether nothing is trained, and the bundle's verifier reads the test images.
    """

    weights: bool = False
    oversample: bool = False
    augment: bool = False
    synthetic: tuple[bool, bool] = (False, False)
    real: bool = False
    verifier: bool = False


ARMS: dict[str, Arm] = {
    "nothing": Arm(),
    "class weights": Arm(weights=True),
    "oversampling": Arm(oversample=True),
    "augmentation": Arm(augment=True),
    "oversampling, augmentation": Arm(oversample=True, augment=True),
    "synthetic positives": Arm(synthetic=(True, False)),
    "synthetic positives, augmentation": Arm(synthetic=(True, False), augment=True),
    "synthetic both": Arm(synthetic=(True, True)),
    "synthetic both, augmentation": Arm(synthetic=(True, True), augment=True),
    "real positives, augmentation": Arm(real=True, augment=True),
    "the bundle's verifier": Arm(verifier=True),
}


@dataclass(frozen=True)
class Settings:
    """What a run depends on beside attribute, seed and arm; a line made with other settings is not used.

    Args:
        images: real images that are trained on.
        share: of them that have the attribute.
        held: more real images of the train split, as unbalanced, that only the threshold is chosen on.
        steps: of the optimizer.
        batch: images a step.
        side: of the images in pixels; the store's are averaged down.
        rate: peak learning rate of AdamW; it rises over a tenth of the steps and falls along a cosine.
        recipe: counted up when arms or training change.
        bundle, data: digests.
    """

    images: int
    share: float
    held: int
    steps: int
    batch: int
    side: int
    rate: float
    recipe: int
    bundle: str
    data: str


@dataclass(frozen=True)
class Task:
    """The real images of one attribute and seed: rows of the store."""

    name: str
    seed: int
    train: npt.NDArray[np.int64]
    held: npt.NDArray[np.int64]
    spare: npt.NDArray[np.int64]  # more real positives, for the arm that has them


def make_task(store: PackedDataset, name: str, seed: int, settings: Settings) -> Task:
    """Draw the unbalanced subsets from the train split; they depend on attribute and seed alone."""
    rows = store.rows("train")
    column = store.labels[rows, store.vocabulary.index(name)]
    rng = np.random.default_rng([seed, store.vocabulary.index(name)])
    having, lacking = rng.permutation(rows[column > 0]), rng.permutation(rows[column < 0])
    few, held_few = (round(count * settings.share) for count in (settings.images, settings.held))
    many, held_many = settings.images - few, settings.held - held_few
    return Task(
        name,
        seed,
        np.concatenate([having[:few], lacking[:many]]),
        np.concatenate([having[few : few + held_few], lacking[many : many + held_many]]),
        having[few + held_few :],
    )


def synthetic_faces(bundle: Bundle, store: PackedDataset, task: Task, out: Path) -> tuple[Pixels, Pixels]:
    """Verified faces with and without the attribute, as many each as the subset lacks; made once, then read."""
    target = Ratio(task.name, Fraction(1, 2))
    count = plan_balance(target, store.labels[task.train], store.vocabulary).missing
    requests = [{"attributes": {task.name: True}, "count": count}, {"attributes": {task.name: False}, "count": count}]
    seed = 1000 * store.vocabulary.index(task.name) + task.seed
    plan = make_plan({"seed": seed, "requests": requests}, bundle.vocabulary, latents=bundle.latents)
    folder = out / "synthetic" / f"{task.name}-{task.seed}"
    summary = generate(bundle, plan, folder, device="cpu")
    if not summary.complete:
        raise SystemExit(f"{folder}: only {summary.accepted} of {summary.wanted} faces were found")
    images = []
    for path in sorted((folder / "images").glob("*.png")):
        with Image.open(path, formats=("PNG",)) as image:
            images.append(np.asarray(image.convert("RGB")).transpose(2, 0, 1))
    pixels = np.stack(images)
    return pixels[:count], pixels[count:]


def to_tensor(levels: Pixels, side: int) -> Tensor:
    """uint8 (N, 3, H, H) to float32 (N, 3, side, side) in -1..1, by averaging whole blocks."""
    images = torch.from_numpy(np.ascontiguousarray(levels)).float().mul_(2 / 255).sub_(1)
    return F.avg_pool2d(images, levels.shape[-1] // side).contiguous(memory_format=torch.channels_last)


def order(rng: np.random.Generator, labels: Floats, count: int, oversample: bool) -> npt.NDArray[np.int64]:
    """Which image is seen when: epochs in random order, or each class as often as the other."""
    if oversample:
        share = np.where(labels > 0, 0.5 / (labels > 0).sum(), 0.5 / (labels <= 0).sum())
        return rng.choice(len(labels), size=count, p=share)
    epochs = [rng.permutation(len(labels)) for _ in range(-(-count // len(labels)))]
    return np.concatenate(epochs)[:count]


def train(images: Tensor, labels: Floats, real: Tensor, arm: Arm, seed: int, settings: Settings) -> AttributeClassifier:
    """Train one network; every arm takes the same number of steps.

    At the end the statistics of batch normalisation are taken from the real images alone (``real``), for every arm, as
    the test images are real (precise statistics: Wu and Johnson 2021).
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    noise = torch.Generator().manual_seed(seed)
    model = AttributeClassifier(ClassifierShape(1, WIDTHS, 0.2)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=0.05, foreach=True)
    target = torch.from_numpy((labels > 0).astype(np.float32))
    weight = torch.ones(len(labels))
    if arm.weights:
        share = target.mean()
        weight = torch.where(target > 0, 0.5 / share, 0.5 / (1 - share))
    seen = order(rng, labels, settings.steps * settings.batch, arm.oversample)
    for step in range(settings.steps):
        rows = torch.from_numpy(seen[step * settings.batch : (step + 1) * settings.batch])
        batch = images[rows]
        if arm.augment:
            batch = augment_for_classifier(batch, noise, shift_pixels=0, brightness=0, cutout_share=0)
        loss = F.binary_cross_entropy_with_logits(model(batch)[:, 0], target[rows], weight=weight[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        done = step / settings.steps
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * min(1.0, (step + 1) / (0.1 * settings.steps))
            group["lr"] *= 0.5 * (1 + math.cos(math.pi * done))
        optimizer.step()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        for part in torch.split(real, 250):
            model(part)
    return model.eval()


@torch.no_grad()
def scores(model: AttributeClassifier, images: Tensor, output: int) -> Floats:
    """Logits (N,) of one output."""
    return torch.cat([model(part)[:, output] for part in torch.split(images, 256)]).double().numpy()


def best_threshold(score: Floats, truth: npt.NDArray[np.bool_]) -> float:
    """The threshold of best balanced accuracy: half-way between two neighbouring scores; the middle one of the best."""
    edges = np.unique(score)
    middle = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
    ordered_yes, ordered_no = np.sort(score[truth]), np.sort(score[~truth])
    yes = 1 - np.searchsorted(ordered_yes, middle) / len(ordered_yes)
    no = np.searchsorted(ordered_no, middle) / len(ordered_no)
    best = np.flatnonzero(np.isclose(yes + no, (yes + no).max()))
    return float(middle[best[len(best) // 2]])


def measure(score: Floats, truth: npt.NDArray[np.bool_], threshold: float) -> dict[str, float]:
    """Area under the ROC curve, average precision, and balanced accuracy at a threshold."""
    from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

    return {
        "auc": float(roc_auc_score(truth, score)),
        "ap": float(average_precision_score(truth, score)),
        "balanced": float(balanced_accuracy_score(truth, score >= threshold)),
    }


def run_arm(
    arm: Arm, store: PackedDataset, task: Task, faces: tuple[Pixels, Pixels], bundle: Bundle, settings: Settings
) -> dict[str, Any]:
    """Train and test one arm."""
    started = time.process_time()
    column = store.vocabulary.index(task.name)
    held, test = np.sort(task.held), store.rows("validation")
    test = test[np.isfinite(store.labels[test, column])]
    added = 0
    if arm.verifier:
        network, side, output = bundle.verifier(), bundle.size, bundle.vocabulary.index(task.name)
    else:
        real = store.images[np.sort(task.train)]
        parts, labels = [real], [store.labels[np.sort(task.train), column]]
        for pixels, wanted, value in zip(faces, arm.synthetic, (1.0, -1.0), strict=True):
            if wanted:
                parts.append(pixels)
                labels.append(np.full(len(pixels), value, np.float32))
        if arm.real:
            spare = np.sort(task.spare[: len(faces[0])])
            parts.append(store.images[spare])
            labels.append(np.ones(len(spare), np.float32))
        added = sum(len(part) for part in parts[1:])
        images = torch.cat([to_tensor(part, settings.side) for part in parts])
        truth = np.concatenate(labels).astype(np.float64)
        network, side, output = train(images, truth, images[: len(real)], arm, task.seed, settings), settings.side, 0
    found = {}
    for name, rows in (("held", held), ("test", test)):
        score = scores(network, to_tensor(store.images[rows], side), output)
        found[name] = score, store.labels[rows, column] > 0
    figures = measure(*found["test"], best_threshold(*found["held"]))
    counts = {"added": added, "test": len(test), "test_positives": int(found["test"][1].sum())}
    return {**figures, **counts, "seconds": round(time.process_time() - started, 2)}


def read_runs(path: Path, settings: Settings) -> Iterator[dict[str, Any]]:
    """The finished runs with these settings; a torn last line is left out."""
    wanted = asdict(settings)
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n") and (run := json.loads(line)).pop("settings") == wanted:
                yield run


def append(path: Path, run: dict[str, Any]) -> None:
    """Add one line; a torn line before it is ended first."""
    torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    if torn:
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.rfind(b"\n") + 1])
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(run) + "\n")


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bundle", default="celeba64")
    parser.add_argument("--attributes", default=",".join(ATTRIBUTES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--held", type=int, default=500)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=Path, help="also write README.md and the figure there")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    torch.set_num_threads(options.threads)
    store, bundle = open_store(options.data), open_bundle(options.bundle)
    names = [store.vocabulary.canonical(name) for name in options.attributes.split(",")]
    if store.size != bundle.size or store.size % options.side:
        raise SystemExit(f"--side {options.side}: {store.size}-pixel data and {bundle.size}-pixel faces do not fit it")
    kept = {key: getattr(options, key) for key in ("images", "share", "held", "steps", "batch", "side", "rate")}
    settings = Settings(**kept, recipe=RECIPE, bundle=bundle.digest, data=store.digest)
    make_folder(options.out)
    lines = options.out / "runs.jsonl"
    done = {(run["attribute"], run["seed"], run["arm"]) for run in read_runs(lines, settings)}
    for seed in range(options.seeds):
        for name in names:
            left = [arm for arm in ARMS if (name, seed, arm) not in done]
            if not left:
                continue
            task = make_task(store, name, seed, settings)
            faces = synthetic_faces(bundle, store, task, options.out)
            for arm in left:
                figures = run_arm(ARMS[arm], store, task, faces, bundle, settings)
                run = {"attribute": name, "seed": seed, "arm": arm, **figures}
                append(lines, {**run, "settings": asdict(settings)})
                print(f"{name} {seed} {arm}: AUC {figures['auc']:.3f}, AP {figures['ap']:.3f}", flush=True)
    runs = [run for run in read_runs(lines, settings) if run["seed"] < options.seeds and run["attribute"] in names]
    command = " ".join(["python benchmarks/rebalance.py", *(sys.argv[1:] if arguments is None else arguments)])
    write_report(runs, asdict(settings), list(ARMS), names, options.out, options.samples, command)


if __name__ == "__main__":
    main()
