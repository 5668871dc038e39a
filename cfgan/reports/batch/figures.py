"""The figures of a report: each request, each value, each reader, beside what the reader makes of real faces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cfgan.attributes.spec import RequestCell
from cfgan.attributes.spec_files import as_stored
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.reports.batch.reading import BatchReading, CellReading
from cfgan.stats.rates import LEAST, Rate, balanced, gap_below, shared_z
from cfgan.verify.real_faces import RealFaces

SHORT = 0.03
"""A rate this far below that on real faces is flagged, if the interval of the difference excludes 0."""
FAILING = 0.10
"""A rate that is certainly this far below that on real faces fails the batch."""


@dataclass
class _Tested:
    """A figure of the deciding reader that has a ceiling, with the dict in which it is reported."""

    row: dict[str, Any]
    ceiling: Rate
    rate: Rate


@dataclass
class _Pool:
    """One value of one attribute over all requests."""

    verified: Rate = Rate(0, 0)
    unfiltered: Rate | None = Rate(0, 0)


@dataclass
class BatchFigures:
    """Collects the figures of all cells, so that they can be judged together.

    Args:
        vocabulary: the attributes of the bundle at hand.
        real: what its readers make of real faces; None when it does not keep that.
        deciding: the reader that the verdict rests on.
        any_own: whether the bundle at hand made any of the batches; if so, only those are pooled for its verifier.
    """

    vocabulary: Vocabulary
    real: RealFaces | None
    deciding: str
    any_own: bool
    tested: list[_Tested] = field(default_factory=list)
    pools: dict[tuple[str, str, bool], _Pool] = field(default_factory=dict)
    whole: dict[str, Rate] = field(default_factory=dict)

    def cell(self, reading: CellReading, batch: BatchReading, names: tuple[str, ...], *, own: bool) -> dict[str, Any]:
        """The figures of one cell.

        Args:
            reading: of the cell.
            batch: that it belongs to.
            names: attributes of the model that made it.
            own: whether the bundle at hand made it, so that its verifier is the bundle's.
        """
        cell, tally = reading.faces.cell, reading.faces.tally
        values = gated(cell)
        attributes = [self._attribute(reading, batch, names, name, value, own) for name, value in cell.request.items()]
        accepted = Rate(tally.accepted, tally.next_draw)
        return {
            "name": cell.name,
            "request": dict(cell.request),
            "seed": cell.seed,
            "free": as_stored(cell.unspecified),
            "truncation": cell.truncation,
            **({} if cell.same_latents else {"same_latents": False}),
            "verify": {key: value for key, value in cell.verify.model_dump().items() if value is not None},
            "wanted": cell.count,
            "accepted": tally.accepted,
            "draws": tally.next_draw,
            "redrawn": len(reading.redrawn.kept) if reading.redrawn else None,
            "acceptance": accepted.to_dict(),
            "draws_per_face": _per_face(accepted),
            "attributes": attributes,
            "exact": self._exact(reading, batch, names, values, own) if values else None,
        }

    def _attribute(
        self, reading: CellReading, batch: BatchReading, names: tuple[str, ...], name: str, value: float, own: bool
    ) -> dict[str, Any]:
        i = names.index(name)
        readers: dict[str, Any] = {}
        if abs(value) != 1:
            for reader, p in reading.kept.items():
                readers[reader] = {"mean_probability": float(p[:, i].mean()) if len(p) else math.nan}
            return {"name": name, "value": value, "gated": False, "readers": readers}
        for reader, p in reading.kept.items():
            threshold = batch.thresholds[reader][i]
            verified = Rate.of((p[:, i] >= threshold) == (value > 0))
            unfiltered = None
            if not reading.faces.cell.verify.enabled:
                unfiltered = verified  # every draw is delivered
            elif reading.redrawn and reader in reading.redrawn.probability:
                unfiltered = Rate.of((reading.redrawn.probability[reader][:, i] >= threshold) == (value > 0))
            elif reader == "verifier":
                unfiltered = Rate(reading.faces.tally.passed.get(name, 0), reading.faces.tally.next_draw)
            real = without = None
            if self._has(reader, own) and self.real is not None:
                real = self.real.rate(reader, name, value)
                without = self.real.rate(reader, name, value, carried=False)
            readers[reader] = self._figure(reader, verified, unfiltered, real, without)
            if reader != "verifier" or own or not self.any_own:
                pool = self.pools.setdefault((reader, name, value > 0), _Pool())
                pool.verified += verified
                known = pool.unfiltered is not None and unfiltered is not None
                pool.unfiltered = pool.unfiltered + unfiltered if known else None  # type: ignore[operator]
        return {"name": name, "value": value, "gated": True, "readers": readers}

    def _exact(
        self,
        reading: CellReading,
        batch: BatchReading,
        names: tuple[str, ...],
        values: Mapping[str, float],
        own: bool,
    ) -> dict[str, Any]:
        """All requested +-1 values in one face."""
        columns = [names.index(name) for name in values]
        wanted = np.asarray([value > 0 for value in values.values()], dtype=bool)
        found: dict[str, Any] = {}
        for reader, p in reading.kept.items():
            threshold = batch.thresholds[reader][columns]
            verified = Rate.of(((p[:, columns] >= threshold) == wanted).all(1))
            unfiltered = None
            if not reading.faces.cell.verify.enabled:
                unfiltered = verified
            elif reading.redrawn and reader in reading.redrawn.probability:
                q = reading.redrawn.probability[reader][:, columns]
                unfiltered = Rate.of(((q >= threshold) == wanted).all(1))
            elif reader == "verifier":
                unfiltered = Rate(reading.faces.tally.accepted, reading.faces.tally.next_draw)
            real = None
            if self._has(reader, own) and self.real is not None:
                real = self.real.whole(reader, values)
            # Of a single value everything is said already.
            found[reader] = self._figure(reader, verified, unfiltered, real, None, test=len(values) > 1)
            self.whole[reader] = self.whole.get(reader, Rate(0, 0)) + verified
        return {"readers": found}

    def _has(self, reader: str, own: bool) -> bool:
        """Whether the real faces were read by this very reader."""
        return self.real is not None and reader in self.real.seen and (own or reader != "verifier")

    def _figure(
        self,
        reader: str,
        verified: Rate,
        unfiltered: Rate | None,
        real: Rate | None,
        without: Rate | None,
        *,
        test: bool = True,
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "verified": verified.to_dict(),
            "unfiltered": unfiltered.to_dict() if unfiltered else None,
            "real": real.to_dict() if real else None,
            "real_without": without.to_dict() if without else None,
            "gap": None,
            "short": False,
            "certain": False,
            "failing": False,
        }
        if real is not None and real.n and verified.n:
            gap = gap_below(real, verified)
            row["gap"] = gap.to_dict()
            if real.n >= LEAST:
                row["short"] = gap.value > SHORT and gap.low > 0
                if test and reader == self.deciding:
                    self.tested.append(_Tested(row, real, verified))
        return row

    def overview(self) -> list[dict[str, Any]]:
        """Each requested attribute over all requests, both its values, in the order of the vocabulary."""
        rows = []
        readers = [reader for reader in ("judge", "verifier") if any(key[0] == reader for key in self.pools)]
        for name in sorted({key[1] for key in self.pools}, key=self._order):
            row: dict[str, Any] = {"name": name, "readers": {}}
            for reader in readers:
                pools = {word: self.pools.get((reader, name, word == "wanted")) for word in ("wanted", "unwanted")}
                if not any(pools.values()):
                    continue
                row["readers"][reader] = {
                    **{word: self._pooled(reader, name, word, pool) for word, pool in pools.items()},
                    "balanced": self._balanced(reader, name, pools),
                }
            rows.append(row)
        return rows

    def _order(self, name: str) -> tuple[int, str]:
        names = self.vocabulary.names
        return (names.index(name) if name in names else len(names), name)

    def _pooled(self, reader: str, name: str, word: str, pool: _Pool | None) -> dict[str, Any] | None:
        if pool is None:
            return None
        value = 1.0 if word == "wanted" else -1.0
        real = without = None
        if self.real is not None and self._has(reader, self.any_own):
            real = self.real.rate(reader, name, value)
            without = self.real.rate(reader, name, value, carried=False)
        return self._figure(reader, pool.verified, pool.unfiltered, real, without)

    def _balanced(self, reader: str, name: str, pools: Mapping[str, _Pool | None]) -> dict[str, Any] | None:
        wanted, unwanted = pools["wanted"], pools["unwanted"]
        if wanted is None or unwanted is None:
            return None
        found = {"verified": balanced(wanted.verified, unwanted.verified), "unfiltered": None, "real": None}
        if wanted.unfiltered and unwanted.unfiltered:
            found["unfiltered"] = balanced(wanted.unfiltered, unwanted.unfiltered)
        if self.real is not None and self._has(reader, self.any_own):
            found["real"] = balanced(self.real.rate(reader, name, 1.0), self.real.rate(reader, name, -1.0))
        return found

    def settle(self) -> None:
        """Say of each tested figure whether it still is short, or failing, when all of them are looked at together."""
        z = shared_z(len(self.tested))
        for test in self.tested:
            gap = gap_below(test.ceiling, test.rate, z)
            test.row["certain"] = gap.value > SHORT and gap.low > 0
            test.row["failing"] = gap.low > FAILING


def gated(cell: RequestCell) -> dict[str, float]:
    """The values of a request that are yes or no; graded ones have no true answer."""
    return {name: value for name, value in cell.request.items() if abs(value) == 1}


def _per_face(accepted: Rate) -> dict[str, Any] | None:
    """Draws for one accepted face: the acceptance rate and its interval, turned over."""
    if not accepted.hits:
        return None
    low, high = accepted.interval()
    return {"value": accepted.n / accepted.hits, "interval": [1 / high, 1 / low]}
