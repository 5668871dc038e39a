"""A table of image files with their labels and splits, before any image is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.decode import Box, load_rgb
from cfgan.errors import DataError

SPLITS = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class LabelledImages:
    """A table of image files with their labels, before any image is opened.

    Args:
        folder: where the files lie.
        files: file names, N of them, in order.
        labels: float32 (N, A); 1 has it, -1 has it not, NaN unknown.
        split: uint8 (N,); 0 train, 1 validation, 2 test.
        vocabulary: the A attribute names.
        crop: the box to cut out of each image, or None for the central square.
        image_size: width x height that every image must have, or None for any.
        opener: gives the RGB image of a name, where it is no plain file of the folder; raises DataError without the
            name.
        sound: whether no image can be bad (they are made in memory), so that none is opened only to be checked.
        framing: how faces were found and chosen where they are aligned on the way; "" where images stay as they are.
    """

    folder: Path
    files: tuple[str, ...]
    labels: npt.NDArray[np.float32]
    split: npt.NDArray[np.uint8]
    vocabulary: Vocabulary
    crop: Box | None = None
    image_size: tuple[int, int] | None = None
    opener: Callable[[str], Image.Image] | None = None
    sound: bool = False
    framing: str = ""

    def select(self, keep: npt.NDArray[np.bool_]) -> LabelledImages:
        """The rows where ``keep`` (N,) is true."""
        files = tuple(f for f, k in zip(self.files, keep, strict=True) if k)
        return replace(self, files=files, labels=self.labels[keep], split=self.split[keep])

    def open(self, row: int) -> Image.Image:
        """Decode one image completely, RGB. Raises DataError; the text begins with the file's name."""
        name = self.files[row]
        if self.opener is None:
            return load_rgb(self.folder / name)
        try:
            return self.opener(name)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None


def check_image(table: LabelledImages, row: int) -> str | None:
    """Decode one image; None when it is good, else one line that says what is wrong with it."""
    try:
        image = table.open(row)
    except DataError as error:
        return str(error)
    if table.image_size is not None and image.size != table.image_size:
        wanted = " x ".join(map(str, table.image_size))
        return f"{table.files[row]}: {image.width} x {image.height} pixels instead of {wanted}."
    return None
