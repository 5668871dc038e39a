"""What a model's verifier or judge reads in any images, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfgan.data.decode import check_crop
from cfgan.data.framing.faces import Framer
from cfgan.data.image_files import find_images
from cfgan.io.progress import Progress
from cfgan.model.bundle import Bundle
from cfgan.verify.images import Columns, choose_columns, open_reader, verify_images
from cfgan.verify.images import Readings as Part

if TYPE_CHECKING:
    import pandas as pd


class Readings:
    """Readings of images, in order; :meth:`cfgan.Model.verify` gives them.

    Attributes:
        by: "verifier" or "judge".
        attributes: the k attributes that were read.
        files: names of the n images.
        probability: float32 (n, k), calibrated, 0..1; NaN where an image could not be read.
        seen: bool (n, k), whether a probability reaches the reader's threshold of best balanced accuracy.
        meets: bool (n,), whether an image shows all that was requested; None without a request.
        errors: why an image could not be read, or None; n of them.

    Example:
        >>> _ = model.generate("any", count=4, out="any_face")
        >>> readings = model.verify("any_face")
        >>> readings.probability.shape, readings.attributes[0]
        ((4, 6), 'Red')
        >>> readings.failed
        {}
    """

    def __init__(self, columns: Columns) -> None:
        self.by = columns.reader
        self.attributes = columns.names
        self.files: list[str] = []
        self.errors: list[str | None] = []
        self._parts: list[Part] = []
        self.probability: npt.NDArray[np.float32] = np.zeros((0, len(columns.names)), np.float32)
        self.seen: npt.NDArray[np.bool_] = np.zeros((0, len(columns.names)), bool)
        self.meets: npt.NDArray[np.bool_] | None = None if columns.wanted is None else np.zeros(0, bool)

    def add(self, readings: Part) -> None:
        """Take some more images, as a sink of :func:`cfgan.verify.images.verify_images`."""
        self._parts.append(readings)
        self.files += readings.files
        self.errors += readings.errors

    def close(self) -> None:
        """Put the parts together."""
        if self._parts:
            self.probability = np.concatenate([part.probability for part in self._parts])
            self.seen = np.concatenate([part.seen for part in self._parts])
            if self.meets is not None:
                self.meets = np.concatenate([part.meets for part in self._parts if part.meets is not None])
        self._parts = []

    @property
    def failed(self) -> dict[str, str]:
        """Name -> reason of the images that could not be read."""
        return {file: error for file, error in zip(self.files, self.errors, strict=True) if error is not None}

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return f"<Readings: {len(self):,} images by the {self.by}, {len(self.attributes)} attributes>"

    def to_pandas(self) -> pd.DataFrame:
        """A row an image: ``file``, ``verifier.*`` or ``judge.*``, ``seen.*``, ``meets`` if requested, ``error``."""
        import pandas as pd

        table: dict[str, pd.Series[Any]] = {"file": pd.Series(self.files, dtype=object)}
        for k, name in enumerate(self.attributes):
            table[f"{self.by}.{name}"] = pd.Series(self.probability[:, k])
        for k, name in enumerate(self.attributes):
            table[f"seen.{name}"] = pd.Series(self.seen[:, k])
        if self.meets is not None:
            table["meets"] = pd.Series(self.meets)
        table["error"] = pd.Series(self.errors, dtype=object)
        return pd.DataFrame(table)


def read_images(
    bundle: Bundle,
    paths: Sequence[str | Path],
    request: str | None,
    by: str,
    *,
    crop: str,
    align: bool,
    recursive: bool,
    device: str,
    progress: Progress | None,
) -> Readings:
    """Find images and read them; see :meth:`cfgan.Model.verify`."""
    check_crop(crop)
    columns = choose_columns(bundle, by, request)
    files = find_images(paths, recursive=recursive, archives=True).files
    readings = Readings(columns)
    framer = Framer() if align else None
    reader = open_reader(bundle, by, device)
    verify_images(reader, bundle.size, files, columns, [readings], crop=crop, framer=framer, progress=progress)
    readings.close()
    return readings
