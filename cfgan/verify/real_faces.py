"""What a bundle's readers make of held-out real faces: the ceiling that figures on generated faces stand beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.model.bundle import Bundle
from cfgan.stats.rates import Bools, Rate


@dataclass(frozen=True)
class RealFaces:
    """Readings of held-out real faces.

    Args:
        vocabulary: the A attributes.
        labels: float32 (N, A); 1, -1, NaN unknown.
        probability: reader -> calibrated, float32 (N, A).
        seen: reader -> bool (N, A), at the reader's thresholds of best balanced accuracy.
    """

    vocabulary: Vocabulary
    labels: npt.NDArray[np.float32]
    probability: Mapping[str, npt.NDArray[np.float32]]
    seen: Mapping[str, Bools]

    def rate(self, reader: str, name: str, value: float, *, carried: bool = True) -> Rate:
        """How often a reader sees a value in real faces that carry it, or in those that carry the other one.

        Args:
            reader: "verifier" or "judge".
            name: of the attribute.
            value: +1 or -1.
            carried: False: in those that do not carry it (false alarms).
        """
        i = self.vocabulary.index(name)
        label = value if carried else -value
        rows = self.labels[:, i] * label > 0
        return Rate.of(self.seen[reader][rows, i] == (value > 0))

    def whole(self, reader: str, values: Mapping[str, float]) -> Rate:
        """How often a reader sees all of some +-1 values in real faces that carry them all."""
        columns = [self.vocabulary.index(name) for name in values]
        wanted = np.asarray([value > 0 for value in values.values()], dtype=bool)
        signs = np.where(wanted, 1, -1)
        rows = (self.labels[:, columns] * signs > 0).all(1)
        return Rate.of((self.seen[reader][rows][:, columns] == wanted).all(1))


def real_faces(bundle: Bundle) -> RealFaces | None:
    """The readings that a bundle keeps; None if it keeps none.

    Raises:
        BundleError: the file is damaged.
    """
    validation = bundle.validation()
    if validation is None:
        return None
    probability, seen = {}, {}
    for role, classifier in bundle.classifiers.items():
        if (read := classifier.held_out()) is not None:
            probability[role] = read
            seen[role] = np.asarray(read >= classifier.calibration.threshold)
    return RealFaces(bundle.vocabulary, validation.labels, probability, seen)
