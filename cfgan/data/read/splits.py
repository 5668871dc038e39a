"""Which images are for training, validation and test: as stated, or by a share that depends on a name alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.data.labelled_images import SPLITS
from cfgan.errors import DataError, nearest

WORDS = {
    **dict.fromkeys(("train", "training", "0"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "1"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "2"), "test"),
}
"""How data sets call their splits, in small letters; the numbers are CelebA's."""

FOLDERS = frozenset(word for word in WORDS if not word.isdigit())
"""What folders of splits are called: those called 0, 1 and 2 hold classes, or parts of a large data set."""

Splits = npt.NDArray[np.uint8]
"""(N,); 0 train, 1 validation, 2 test."""


@dataclass(frozen=True)
class Shares:
    """Shares of the images that are held out where a data set does not say which. Raises DataError out of range."""

    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        for field, value in (("--validation", self.validation), ("--test", self.test)):
            if not 0 <= value < 1:
                raise DataError("a share lies between 0 and 1.", field=field, value=value)
        if self.validation + self.test >= 1:
            raise DataError("nothing is left to train on.", field="--validation", value=self.validation)

    def split(self, keys: Sequence[str]) -> Splits:
        """Each key's split: its sha256 as a number in 0..1 against the shares.

        The same key always comes to the same split, whatever else the data set holds and in whatever order, so neither
        a resumed nor a grown data set moves an image from one split to another.
        """
        place = np.asarray([_number(key) for key in keys], dtype=np.float64)
        held = np.where(place < self.test + self.validation, SPLITS["validation"], SPLITS["train"])
        return np.where(place < self.test, SPLITS["test"], held).astype(np.uint8)


def name_order(keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """int64 (N,): the place of each key when they are ordered by their sha256, which nobody chose."""
    order = np.argsort(np.asarray([_number(key) for key in keys], dtype=np.float64), kind="stable")
    places = np.empty(len(keys), dtype=np.int64)
    places[order] = np.arange(len(keys))
    return places


def _number(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64


def split_named(word: Any, *, field: str, where: str) -> int:
    """The split that a word or number names. Raises DataError with the nearest."""
    text = str(word).strip().casefold().removesuffix(".0")
    if text not in WORDS:
        raise DataError(f"{where}: {word!r} is not a split.", field=field, value=word, nearest=nearest(text, WORDS))
    return SPLITS[WORDS[text]]


def common_words(words: Sequence[str]) -> tuple[str, ...]:
    """ "train", "validation" and "test" where all words but empty ones mean those; else the words as they stand."""
    plain = {word: word.casefold().removesuffix(".0") for word in set(words)}
    if all(not word or word in WORDS for word in plain.values()):
        plain = {word: WORDS.get(key, "") for word, key in plain.items()}
        return tuple(plain[word] for word in words)
    return tuple(words)


def require_together(split: Splits, groups: Sequence[str], *, field: str) -> None:
    """Raise DataError if a group (a person, say) has images in two splits: what was trained on would test itself."""
    first: dict[str, int] = {}
    for group, value in zip(groups, split.tolist(), strict=True):
        if first.setdefault(group, value) != value:
            names = {number: name for name, number in SPLITS.items()}
            raise DataError(
                f"{group!r} has images in {names[first[group]]} and in {names[value]}; a group stays in one split.",
                field=field,
                value=group,
            )
