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
    """The shards of one request. What is known of them is kept up with each record, for there may be many.

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
    made: int = 0  # faces in all records
    _drawn: int = 0  # draws that they took
    _place: int = 0  # shards that count so far
    _faces: int = 0  # faces in them

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
        return self._place, self._faces, self._faces == self.cell.count or self._place == self.last

    def next(self) -> Shard | None:
        """What should be made now; None if there is nothing, or nothing before more is known."""
        place, faces, done = self.counted()
        if done:
            return None
        missing = self.cell.count - faces
        if place in self.records:  # not cut, or to another count
            return None if place in self.running else self.shard(place, missing)
        rate = self.made / self._drawn if self._drawn else 1.0  # all draws while nothing is known
        if self.running and self.made + len(self.running) * self.draws * rate >= self.cell.count:
            return None
        number = next((n for n in range(place, self.last) if n not in self.records and n not in self.running), None)
        return None if number is None else self.shard(number, missing if number == place else self.cell.count)

    def take(self, record: ShardRecord) -> None:
        """A shard is made, or made again."""
        self.running.discard(record.number)
        for sign, each in ((-1, self.records.get(record.number)), (1, record)):
            if each is not None:
                self.made += sign * each.faces
                self._drawn += sign * int(each.tally["next_draw"])
        self.records[record.number] = record
        while not self.counted()[2] and (found := self.records.get(self._place)) is not None:
            missing = self.cell.count - self._faces
            # The last one is cut even if it holds just as many: draws after its last face were made in vain.
            if found.limit < missing or (found.faces >= missing and found.limit > missing):
                return
            self._faces += found.faces
            self._place += 1

    def counting(self) -> list[ShardRecord]:
        """The records that count, in order."""
        return [self.records[number] for number in range(self._place)]
