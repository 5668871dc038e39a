"""One face against many: who of the enrolled is it, if anyone? Open-set identification, ISO/IEC 19795-1, NIST FRTE 1:N.

A system returns candidates of each probe. With N enrolled people, threshold T and R candidates looked at:

- FPIR(N, T): share of probes of people who are not enrolled that get a candidate at T or above;
- FNIR(N, R, T): share of probes of enrolled people whose mate is not among the R best candidates at T or above.

Everything is looked at for galleries of growing size, each inside the next, since FPIR grows with N. Several probes of
one person are not independent: intervals count as many as would be as unsure (Korn and Graubard, Survey Methodology 24,
1998), and the rule of three counts people.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import FolderError, InputError
from cfgan.io.files import holds_exactly, make_folder, real_path, sha256_of, write_bytes
from cfgan.io.folders import anything, replace_folder, require_ours
from cfgan.stats.intervals import wilson_interval
from cfgan.testsets.folder import Testset, person_of
from cfgan.testsets.scores.operating_points import smallest_rate
from cfgan.testsets.scores.rates import Floats, threshold_at_fmr, typed
from cfgan.testsets.tables import csv_text

FORMAT = "cfgan-identification/1"
ENROLLED, PROBES = "enrolled.csv", "probes.csv"

Row = tuple[npt.NDArray[np.int64], Floats]
"""Candidates of a probe: their places among the enrolled, and their scores, more is more alike."""


@dataclass(frozen=True)
class Protocol:
    """Who is enrolled and who is looked for.

    Args:
        enrolled: E files, one a person.
        probes: P files.
        mate: (P,) the place of the probe's person among the enrolled; -1 for people who are not.
    """

    enrolled: tuple[str, ...]
    probes: tuple[str, ...]
    mate: npt.NDArray[np.int64]


def identification_protocol(testset: Testset) -> Protocol:
    """The first face of each person that is enrolled in a comparison is enrolled; all other faces are probes.

    Raises:
        FolderError: the set has no comparison, no probe with a mate or none without.
    """
    enrolled: dict[str, str] = {}
    for pair in testset.pairs:
        enrolled.setdefault(person_of(pair.a), pair.a)
    places = {person: k for k, person in enumerate(enrolled)}
    others = dict.fromkeys(name for pair in testset.pairs for name in (pair.a, pair.b))
    probes = tuple(name for name in others if enrolled.get(person_of(name)) != name)
    mate = np.asarray([places.get(person_of(name), -1) for name in probes], dtype=np.int64)
    for what, there in (("with", (mate >= 0).any()), ("without", (mate < 0).any())):
        if not there:
            text = f"has no probe {what} an enrolled mate: `matched` with a change and the level random has both"
            raise FolderError(f"{testset.path} {text}.", field="testset", value=testset.path)
    return Protocol(tuple(enrolled.values()), probes, mate)


def write_protocol(out: Path, protocol: Protocol) -> None:
    """Write ``enrolled.csv`` (column, file) and ``probes.csv`` (row, file, mate), both or none.

    Args:
        out: new or empty folder, or this same protocol, which stays as it is.
        protocol: what is written.

    Raises:
        FolderError: the folder holds something else.
        InputError: it lies inside a folder of ours that is checked as a whole.
        StorageError: the disk refused.
    """
    out = real_path(out)
    mates = [protocol.enrolled[k] if k >= 0 else "" for k in protocol.mate.tolist()]
    probes = zip(range(len(mates)), protocol.probes, mates, strict=True)
    files = {
        ENROLLED: csv_text([("column", "file"), *enumerate(protocol.enrolled)]).encode(),
        PROBES: csv_text([("row", "file", "mate"), *probes]).encode(),
    }

    def foreign(folder: Path) -> str | None:
        return None if holds_exactly(folder, files) else anything(folder)

    def fill(folder: Path) -> None:
        for name, data in files.items():
            write_bytes(folder / name, data)

    require_ours(out, foreign)
    make_folder(out.parent)
    replace_folder(out, fill, foreign)


def score_identification(
    protocol: Protocol,
    candidates: Iterator[Row],
    *,
    rates: Sequence[float] = (0.01, 0.1),
    ranks: Sequence[int] = (1, 5, 20),
    sizes: Sequence[int] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """FNIR at stated FPIR, by size of the gallery and rank.

    Args:
        protocol: who is enrolled and looked for.
        candidates: of each probe, in the protocol's order; read once.
        rates: FPIR that thresholds are chosen for, 0..1.
        ranks: candidates that are looked at.
        sizes: numbers of enrolled people; by default halves of all, down to ten.
        seed: which people are in the smaller galleries.

    Raises:
        InputError: a rate, rank or size that cannot be.
    """
    everyone = len(protocol.enrolled)
    for target in rates:
        if not 0 < target < 1:
            raise InputError(f"{target:g} is not an error rate between 0 and 1.", field="--at", value=target)
    for rank in ranks:
        if rank < 1:
            raise InputError("a rank is at least 1.", field="--rank", value=rank)
    for size in sizes:
        if not 1 <= size <= everyone:
            raise InputError(
                f"{everyone:,} are enrolled.", field="--size", value=size, nearest=[min(max(size, 1), everyone)]
            )
    used = sorted(set(sizes or _halves(everyone)))
    entry = np.empty(everyone, np.int64)  # the size from which on a person is in the gallery
    entry[np.random.default_rng(seed).permutation(everyone)] = np.arange(everyone)
    shape = (len(protocol.probes), len(used))
    own, rank_of, best = (
        np.full(shape, -np.inf),
        np.full(shape, np.iinfo(np.int64).max, np.int64),
        np.full(shape, -np.inf),
    )
    _, person = np.unique([person_of(name) for name in protocol.probes], return_inverse=True)
    without = 0
    for k, (places, scores) in enumerate(candidates):
        without += not len(scores)
        mate = places == protocol.mate[k]
        for j, size in enumerate(used):
            inside = entry[places] < size
            others = scores[inside & ~mate]
            best[k, j] = others.max() if len(others) else -np.inf
            if (mine := scores[mate & inside]).size:
                own[k, j], rank_of[k, j] = mine[0], 1 + int((others >= mine[0]).sum())
    rows = []
    for j, size in enumerate(used):
        alien = best[protocol.mate < 0, j]
        enrolled = np.flatnonzero((protocol.mate >= 0) & (entry[np.maximum(protocol.mate, 0)] < size))
        held: list[float | None] = [None, *rates]
        for rate in held:
            threshold, false = -math.inf, None
            if rate is not None:
                threshold = _threshold(alien, rate, np.append(best[:, j], own[:, j]))
                false = _Share(alien >= threshold, person[protocol.mate < 0])
            for rank in ranks:
                missed = ~((rank_of[enrolled, j] <= rank) & (own[enrolled, j] >= threshold))
                rows.append(_row(size, rank, rate, threshold, false, _Share(missed, person[enrolled])))
    return {
        "format": FORMAT,
        "enrolled": everyone,
        "probes": {"mated": int((protocol.mate >= 0).sum()), "nonmated": int((protocol.mate < 0).sum())},
        "without_candidates": without,
        "people": {
            "mated": len(np.unique(person[protocol.mate >= 0])),
            "nonmated": (strangers := len(np.unique(person[protocol.mate < 0]))),
        },
        "smallest_fpir": smallest_rate(strangers),
        "notes": [
            "Thresholds of FPIR were chosen on the probes that they are used on: what is seen there is optimistic.",
            "Intervals allow for several probes of a person, not for the people who are enrolled: in another gallery "
            "FPIR may be outside.",
        ],
        "settings": {"seed": seed, "confidence": 0.95},
        "rows": rows,
    }


def _threshold(alien: Floats, rate: float, scores: Floats) -> float:
    """The lowest threshold at which FPIR is at most ``rate``, among scores; the lowest score where all may pass.

    Args:
        alien: (n,) best score of each probe without a mate; -inf without a candidate.
        rate: 0..1.
        scores: those that it decides; -inf is none.
    """
    known = scores[np.isfinite(scores)]
    if not len(known):
        return 0.0
    below = float(np.nextafter(known.min(), -math.inf))
    found = threshold_at_fmr(np.maximum(alien, below), rate)
    return typed(found, known) if found > known.min() else float(known.min())


class _Share:
    """A share of probes, and its interval where several are of one person."""

    def __init__(self, wrong: npt.NDArray[np.bool_], person: npt.NDArray[np.int64]) -> None:
        self.errors, self.n = int(wrong.sum()), len(wrong)
        _, group = np.unique(person, return_inverse=True)
        sizes, errors = np.bincount(group), np.bincount(group, wrong)
        self._effective = float(len(sizes))
        if 0 < self.errors < self.n and len(sizes) > 1:
            value = self.errors / self.n
            variance = float(((errors - value * sizes) ** 2).sum()) / self.n**2 * len(sizes) / (len(sizes) - 1)
            self._effective = min(float(self.n), value * (1 - value) / variance) if variance > 0 else float(self.n)

    def rate(self) -> float | None:
        return self.errors / self.n if self.n else None

    def interval(self) -> list[float] | None:
        if not self.n:
            return None
        return list(wilson_interval(self.errors / self.n * self._effective, self._effective))


def _row(
    size: int, rank: int, rate: float | None, threshold: float, false: _Share | None, missed: _Share
) -> dict[str, Any]:
    return {
        "enrolled": size,
        "rank": rank,
        "fpir_target": rate,
        "threshold": threshold if rate is not None else None,
        "fpir": None if false is None else false.rate(),
        "fpir_interval": None if false is None else false.interval(),
        "mated": missed.n,
        "missed": missed.errors,
        "fnir": missed.rate(),
        "fnir_interval": missed.interval(),
    }


def _halves(everyone: int) -> list[int]:
    found = [everyone]
    while found[-1] // 2 >= 10:
        found.append(found[-1] // 2)
    return found


def about_file(path: Path) -> Mapping[str, str]:
    """Name and sha256 of the system's file."""
    return {"file": path.name, "sha256": sha256_of(path)}
