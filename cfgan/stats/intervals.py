"""Intervals of what is counted. Stands low, so that data and reports need nothing else for them."""

from __future__ import annotations

import math


def wilson_interval(successes: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), 95 % by default; NaNs for n = 0."""
    if n == 0:
        return math.nan, math.nan
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the bounds are exactly 0 and 1; rounding must not say otherwise.
    return 0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half
