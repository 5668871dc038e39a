"""How figures of ``stats.json`` are rounded."""

from __future__ import annotations

import math


def rounded(value: float, digits: int = 5) -> float | None:
    """To so many places; None for what is not finite."""
    return round(float(value), digits) if math.isfinite(value) else None


def significant(value: float) -> float:
    """To four significant digits."""
    return float(f"{value:.4g}")
