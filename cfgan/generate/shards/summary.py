"""What a run of shards gave."""

from __future__ import annotations

from dataclasses import dataclass

from cfgan.generate.summary import Totals


@dataclass(frozen=True, kw_only=True)
class ShardSummary(Totals):
    """What a run gave: also where the shards are, and how many."""

    where: str
    shards: int
