"""Numbers as classes: an age of 25 with edges at 18 and 40 is ``age_18_to_40``."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any

from cfgan.errors import InputError


def parse_bins(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """ "age=18,40" to {"age": (18, 40)}. Raises InputError."""
    found: dict[str, tuple[float, ...]] = {}
    for text in texts:
        title, equals, edges = text.partition("=")
        try:
            numbers = tuple(float(edge) for edge in edges.split(","))
        except ValueError:
            numbers = ()
        rising = all(a < b for a, b in zip(numbers, numbers[1:], strict=False))
        if not title.strip() or not equals or not numbers or not rising or not all(map(math.isfinite, numbers)):
            raise InputError(
                f"{text!r}: a name and rising numbers are expected, such as age=18,40,60.", field="--bins", value=text
            )
        found[title.strip()] = numbers
    return found


def binned(title: str, cells: Sequence[Any], edges: Sequence[float]) -> list[str | None]:
    """The class of each number: below the first edge, from each to the next, from the last on; None for no number."""
    shown = [f"{edge:g}" for edge in edges]
    between = [f"{title}_{a}_to_{b}" for a, b in zip(shown, shown[1:], strict=False)]
    names = [f"{title}_below_{shown[0]}", *between, f"{title}_from_{shown[-1]}"]
    found: list[str | None] = []
    for cell in cells:
        try:
            number = float(str(cell).strip())
        except ValueError:
            number = math.nan
        found.append(names[bisect.bisect_right(edges, number)] if math.isfinite(number) else None)
    return found
