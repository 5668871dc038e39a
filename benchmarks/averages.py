"""Which weight average of a run should ship, over features that trained, so that outside networks stay outside.

    python benchmarks/averages.py runs/gan --data stores/celeba64 --bundle celeba64

A row for each average and cut-off of the latents: KID x 1000 over EfficientNet-Lite0 at 128 pixels, the share of draws
in which a face is found, what the bundle's verifier reads as given, and the share of pairs of draws whose embeddings by
dlib are nearer than 0.6, below which two pictures are taken for one person. Draws have the labels of validation images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from cfgan.data.store import open_store
from cfgan.evaluation.extractors import EfficientNetExtractor, extract
from cfgan.evaluation.fidelity import kid
from cfgan.evaluation.identity import IdentityExtractor
from cfgan.external.detector import FaceDetector
from cfgan.generate.sampling import latents
from cfgan.io.files import read_json_object
from cfgan.model.bundle import open_bundle
from cfgan.model.engines import open_engine
from cfgan.model.torch_engine import TorchGenerator
from cfgan.networks.classifier import averaged
from cfgan.networks.families import make_generator
from cfgan.networks.shape import GanShape
from cfgan.verify.reader import reader_of

SAME = 0.6  # distance of dlib's embeddings under which its author takes two pictures for one person
CHUNK, COMPARED = 32, 400


class At128(EfficientNetExtractor):
    """As the heads of the shipped recipe look at pictures."""

    SIDE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", default="celeba64", help="whose verifier reads the draws")
    parser.add_argument("--cut", nargs="+", default=["2.5"], help="standard deviations, or none")
    parser.add_argument("--draws", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    store, bundle = open_store(options.data), open_bundle(options.bundle)
    rows = store.rows("validation")
    labels = np.nan_to_num(np.asarray(store.labels[rows])).astype(np.float32)[: options.draws]
    count = len(labels)
    real = extract(At128(), np.asarray(store.images[rows]))
    verifier = reader_of(bundle, open_engine(bundle), "verifier")
    shape = GanShape(**read_json_object(options.run / "model.json")["shape"])
    print("| average | cut | KID x 1000 | a face found | verifier agrees | pairs below .6 |\n|---|--:|--:|--:|--:|--:|")
    for path in sorted(options.run.glob("generator*.safetensors")):
        network = make_generator(shape).eval().requires_grad_(False)
        network.load_state_dict(load_file(path))
        render = TorchGenerator(network, torch.device("cpu"))
        for cut in options.cut:
            z = latents(0, range(count), shape.z_dim, None if cut == "none" else float(cut))
            drawn = np.concatenate([render(z[k : k + CHUNK], labels[k : k + CHUNK]) for k in range(0, count, CHUNK)])
            distance, error = kid(real, extract(At128(), drawn))
            found = FaceDetector().count(drawn) / count
            agree = (
                verifier.seen(averaged(torch.from_numpy(drawn).float(), bundle.size).round().byte().numpy())
                == (labels > 0)
            ).mean()
            faces = extract(IdentityExtractor(), drawn[:COMPARED])
            pairs = np.linalg.norm(faces[:, None] - faces[None], axis=2)[np.triu_indices(len(faces), 1)]
            print(
                f"| {path.stem} | {cut} | {1000 * distance:.1f} +-{1000 * error:.1f} | {100 * found:.1f} % "
                f"| {100 * agree:.1f} % | {100 * (pairs < SAME).mean():.1f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
