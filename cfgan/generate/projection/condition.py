"""What the verifier reads in a photo, as a condition."""

from __future__ import annotations

import numpy as np

from cfgan.model.engine import Floats, Levels
from cfgan.verify.reader import Reader


def read_condition(verifier: Reader, levels: Levels) -> Floats:
    """What the verifier reads in photos (N, 3, size, size) as conditions, float32 (N, A) in -1..1: 0 at its threshold,
    -1 and 1 where it is certain."""
    probability, threshold = verifier.probability(levels), verifier.calibration.threshold
    above = (probability - threshold) / np.maximum(1 - threshold, 1e-6)
    below = (probability - threshold) / np.maximum(threshold, 1e-6)
    return np.asarray(np.where(probability >= threshold, above, below).clip(-1, 1), np.float32)
