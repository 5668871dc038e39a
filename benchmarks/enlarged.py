"""Is a bundle of larger images worth it? Its faces against those of a smaller one, enlarged.

    python benchmarks/enlarged.py celeba128 celeba64 --data stores/celeba128 --nsfwjs package

Every bundle draws one face for the labels of each validation image, unfiltered, with its own cut of the latents; images
smaller than the store's are enlarged (bicubic). Then both are measured over networks that took no part in training, as
`cfgan bundle build` does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from cfgan.data.store import open_store
from cfgan.evaluation.outside import outside_extractors
from cfgan.evaluation.realism import Realism, measure_realism
from cfgan.external.detector import FaceDetector
from cfgan.generate.sampling import latents
from cfgan.model.bundle import open_bundle
from cfgan.model.engines import open_engine
from cfgan.reports.model.samples import enlarged

CHUNK = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--data", type=Path, required=True, help="packed store of the larger images")
    parser.add_argument("--nsfwjs", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    store, networks = open_store(options.data), outside_extractors(options.nsfwjs)
    labels = np.sign(np.nan_to_num(store.labels[store.rows("validation")])).astype(np.float32)
    print("| bundle | KID x 1000, FD and probe AUC over each network | eyes, mouth, background: AUC | a face found |")
    print("|---|---|---|--:|")
    for name in options.bundles:
        bundle = open_bundle(name)
        render = open_engine(bundle, "onnxruntime:cpu").generator()
        z = latents(0, range(len(labels)), bundle.z_dim, bundle.latents.truncation)
        parts = [slice(k, k + CHUNK) for k in range(0, len(labels), CHUNK)]
        drawn = np.concatenate([enlarged(render(z[part], labels[part]), store.size) for part in parts])
        found = measure_realism(store, "validation", drawn, networks, detector=FaceDetector())
        print(f"| {name} | {row(found)} |", flush=True)


def row(found: Realism) -> str:
    """The figures of one bundle."""
    networks = "; ".join(
        f"{each.extractor} {1000 * each.kid:.2f} +-{1000 * each.kid_error:.2f} (real {1000 * each.kid_floor:.2f}), "
        f"{each.distance:.2f} ({each.distance_floor:.2f}), .{1000 * each.probe_auc:.0f}"
        for each in found.networks
    )
    crops = ", ".join(f".{1000 * each.probe_auc:.0f}" for each in found.crops.values())
    faces = found.faces
    share = (
        "-" if faces is None else f"{100 * faces.faces / faces.n:.1f} % (real {100 * faces.real_faces / faces.n:.1f})"
    )
    return f"{networks} | {crops} | {share}"


if __name__ == "__main__":
    main()
