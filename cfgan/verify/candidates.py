"""What a gate is: it is shown draws, and answers for each of its G names whether a draw passes.

It stands apart from the list of gates (:mod:`cfgan.verify.gate`), so that the modules in that list can import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Candidates:
    """Draws of a request before it is decided which of them pass.

    Args:
        condition: float32 (n, A), what the generator was given.
        pixels: uint8 (n, 3, H, W).
        probability: float32 (n, A), the verifier's, calibrated.
    """

    condition: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]


class Gate(Protocol):
    """What decides which draws of a request are accepted."""

    @property
    def names(self) -> tuple[str, ...]:
        """What it asks, G questions: an attribute's name where it asks for a requested value."""
        ...

    @property
    def thresholds(self) -> dict[str, float]:
        """Name -> the least that a draw has to reach; kept in ``batch.json``."""
        ...

    def passes(self, draws: Candidates) -> npt.NDArray[np.bool_]:
        """Whether each draw passes, bool (n, G)."""
        ...
