"""Single-label data: one attribute a class, of which exactly one holds."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.label_values import UNKNOWN
from cfgan.errors import DataError

Labels = npt.NDArray[np.float32]


def attribute_name(text: str) -> str:
    """A class title as an attribute name: other characters than letters, digits, spaces, '_', '-' and ' become '_'."""
    name = re.sub(r"[^A-Za-z0-9 _\-']+", "_", text.strip()).strip(" _-'")[:64]
    if not name:
        raise DataError(f"{text!r} cannot be made an attribute name.", field="classes", value=text)
    return name


def one_hot(classes: Sequence[int], count: int) -> Labels:
    """Class numbers (N,), -1 unknown, to labels (N, count): 1 for the class, -1 for others, NaN for unknown ones."""
    number = np.asarray(classes, dtype=np.int64)
    labels = np.where(number[:, None] == np.arange(count), 1.0, -1.0)
    labels[number < 0] = np.nan
    return labels.astype(np.float32)


def class_numbers(cells: Sequence[Any], *, fold_case: bool = False) -> tuple[list[int], list[str]]:
    """For each cell the number of its class, -1 where nothing is known; and the classes, "2" before "10".

    With ``fold_case`` "Hat" and "hat" are one class, spelled as it is most often (the first of equals).
    """
    found = [_class(cell) for cell in cells]
    if fold_case:
        spelled: dict[str, Counter[str]] = defaultdict(Counter)
        for cell in found:
            if cell is not None:
                spelled[cell.casefold()][cell] += 1
        usual = {key: spellings.most_common(1)[0][0] for key, spellings in spelled.items()}
        found = [None if cell is None else usual[cell.casefold()] for cell in found]
    titles = sorted({cell for cell in found if cell is not None}, key=_natural)
    number = {title: k for k, title in enumerate(titles)}
    return [-1 if cell is None else number[cell] for cell in found], titles


def _class(cell: Any) -> str | None:
    """A class cell as text, whole numbers without a point; None where nothing is known."""
    text = re.sub(r"^(-?\d+)\.0+$", r"\1", str(cell).strip())
    return None if text.casefold() in UNKNOWN else text


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part)


def class_vocabulary(
    sets: Mapping[str, Sequence[str]], others: Sequence[str] = (), hints: Mapping[str, str] | None = None
) -> Vocabulary:
    """A vocabulary of sets of classes and of other attributes, which come first.

    Args:
        sets: title -> names of its classes; at least two each.
        others: attributes that are no classes.
        hints: word that people use -> how to ask for it.

    Raises:
        DataError: a set of fewer than two classes, or two that differ in capitals alone.
        VocabularyError: malformed names, or two that are the same.
    """
    for title, names in sets.items():
        if len(names) < 2:
            raise DataError(f"{title} has {len(names)} class; two are needed at least.", field="classes", value=title)
        spelled: dict[str, str] = {}
        for name in names:
            if (other := spelled.setdefault(name.casefold(), name)) != name:
                said = f"{other!r} and {name!r} differ in capitals alone; --fold-case makes them one class."
                raise DataError(said, field="classes", value=name)
    groups = tuple(frozenset(names) for names in sets.values())
    names = (*others, *(name for listed in sets.values() for name in listed))
    titles = {title: tuple(listed) for title, listed in sets.items()}
    return Vocabulary(names, groups=titles, exclusive=groups, one_of=groups, hints=hints or {})
