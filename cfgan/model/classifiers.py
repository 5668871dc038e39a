"""The classifiers of a bundle, by role.

``verifier`` gates: it decides which draws are accepted. ``judge``, another network of another architecture, only
reports. Another role is a line in :data:`NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.io.reading import load_tensors
from cfgan.model.calibration import Calibration

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


@dataclass(frozen=True)
class Validation:
    """Labels of held-out real images and what a bundle's classifiers read in them; no image and no name is kept.

    Args:
        labels: float32 (N, A); 1, -1, NaN unknown.
        logits: role -> float32 (N, A).
    """

    labels: npt.NDArray[np.float32]
    logits: Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Classifier:
    """One classifier of a bundle.

    Args:
        role: "verifier" or "judge".
        calibration: fitted on held-out real images.
        load: its network, in eval mode, on the CPU; raises BundleError where a file is damaged.
        validation: what the bundle keeps of held-out real images, if it does; raises BundleError.
    """

    role: str
    calibration: Calibration
    load: Callable[[], nn.Module]
    validation: Callable[[], Validation | None]

    def held_out(self) -> npt.NDArray[np.float32] | None:
        """Its calibrated probabilities (N, A) for held-out real images, computed once; None in a bundle that does not
        keep them.

        Raises:
            BundleError: the file is damaged.
        """
        return self._held_out

    @cached_property
    def _held_out(self) -> npt.NDArray[np.float32] | None:
        validation = self.validation()
        if validation is None or self.role not in validation.logits:
            return None
        return self.calibration.probabilities(validation.logits[self.role])


def _verifier(about: Mapping[str, Any]) -> nn.Module:
    from cfgan.networks.classifier import AttributeClassifier, ClassifierShape

    return AttributeClassifier(ClassifierShape.from_dict(about["shape"]))


def _judge(about: Mapping[str, Any]) -> nn.Module:
    from cfgan.networks.judge import Judge, JudgeShape

    return Judge(JudgeShape(**about["shape"]))


NETWORKS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {"verifier": _verifier, "judge": _judge}
"""Role -> its network without weights, from what ``config.json`` says of it. A bundle always has the first."""


def calibrations_of(config: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Calibration]:
    """Role -> calibration of the classifiers that a bundle has. Raises ValueError, KeyError or TypeError."""
    required = next(iter(NETWORKS))
    return {role: _calibration(config[role], vocabulary) for role in NETWORKS if role in config or role == required}


def _calibration(part: Mapping[str, Any], vocabulary: Vocabulary) -> Calibration:
    calibration = Calibration.from_dict(part["calibration"])
    gates = [values for values in (calibration.gate_yes, calibration.gate_no) if len(values)]
    if len(gates) == 1:
        raise ValueError("a calibration has half a gate")
    for values in (calibration.slope, calibration.intercept, calibration.threshold, *gates):
        if values.shape != (len(vocabulary),) or not np.isfinite(values).all():
            raise ValueError("a calibration does not fit the vocabulary")
    return calibration


def read_validation(path: Path, vocabulary: Vocabulary) -> Validation:
    """The readings that a bundle keeps. Raises what the library that reads them does, ValueError or KeyError."""
    arrays = load_tensors(path)
    labels = arrays.pop("labels").astype(np.float32)
    labels[labels == 0] = np.nan
    found = Validation(labels, {role: logits.astype(np.float32) for role, logits in arrays.items()})
    if any(logits.shape != (len(labels), len(vocabulary)) for logits in (labels, *found.logits.values())):
        raise ValueError("its arrays do not fit the vocabulary")
    return found
