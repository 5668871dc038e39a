"""Which shard is made next, and when a request is full.

Shards of a request are counted in the order of their draws. The one in which the count is reached is made again, cut
to what is missing; later ones were made in vain. So the faces are the first that pass, however many were drawn at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cfgan.attributes.spec import RequestCell
from cfgan.generate.shards.content import Shard, ShardRecord


@dataclass
class CellSchedule:
    """The shards of one request.

    Args:
        index: its place in the plan.
        cell: the request.
        draws: a shard, a multiple of 32.
    """

    index: int
    cell: RequestCell
    draws: int
    records: dict[int, ShardRecord] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)

    @property
    def last(self) -> int:
        """Shards that the request's draws allow."""
        return -(-self.cell.max_draws // self.draws)

    def shard(self, number: int, limit: int) -> Shard:
        """A shard of this request."""
        stop = min((number + 1) * self.draws, self.cell.max_draws)
        return Shard(self.index, number, range(number * self.draws, stop), limit)

    def counted(self) -> tuple[int, int, bool]:
        """Shards that count so far, faces in them, and whether nothing is left to be made."""
        faces = 0
        for number in range(self.last):
            record = self.records.get(number)
            missing = self.cell.count - faces
            # The last one is cut even if it holds just as many: draws after its last face were made in vain.
            if record is None or record.limit < missing or (record.faces >= missing and record.limit > missing):
                return number, faces, False
            faces += record.faces
            if faces == self.cell.count:
                return number + 1, faces, True
        return self.last, faces, True

    def next(self) -> Shard | None:
        """What should be made now; None if there is nothing, or nothing before more is known."""
        place, faces, done = self.counted()
        if done:
            return None
        missing = self.cell.count - faces
        if place in self.records:  # not cut, or to another count
            return None if place in self.running else self.shard(place, missing)
        ahead = sum(record.faces for number, record in self.records.items() if number > place)
        waiting = len(self.running) * self.draws * self._rate()
        if self.running and faces + ahead + waiting >= self.cell.count:
            return None
        number = next((n for n in range(place, self.last) if n not in self.records and n not in self.running), None)
        return None if number is None else self.shard(number, missing if number == place else self.cell.count)

    def _rate(self) -> float:
        """Faces a draw, so far; all draws while nothing is known."""
        draws = sum(int(record.tally["next_draw"]) for record in self.records.values())
        return sum(record.faces for record in self.records.values()) / draws if draws else 1.0

    def take(self, record: ShardRecord) -> None:
        """A shard is made."""
        self.running.discard(record.number)
        self.records[record.number] = record

    def in_vain(self) -> list[ShardRecord]:
        """Shards that do not count, once nothing is left to be made."""
        place, _, done = self.counted()
        return [record for number, record in self.records.items() if number >= place] if done else []
