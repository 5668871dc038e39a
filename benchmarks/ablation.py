"""What works, with evidence: short runs on the same data and the same number of images, each changing one thing.

    cfgan data pack CELEBA --out stores/celeba32 --size 32
    cfgan train verifier --data stores/celeba32 --out runs/guide32 --config guide64 --set images=160000
    cfgan train verifier --data stores/celeba32 --out runs/witness32 --set images=200000 --set seed=11
    python benchmarks/ablation.py --data stores/celeba32 --guide runs/guide32 --witness runs/witness32 \
        --out runs/ablation32 --threads 1

A row that is finished is not trained again; an unfinished one goes on. With --measure the finished rows are measured
and the table is written: `ablation.md` in the folder of the runs, its figures in `ablation.json`. The witness takes no
part in training; every row draws the labels of all validation images with the same latents.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from cfgan.assemble.run_files import read_log, training_seconds
from cfgan.data.store import PackedDataset, open_store
from cfgan.evaluation.accuracy import accuracy_table
from cfgan.evaluation.card import draw_levels
from cfgan.evaluation.extractors import ClassifierExtractor, extract
from cfgan.evaluation.fidelity import measure_fidelity
from cfgan.evaluation.requests import RequestSet
from cfgan.external.detector import FaceDetector
from cfgan.generate.sampling import latents
from cfgan.io.files import read_json_object, write_json, write_text
from cfgan.model.calibration import fit_calibration
from cfgan.model.torch_engine import TorchGenerator, TorchNetwork
from cfgan.networks.classifier import load_frozen
from cfgan.networks.families import make_generator
from cfgan.networks.shape import GanShape
from cfgan.training.config import GanConfig, load_config
from cfgan.training.gan import train_gan
from cfgan.training.networks import load_classifier
from cfgan.verify.reader import Reader

RECIPE = Path(__file__).parents[1] / "cfgan/training/recipes/celeba64.yaml"
RARE = ("Bald", "Eyeglasses", "Wearing_Hat", "Mustache", "Gray_Hair")

GUIDE, FEATURES = "guide={guide}", "features={guide}"
ROWS: dict[str, list[str]] = {
    "base: DCGAN, relativistic, R1 + R2": [],
    "guide": [GUIDE],
    "frozen feature heads beside it": [FEATURES],
    "guide and feature heads": [GUIDE, FEATURES],
    "heads over ImageNet features": ["features=efficientnet-lite0", "feature_weight=1"],
    "refinements at 16 and 32 pixels": ["refine=[16, 32]"],
    "frozen feature heads alone (projected)": [FEATURES, "image_weight=0", "feature_weight=1"],
    "residual family": ["family=residual"],
    "guide, pull 1.0": [GUIDE, "guide_pull=1.0"],
    "rare values not drawn more often": ["rare_threshold=0"],
    "rates fall from half the run on": ["learning_rate_hold=0.5", "learning_rate_end=0.05"],
    "hinge": ["loss=hinge"],
    "no attribute head": ["attribute_weight=0", "attribute_pull=0"],
    "attribute head learns from fakes too": ["attribute_images=both"],
    "penalties by finite differences": ["penalty=finite"],
    "penalties ten times stronger": ["r1_gamma=1.0", "r2_gamma=1.0"],
    "no augmentation": ["augment=[]"],
    "augmentation 0.5": ["augment_strength=0.5"],
    "augmentation adaptive": ["augment_target=0.3"],
    "transposed convolutions": ["upsample=transposed"],
    "pixel shuffle": ["upsample=shuffle"],
    "condition by concatenation only": ["conditioning=concat"],
    "condition by modulation only": ["conditioning=modulate"],
    "batch 64": ["batch=64"],
    "batch 16": ["batch=16"],
    "weight average over 1,000 images": ["ema_images=1000"],
    "weight average over 15,000 images": ["ema_images=15000"],
    "hinge, spectral norm, no penalties": ["loss=hinge", "spectral_norm=true", "r1_gamma=0", "r2_gamma=0"],
}


ABOUT = """Short runs at {size} x {size} pixels by `python benchmarks/ablation.py`, each changing one thing against
the base and seeing the same number of images, one seed each: small differences mean little. FD, KID, precision and
recall are over the features of a witness, a classifier that took no part in training; agreement and balanced accuracy
(its mean over the attributes, and over {rare}) are what it reads, in percent, in one face for the labels of each
validation image; faces is the share in which a face detector finds one. After so few images no row is good; they are
compared with one another. Minutes are those of one busy CPU thread."""


def slug(name: str) -> str:
    """A row's folder name."""
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-").replace("--", "-")


def train(name: str, store: PackedDataset, options: argparse.Namespace) -> Path:
    """Train one row, or go on with it."""
    settings = [f"images={options.images}", f"threads={options.threads}", f"seed={options.seed}", "device=cpu"]
    settings += [
        "sample_images=20000",
        "save_images=20000",
        "ema_images=4000",
        "learning_rate_hold=1.0",
        "guide_pull=0.2",
        "features=null",
        "feature_weight=0.5",
        "refine=[]",
        "ema_more=[]",
        "warmup_images=0",
    ]
    settings += [setting.format(guide=options.guide) for setting in ROWS[name]]
    run: Path = options.out / slug(name)
    train_gan(store, run, load_config(GanConfig, file=RECIPE, settings=settings))
    return run


class Measure:
    """Everything that rows are compared by: fidelity over the witness's features, agreement, faces found."""

    def __init__(self, store: PackedDataset, witness: Path) -> None:
        rows = store.rows("validation")
        self.labels = np.nan_to_num(np.asarray(store.labels[rows]))
        self.real = np.asarray(store.images[rows])
        self.names = store.vocabulary.names
        network = load_classifier(str(witness), "witness", torch.device("cpu"))
        with np.load(witness / "validation.npz", allow_pickle=False) as kept:
            calibration = fit_calibration(kept["logits"], kept["labels"])
        self.reader = Reader("witness", TorchNetwork(network, torch.device("cpu")), calibration)
        self.extractor = ClassifierExtractor(network, "witness", size=store.size)
        self.features = extract(self.extractor, self.real)
        self.other = extract(self.extractor, store.images, rows=store.rows("train")[: len(rows)])
        self.detector = FaceDetector()

    def of(self, levels: np.ndarray, reference: np.ndarray | None = None) -> dict[str, Any]:
        """Figures of images (N, 3, H, W), made for the validation labels in order."""
        fake = extract(self.extractor, levels) if reference is None else reference
        fidelity = measure_fidelity("witness", self.features, fake)
        table = accuracy_table(self.names, self.labels, self.reader.seen(levels))
        rare = [table["attributes"][name]["balanced"] for name in RARE if name in self.names]
        return {
            "fd": fidelity.distance,
            "kid": fidelity.kid,
            "precision": fidelity.precision,
            "recall": fidelity.recall,
            "agreement": table["agreement"],
            "balanced": table["balanced"],
            "rare": float(np.mean(rare)) if rare else float("nan"),
            "faces": self.detector.count(levels[:500]) / len(levels[:500]),
        }

    def row(self, run: Path) -> dict[str, Any]:
        """Figures of a finished run."""
        about = read_json_object(run / "model.json")
        generator = make_generator(GanShape(**about["shape"]))
        load_frozen(generator, load_file(run / "generator.safetensors"))
        z = latents(0, range(len(self.labels)), about["shape"]["z_dim"])
        drawn = RequestSet([{}] * len(z), self.labels.astype(np.float32), z)
        return {
            **self.of(draw_levels(TorchGenerator(generator, torch.device("cpu")), drawn)),
            "seconds": training_seconds(run),
            **read_log(run)[-1],
        }


def table(rows: dict[str, dict[str, Any]], real: dict[str, Any], images: int, size: int) -> str:
    """The rows as a Markdown table, with a heading."""
    lines = [
        "## What was compared",
        ABOUT.format(size=size, rare=", ".join(RARE)),
        "",
        f"| one thing changed, {images:,} images seen | FD | KID x 1000 | precision | recall | agreement | balanced "
        "| rare ones | faces | minutes |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in {**rows, "real faces against other real faces": real}.items():
        shares = " | ".join(f"{100 * row[key]:.1f}" for key in ("precision", "recall", "agreement", "balanced", "rare"))
        minutes = f"{row['seconds'] / 60:.1f}" if "seconds" in row else "-"
        lines.append(
            f"| {name} | {row['fd']:.2f} | {1000 * row['kid']:.1f} | {shares} | {100 * row['faces']:.1f} | {minutes} |"
        )
    return "\n".join(lines) + "\n"


def measure(store: PackedDataset, options: argparse.Namespace) -> None:
    """Measure all finished rows and write the table."""
    measured = options.out / "ablation.json"
    known: dict[str, Any] = read_json_object(measured)["rows"] if measured.exists() else {}
    judge = Measure(store, options.witness)
    for name in ROWS:
        run = options.out / slug(name)
        if name in known or not (run / "model.json").exists():
            continue
        if read_json_object(run / "model.json")["images"] >= options.images:
            known[name] = judge.row(run)
            print(name, known[name], flush=True)
    real = judge.of(judge.real, judge.other)
    rows = {name: known[name] for name in ROWS if name in known}
    write_json(measured, {"images": options.images, "seed": options.seed, "rows": rows, "real": real})
    write_text(options.out / "ablation.md", table(rows, real, options.images, store.size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--guide", type=Path, required=True)
    parser.add_argument("--witness", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=24_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="only rows whose name holds this")
    parser.add_argument("--measure", action="store_true", help="measure finished rows instead of training")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    store = open_store(options.data)
    if options.measure:
        measure(store, options)
        return
    for name in ROWS:
        if options.only is None or options.only in name:
            train(name, store, options)
            print(name, flush=True)


if __name__ == "__main__":
    main()
