"""Pictures for a report: the surest, the least sure and the rejected faces. Only generated faces are ever shown."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.io.png import encode_png
from cfgan.reports.batch.figures import gated
from cfgan.reports.batch.folder import BatchFolder
from cfgan.reports.batch.reading import CellReading

_MOST = 600 * 64  # pictures on a page times their side: a PNG grows with its contours more than with its area
_EACH = 6  # of a kind in a cell at most


@dataclass(frozen=True)
class Picture:
    """One generated face.

    Args:
        kind: "surest", "least sure", "first" or "rejected".
        draw: its number.
        reader: whose ``probabilities`` they are.
        probabilities: requested value such as "Male" or "-Eyeglasses" -> probability of that value.
        uri: the PNG as a data URI.
    """

    kind: str
    draw: int
    reader: str
    probabilities: Mapping[str, float]
    uri: str

    @property
    def least(self) -> float:
        """Probability of the value that the reader is least sure of; NaN where nothing was asked for."""
        return min(self.probabilities.values(), default=float("nan"))

    @property
    def which(self) -> str:
        """That value; empty where nothing was asked for."""
        return min(self.probabilities, key=lambda name: self.probabilities[name], default="")

    @property
    def alt(self) -> str:
        """What somebody who does not see it should know."""
        words = ", ".join(f"{name} {p:.2f}" for name, p in self.probabilities.items())
        return f"Generated face, {self.kind}, draw {self.draw}" + (f"; {self.reader}: {words}" if words else "")

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "draw": self.draw, "reader": self.reader, "probability": dict(self.probabilities)}


def each_of(cells: int, size: int) -> int:
    """How many pictures of ``size`` pixels and of a kind a cell gets, so that a page with many cells can still be
    opened."""
    return min(_EACH, _MOST // (3 * size * max(1, cells)))


def pictures_of(
    batch: BatchFolder, reading: CellReading, names: tuple[str, ...], most: int, model: Mapping[str, Any]
) -> list[Picture]:
    """The pictures of a cell.

    Args:
        batch: the folder, for the faces.
        reading: of the cell.
        names: attributes of the model.
        most: of each kind.
        model: name and digest, which every picture carries.
    """
    values = gated(reading.faces.cell)
    reader = "judge" if "judge" in reading.kept else "verifier"
    columns = [names.index(name) for name in values]
    wanted = np.asarray([value > 0 for value in values.values()], dtype=bool)

    def of_value(p: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        part = p[:, columns].astype(np.float64)
        return np.where(wanted, part, 1 - part)

    titles = [name if value > 0 else f"-{name}" for name, value in values.items()]
    kept = of_value(reading.kept[reader])
    kinds: list[tuple[str, list[int]]] = [("first", list(range(min(len(kept), 2 * most))))]
    if titles:
        order = np.argsort(-kept.min(1), kind="stable")
        top = min(most, (len(order) + 1) // 2)
        low = order[max(top, len(order) - most) :]
        kinds = [("surest", order[:top].tolist()), ("least sure", low[::-1].tolist())]
    found = []
    for kind, rows in kinds:
        pixels = batch.pixels([reading.faces.files[k] for k in rows])
        for k, image in zip(rows, pixels, strict=True):
            p = dict(zip(titles, kept[k].tolist(), strict=True))
            found.append(_picture(kind, int(reading.faces.draws[k]), reader, p, image, reading.faces.cell.seed, model))
    if reading.redrawn:
        again = of_value(reading.redrawn.probability["verifier"])
        for draw, image in reading.redrawn.rejected[:most]:
            p = dict(zip(titles, again[draw].tolist(), strict=True))
            found.append(_picture("rejected", draw, "verifier", p, image, reading.faces.cell.seed, model))
    return found


def _picture(
    kind: str,
    draw: int,
    reader: str,
    probabilities: Mapping[str, float],
    pixels: npt.NDArray[np.uint8],
    seed: int,
    model: Mapping[str, Any],
) -> Picture:
    png = encode_png(pixels, {"synthetic": True, "bundle": dict(model), "seed": seed, "draw": draw}, compress=9)
    return Picture(kind, draw, reader, probabilities, "data:image/png;base64," + base64.b64encode(png).decode())
