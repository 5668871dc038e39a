"""Whether a bundle's ONNX graphs compute what its networks do in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cfgan.assemble.onnx_networks import graphs_of
from cfgan.errors import BundleError, FolderError
from cfgan.io.files import read_json_object
from cfgan.io.folders import is_unused
from cfgan.io.reading import read_regular
from cfgan.model.bundle import MAX_BYTES, Bundle, open_bundle, require_bundle_or_unused, write_files
from cfgan.model.onnx_engine import OnnxEngine
from cfgan.model.torch_engine import TorchEngine

_DRAWS = 64
_LEVELS = 1  # of 255
_PROBABILITY = 1e-3


def check_graphs(bundle: Bundle) -> None:
    """Draw some faces with both engines and read them with both.

    Raises:
        BundleError: pixels differ by more than one level, or a probability by more than 0.001.
    """
    if "generator.onnx" not in bundle.sums:
        return
    engines = OnnxEngine(bundle, "cpu"), TorchEngine(bundle, "cpu")
    rng = np.random.default_rng(0)
    z = rng.standard_normal((_DRAWS, bundle.z_dim)).astype(np.float32)
    conditions = rng.choice(np.asarray([-1, 1], np.float32), (_DRAWS, len(bundle.vocabulary)))
    one, other = (engine.generator()(z, conditions).astype(int) for engine in engines)
    if (most := int(np.abs(one - other).max())) > _LEVELS:
        raise BundleError(f"generator.onnx draws pixels that differ by up to {most} levels from the generator's.")
    for role, classifier in bundle.classifiers.items():
        pixels = one.astype(np.uint8)
        read, again = (
            classifier.calibration.probabilities(engine.classifier(role).logits(pixels)) for engine in engines
        )
        if (gap := float(np.abs(read - again).max())) > _PROBABILITY:
            raise BundleError(f"{role}.onnx reads probabilities that differ by up to {gap:.4f} from the {role}'s.")


def _other_weights(bundle: Bundle, out: Path) -> str | None:
    """A file of weights that a bundle lacks or has otherwise: to put a copy of this one there would lose it."""
    try:
        there = read_json_object(out / "manifest.json")["sha256"]
        named = {name: digest for name, digest in there.items() if name.endswith(".safetensors")}
    except (ValueError, KeyError, AttributeError):
        return "manifest.json"
    return next((name for name, digest in named.items() if bundle.sums.get(name) != digest), None)


def with_graphs(bundle: Bundle, out: Path) -> Bundle:
    """A copy of a bundle that has graphs for onnxruntime: a bundle of an older version then runs without torch.

    Args:
        bundle: the model; it stays as it is.
        out: new or empty folder, or an earlier copy of this bundle, which is replaced.

    Raises:
        BundleError: a file of the bundle is damaged, or the graphs do not compute what the networks do.
        FolderError: ``out`` holds something else, or another bundle.
        StorageError: the disk refused.
    """
    require_bundle_or_unused(out)
    if not is_unused(out) and (other := _other_weights(bundle, out)):
        raise FolderError(f"{out} holds another bundle ({other} differs).", field="--out", value=out)
    files = {name: read_regular(bundle.file(name), MAX_BYTES) for name in bundle.sums}
    graphs = graphs_of(bundle.config, files)
    if not graphs.get("generator.onnx"):
        raise BundleError(f"the generator of {bundle.name} is of the family {bundle.shape.family}, which has no graph.")
    write_files(out, {**files, **graphs}, check_graphs)
    return open_bundle(out)
