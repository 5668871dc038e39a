"""Whether a bundle's ONNX graphs compute what its networks do in torch."""

from __future__ import annotations

import numpy as np

from cfgan.errors import BundleError
from cfgan.model.bundle import Bundle
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
