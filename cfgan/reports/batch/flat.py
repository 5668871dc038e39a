"""Figures as columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def named(name: str, rate: Mapping[str, Any] | None) -> dict[str, Any]:
    """A rate, the ends of its interval and how many it is of; nothing where it is not known."""
    if rate is None:
        return {}
    low, high = rate["interval"]
    return {name: rate["rate"], f"{name}.low": low, f"{name}.high": high, f"{name}.n": rate["n"]}
