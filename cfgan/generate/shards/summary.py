"""What a run of shards gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ShardSummary:
    """What a run gave. ``cells``: as :func:`cfgan.generate.summary.summarise` says."""

    where: str
    accepted: int
    wanted: int
    draws: int
    seconds: float
    shards: int
    cells: list[dict[str, Any]]

    @property
    def complete(self) -> bool:
        """Whether every face asked for was found."""
        return self.accepted >= self.wanted
