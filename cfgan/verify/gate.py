"""The list of gates, and the first of them.

A draw is accepted when every gate's every answer is yes. ``GATES`` lists what makes them. The verifier's
gate is the first: its names are the requested attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.attributes.spec import RequestCell
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.store import FEW_VALIDATION
from cfgan.errors import RequestError
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import Calibration
from cfgan.verify.candidates import Candidates, Gate
from cfgan.verify.precision import OperatingPoint, points_for_request
from cfgan.verify.request_gate import request_thresholds


@dataclass(frozen=True)
class VerifierGate:
    """The verifier's gate of one request.

    A face passes when the verifier is as sure of it as of four in five real faces that carry the request: of the whole
    request in bundles whose ``gate`` is "request" (:mod:`cfgan.verify.request_gate`), of each value by itself in older
    ones. In bundles without either a wanted attribute passes when its calibrated probability reaches the threshold of
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
        real: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None = None,
    ) -> VerifierGate:
        """The gate of a cell: its own threshold, those of its precision (``points``), or the bundle's.

        With ``real``, the verifier's probabilities and the labels (N, A) of held-out real faces, a request of several
        values is gated as a whole.
        """
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
            if real is not None and len(names) > 1:
                read, labels = (each[:, columns] for each in real)
                whole = request_thresholds(read, labels, wanted, calibration.threshold[columns])
                least = np.where(np.isfinite(whole), whole, least)
            return cls(names, columns, wanted, least, np.zeros(len(names), bool))
        own = calibration.threshold[columns]
        return cls(names, columns, wanted, np.where(wanted, own, 1 - own), ~wanted)

    @property
    def thresholds(self) -> dict[str, float]:
        return {name: round(float(least), 6) for name, least in zip(self.names, self.least, strict=True)}

    def passes(self, draws: Candidates) -> npt.NDArray[np.bool_]:
        return self.sees(draws.probability)

    def sees(self, probability: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """(N, A) calibrated probabilities to bool (N, G): which requested values are seen."""
        p = probability[:, self.columns].astype(np.float64)
        requested = np.where(self.wanted, p, 1 - p)
        return np.where(self.strict, requested > self.least, requested >= self.least)


@dataclass(frozen=True)
class AllOf:
    """Several gates as one: a draw passes when it passes each."""

    gates: tuple[Gate, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for gate in self.gates for name in gate.names)

    @property
    def thresholds(self) -> dict[str, float]:
        return {name: least for gate in self.gates for name, least in gate.thresholds.items()}

    def passes(self, draws: Candidates) -> npt.NDArray[np.bool_]:
        return np.concatenate([gate.passes(draws) for gate in self.gates], 1)


def verifier_gate(bundle: Bundle, cell: RequestCell) -> VerifierGate:
    """The verifier's gate of a cell.

    Raises:
        RequestError: the verifier cannot reach the cell's precision, or too few held-out real images carry a value for
            the bundle's own gate to mean something.
        BundleError: the bundle's readings of real faces are damaged.
    """
    _require_enough(bundle, cell)
    points = real = None
    if cell.verify.enabled and cell.verify.precision is not None:
        points = points_for_request(bundle, cell.request, cell.verify.precision)
    elif bundle.gates_requests and (validation := bundle.validation()) is not None:
        read = bundle.classifiers["verifier"].held_out()
        real = None if read is None else (read, validation.labels)
    return VerifierGate.for_cell(cell, bundle.vocabulary, bundle.calibration, points, real)


def _require_enough(bundle: Bundle, cell: RequestCell) -> None:
    """Raise RequestError where "as sure as of four in five real images that carry it" would be said of a handful."""
    own = cell.verify.enabled and cell.verify.threshold is None and cell.verify.precision is None
    if not own or not len(bundle.calibration.gate_yes) or (validation := bundle.validation()) is None:
        return
    for name, value in cell.request.items():
        if abs(value) != 1:
            continue
        carry = int((validation.labels[:, bundle.vocabulary.index(name)] * value > 0).sum())
        if carry < FEW_VALIDATION:
            what = f"{'' if value > 0 else '-'}{name}"
            raise RequestError(
                f"{what} cannot be promised: {carry} of {len(validation.labels):,} held-out real images carry it, and "
                f"to be as sure as of four in five of those takes {FEW_VALIDATION}. Give --threshold 0.5 (verify: "
                "{threshold: 0.5} in a spec) for a gate of your own, or --no-verify to keep every draw.",
                field="attributes",
                value=what,
            )


GATES: tuple[Callable[[Bundle, RequestCell], Gate | None], ...] = (verifier_gate,)
"""What makes the gates of a cell, in the order in which their answers are counted; None: the cell asks for none."""


def alone(bundle: Bundle, name: str) -> float | None:
    """The probability from which a draw passes where an attribute is all that is asked for; None where the bundle's own
    gate promises nothing of it, because too few real images carry it."""
    try:
        return verifier_gate(bundle, RequestCell(name, {name: 1.0}, 1, 0)).thresholds[name]
    except RequestError:
        return None


def gate_of(bundle: Bundle, cell: RequestCell) -> Gate:
    """All gates of a cell as one. Raises as :func:`verifier_gate`."""
    made = (make(bundle, cell) for make in GATES)
    gates = tuple(gate for gate in made if gate is not None)
    return gates[0] if len(gates) == 1 else AllOf(gates)
