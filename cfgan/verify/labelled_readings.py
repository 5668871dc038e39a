"""Readings of labelled images, kept together with which label row each belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cfgan.verify.images import Readings


class LabelledReadings:
    """Takes readings batch by batch, as a sink of :func:`cfgan.verify.images.verify_images` does, and keeps those of
    images that could be read and have a label row.

    Args:
        rows: int64 (N,), of each image in order its label row; below 0 for none.
        places: columns of the readings that are kept, k of them.
    """

    def __init__(self, rows: npt.NDArray[np.int64], places: Sequence[int]) -> None:
        self._all, self._places, self._next = rows, list(places), 0
        self._rows: list[npt.NDArray[np.int64]] = []
        self._probability: list[npt.NDArray[np.float32]] = []
        self._seen: list[npt.NDArray[np.bool_]] = []

    def add(self, readings: Readings) -> None:
        """Take the next images."""
        rows = self._all[self._next : self._next + len(readings.files)]
        self._next += len(readings.files)
        keep = (rows >= 0) & np.asarray([error is None for error in readings.errors], dtype=bool)
        self._rows.append(rows[keep])
        self._probability.append(readings.probability[keep][:, self._places])
        self._seen.append(readings.seen[keep][:, self._places])

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Label row of each image that is kept, (m,)."""
        return np.concatenate([np.zeros(0, np.int64), *self._rows])

    @property
    def probability(self) -> npt.NDArray[np.float32]:
        """(m, k)."""
        return np.concatenate([np.zeros((0, len(self._places)), np.float32), *self._probability])

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """(m, k)."""
        return np.concatenate([np.zeros((0, len(self._places)), bool), *self._seen])
