"""What works, with evidence: short runs on the same data and the same number of images, each changing one thing.

    cfgan data pack CELEBA --out stores/celeba32 --size 32
    cfgan train verifier --data stores/celeba32 --out runs/guide32 --config guide64 --set images=160000
    cfgan train verifier --data stores/celeba32 --out runs/witness32 --set images=300000 --set seed=11
    python benchmarks/ablation.py --data stores/celeba32 --guide runs/guide32 --witness runs/witness32 \
        --out runs/ablation32 --threads 1

A row that is finished is not trained again; an unfinished one goes on. The table is `ablation.md` in the folder of the
runs, its figures `ablation.json`. The witness takes no part in training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from cfgan.data.store import Store, open_store
from cfgan.training.config import GanConfig, load_config
from cfgan.training.gan import train_gan

RECIPE = Path(__file__).parents[1] / "cfgan/training/recipes/celeba64.yaml"
RARE = ("Bald", "Eyeglasses", "Wearing_Hat", "Mustache", "Gray_Hair")

GUIDE, FEATURES = "guide={guide}", "features={guide}"
ROWS: dict[str, list[str]] = {
    "base: DCGAN, relativistic, R1 + R2": [],
    "residual family": ["family=residual"],
    "frozen feature heads beside it": [FEATURES],
    "frozen feature heads alone (projected)": [FEATURES, "image_weight=0", "feature_weight=1"],
    "guide": [GUIDE],
    "guide, pull 1.0": [GUIDE, "guide_pull=1.0"],
    "guide and feature heads": [GUIDE, FEATURES],
    "residual, guide and feature heads": ["family=residual", GUIDE, FEATURES],
    "hinge": ["loss=hinge"],
    "hinge, spectral norm, no penalties": ["loss=hinge", "spectral_norm=true", "r1_gamma=0", "r2_gamma=0"],
    "penalties by finite differences": ["penalty=finite"],
    "penalties ten times stronger": ["r1_gamma=1.0", "r2_gamma=1.0"],
    "no augmentation": ["augment=[]"],
    "augmentation 0.5": ["augment_strength=0.5"],
    "augmentation adaptive": ["augment_target=0.3"],
    "transposed convolutions": ["upsample=transposed"],
    "pixel shuffle": ["upsample=shuffle"],
    "condition by concatenation only": ["conditioning=concat"],
    "condition by modulation only": ["conditioning=modulate"],
    "no attribute head": ["attribute_weight=0", "attribute_pull=0"],
    "attribute head learns from fakes too": ["attribute_images=both"],
    "rare values not drawn more often": ["rare_threshold=0"],
    "batch 64": ["batch=64"],
    "batch 16": ["batch=16"],
    "rates fall from half the run on": ["rate_hold=0.5", "rate_end=0.05"],
    "weight average over 2,000 images": ["ema_images=2000"],
    "weight average over 30,000 images": ["ema_images=30000"],
}


def slug(name: str) -> str:
    """A row's folder name."""
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-").replace("--", "-")


def train(name: str, store: Store, options: argparse.Namespace) -> Path:
    """Train one row, or go on with it."""
    settings = [f"images={options.images}", f"threads={options.threads}", f"seed={options.seed}", "device=cpu"]
    settings += ["sample_images=20000", "save_images=20000", "ema_images=5000"]
    settings += [setting.format(guide=options.guide) for setting in ROWS[name]]
    run: Path = options.out / slug(name)
    train_gan(store, run, load_config(GanConfig, file=RECIPE, settings=settings))
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--guide", type=Path, required=True)
    parser.add_argument("--witness", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=48_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="only rows whose name holds this")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    store = open_store(options.data)
    for name in ROWS:
        if options.only is None or options.only in name:
            train(name, store, options)
            print(name, flush=True)


if __name__ == "__main__":
    main()
