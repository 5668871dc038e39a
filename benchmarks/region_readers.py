"""Train and measure the readers that say whether a hat or eyeglasses are where they belong.

    python benchmarks/region_readers.py --data stores/celeba64

Trains on the store's training images, measures on its validation images, writes ``regions.safetensors`` and
``regions.json`` of ``cfgan/testsets/building`` (weights and figures, no image), and prints the figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from cfgan.data.store import PackedDataset, open_store
from cfgan.io.files import write_bytes, write_json
from cfgan.testsets.building.regions import FIGURES, ROWS, WEIGHTS, region_features

SURE = {"Wearing_Hat": 0.7, "Eyeglasses": 0.8}
"""Share of real faces with the attribute that a changed face must be as sure as. For hats looser thresholds keep hair
that looks like a cap, for eyeglasses stricter ones lose thin rims (by eye, on 33 changed faces of each)."""

_WITHOUT = 4000  # training faces without the attribute, at most
_STEP = 256  # images at a time
_PENALTY = 0.002  # inverse strength: some thousand features of a few thousand faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a packed store of CelebA's faces")
    args = parser.parse_args()
    store = open_store(args.data)
    arrays, figures = {}, {}
    for name in ROWS:
        arrays[name], figures[name] = trained(store, name)
        print(name, json.dumps(figures[name]))
    write_bytes(WEIGHTS, save(arrays))
    write_json(FIGURES, {**figures, "data": "CelebA, aligned, 64 x 64"})


def trained(store: PackedDataset, name: str) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """Weights of one attribute's reader, and its figures on real validation faces."""
    rng = np.random.default_rng(0)
    worn = store.labels[:, store.vocabulary.index(name)] > 0
    train, validation = store.rows("train"), store.rows("validation")
    chosen = np.sort(np.append(train[worn[train]], rng.permutation(train[~worn[train]])[:_WITHOUT]))
    features = seen_of(store, chosen, name)
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=_PENALTY, max_iter=500).fit(scaler.transform(features), worn[chosen])
    weights = (model.coef_[0] / scaler.scale_).astype(np.float32)
    bias = float(model.intercept_[0] - weights.astype(np.float64) @ scaler.mean_)
    score = seen_of(store, validation, name) @ weights.astype(np.float64) + bias
    seen = worn[validation]
    threshold = float(np.quantile(score[seen], 1 - SURE[name]))
    return weights, {
        "bias": round(bias, 6),
        "threshold": round(threshold, 4),
        "sure_as": SURE[name],
        "auc": round(float(roc_auc_score(seen, score)), 4),
        "real_with": int(seen.sum()),
        "real_without": int((~seen).sum()),
        "real_without_above": round(float((score[~seen] >= threshold).mean()), 5),
    }


def seen_of(store: PackedDataset, rows: npt.NDArray[np.int64], name: str) -> npt.NDArray[np.float64]:
    """What a reader sees of some of the store's images, (N, F); a few hundred at a time."""
    parts = np.array_split(rows, max(1, len(rows) // _STEP))
    return np.concatenate([region_features(store.images[part], ROWS[name]) for part in parts])


if __name__ == "__main__":
    main()
