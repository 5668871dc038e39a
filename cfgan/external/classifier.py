"""An external classifier: somebody else's pretrained network, asked for one attribute that it happens to know about.

It learned from other faces and other labels, it never gates and never guides, and nothing in a bundle can have been
fitted to it. What it says of faces is held against what it says of real ones (:mod:`cfgan.external.real_faces`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cfgan.external.detector import Boxes, Levels
from cfgan.io.progress import Progress

SEEN = 0.5
"""From this probability on an external classifier sees its attribute. No threshold was fitted to any label."""

_CHUNK = 64  # faces between two calls of progress

Probabilities = npt.NDArray[np.float32]
"""(N,), 0..1; NaN where an external classifier cannot say because no face was found."""


class ExternalClassifier(Protocol):
    """Pixel levels to the probability of one attribute."""

    @property
    def name(self) -> str:
        """Short, to be shown with its figures."""
        ...

    @property
    def source(self) -> str:
        """The public package and version that its weights come from."""
        ...

    @property
    def licence(self) -> str:
        """Of the weights."""
        ...

    @property
    def attribute(self) -> str:
        """Which attribute, as CelebA calls it."""
        ...

    @property
    def sign(self) -> int:
        """+1 if the probability is that of having the attribute, -1 if that of lacking it."""
        ...

    @property
    def digest(self) -> str:
        """sha256 of weights and preprocessing, hex: figures of equal digests can be compared."""
        ...

    def __call__(self, levels: Levels, boxes: Boxes) -> Probabilities:
        """Images uint8 (N, 3, H, W) and where their faces are, (N, 4), to probabilities (N,).

        Raises:
            DataError: another type or shape.
        """
        ...


def sees(classifier: ExternalClassifier, probability: Probabilities) -> npt.NDArray[np.bool_]:
    """Whether a classifier sees its attribute in a face, bool (n,), of those n that it can say something about."""
    known = probability[np.isfinite(probability)]
    return np.asarray((known >= SEEN) == (classifier.sign > 0))


def ask(
    classifier: ExternalClassifier, levels: Levels, boxes: Boxes, progress: Progress | None = None
) -> Probabilities:
    """An external classifier over many faces, some at a time.

    Args:
        classifier: which.
        levels: uint8 (N, 3, H, W), 0..255; may be memory-mapped.
        boxes: where their faces are, (N, 4).
        progress: called with faces done and in all.

    Raises:
        DataError: another type or shape.
    """
    probability = np.empty(len(levels), np.float32)
    for start in range(0, len(levels), _CHUNK):
        part = slice(start, start + _CHUNK)
        probability[part] = classifier(levels[part], boxes[part])
        if progress:
            progress(classifier.name, min(start + _CHUNK, len(levels)), len(levels))
    return probability


def digest_of(preprocessing: str, weights: Sequence[str]) -> str:
    """sha256 of a description of the preprocessing and of the sha256 sums of weight files."""
    return hashlib.sha256("\n".join([preprocessing, *weights]).encode()).hexdigest()
