"""The verifier at work: calibrated probabilities of every attribute, and accept or reject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from cfgan.attributes.spec import RequestCell
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import Calibration
from cfgan.verify.precision import OperatingPoint, points_for_request

if TYPE_CHECKING:
    import torch


class Network(Protocol):
    """Anything that maps images (N, 3, H, W) in -1..1 to logits (N, A)."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor: ...


def probabilities(network: Network, calibration: Calibration, images: torch.Tensor) -> npt.NDArray[np.float32]:
    """Calibrated probability of every attribute: images (N, 3, H, W) in -1..1 to float32 (N, A)."""
    import torch

    with torch.inference_mode():
        return calibration.probabilities(network(images).float().cpu().numpy())


@dataclass(frozen=True)
class Gate:
    """Which images of a cell are accepted.

    A value passes when the verifier is as sure of it as of four in five real faces that carry it (the bundle's gate).
    In bundles without such a gate a wanted attribute passes when its calibrated probability reaches the threshold of
    best balanced accuracy, an unwanted one when it stays below. With an explicit threshold t, wanted needs p >= t and
    unwanted 1 - p >= t. Graded values (between -1 and 1) are shown to the generator but not gated: there is no true
    answer to "half smiling".

    Args:
        names: gated attributes, G of them.
        columns: their positions in the vocabulary.
        wanted: bool (G,).
        least: float64 (G,); the least probability *of the requested value*.
        strict: bool (G,); whether that probability must be above ``least`` rather than reach it.
    """

    names: tuple[str, ...]
    columns: npt.NDArray[np.int64]
    wanted: npt.NDArray[np.bool_]
    least: npt.NDArray[np.float64]
    strict: npt.NDArray[np.bool_]

    @classmethod
    def for_cell(
        cls,
        cell: RequestCell,
        vocabulary: Vocabulary,
        calibration: Calibration,
        points: Mapping[str, OperatingPoint] | None = None,
    ) -> Gate:
        """The gate of a cell: its own threshold, those of its precision (``points``), or the bundle's."""
        names = tuple(name for name, value in cell.request.items() if abs(value) == 1)
        columns = np.asarray([vocabulary.index(name) for name in names], dtype=np.int64)
        wanted = np.asarray([cell.request[name] > 0 for name in names], dtype=bool)
        if cell.verify.threshold is not None:
            return cls(names, columns, wanted, np.full(len(names), cell.verify.threshold), np.zeros(len(names), bool))
        if points is not None:
            least = np.asarray([points[name].threshold for name in names], dtype=np.float64)
            return cls(names, columns, wanted, least, np.zeros(len(names), bool))
        if len(calibration.gate_yes):
            least = np.where(wanted, calibration.gate_yes[columns], calibration.gate_no[columns])
            return cls(names, columns, wanted, least, np.zeros(len(names), bool))
        own = calibration.threshold[columns]
        return cls(names, columns, wanted, np.where(wanted, own, 1 - own), ~wanted)

    def passes(self, probability: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """(N, A) calibrated probabilities to bool (N, G): which requested values are seen."""
        p = probability[:, self.columns].astype(np.float64)
        requested = np.where(self.wanted, p, 1 - p)
        return np.where(self.strict, requested > self.least, requested >= self.least)


def gate_of(bundle: Bundle, cell: RequestCell) -> Gate:
    """Which images of a cell are accepted. Raises RequestError: the verifier cannot reach the cell's precision."""
    points = None
    if cell.verify.enabled and cell.verify.precision is not None:
        points = points_for_request(bundle, cell.request, cell.verify.precision)
    return Gate.for_cell(cell, bundle.vocabulary, bundle.calibration, points)
