"""One face against many: who of the enrolled is it, if anyone? Open-set identification, ISO/IEC 19795-1, NIST FRTE 1:N.

A system returns candidates of each probe. With N enrolled people, threshold T and R candidates looked at:

- FPIR(N, T): share of probes of people who are not enrolled that get a candidate at T or above;
- FNIR(N, R, T): share of probes of enrolled people whose mate is not among the R best candidates at T or above.

Everything is looked at for galleries of growing size, each inside the next, since FPIR grows with N.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError, FolderError, InputError, nearest
from cfgan.io.delimited import open_delimited
from cfgan.io.files import (
    holds_exactly,
    make_folder,
    real_path,
    sha256_of,
    user_path,
    write_bytes,
)
from cfgan.io.folders import anything, replace_folder, require_ours
from cfgan.io.reading import library_errors, load_array
from cfgan.stats.intervals import wilson_interval
from cfgan.testsets.folder import Testset, person_of
from cfgan.testsets.scores.operating_points import smallest_rate
from cfgan.testsets.scores.rates import Floats, threshold_at_fmr, typed
from cfgan.testsets.scores.tables import FIELD
from cfgan.testsets.tables import csv_text

FORMAT = "cfgan-identification/1"
ENROLLED, PROBES = "enrolled.csv", "probes.csv"
_COLUMNS = ("probe", "candidate", "score")

_BLOCK = 100_000  # scores of a matrix mapped at a time
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


def read_candidates(path: Path, protocol: Protocol, *, distance: bool = False) -> Iterator[Row]:
    """The candidates of each probe, in the protocol's order.

    Args:
        path: ``.npy``, float (P, E) as in ``probes.csv`` and ``enrolled.csv``, NaN for no score; else CSV with the
            columns probe, candidate (files) and score: any number of them a probe.
        protocol: what is expected.
        distance: less is more alike.

    Raises:
        DataError: another shape or kind of number, an unknown name, a candidate twice, a score that is no number.
    """
    path = user_path(path, field=FIELD)
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "is not there"
        raise DataError(f"{path} {what}.", field=FIELD, value=path)
    sign = -1.0 if distance else 1.0
    rows = _matrix(path, protocol) if path.suffix.casefold() == ".npy" else _listed(path, protocol)
    for places, scores in rows:
        known = ~np.isnan(scores)
        yield places[known], sign * scores[known]


def _matrix(path: Path, protocol: Protocol) -> Iterator[Row]:
    try:
        scores = load_array(path, mapped=True)
    except ValueError as error:
        raise DataError(f"{error}.", field=FIELD, value=path) from None
    shape = (len(protocol.probes), len(protocol.enrolled))
    if scores.shape != shape or scores.dtype.kind != "f":
        text = f"{path.name} is {scores.dtype} {scores.shape}; float {shape}, probes by enrolled, is expected."
        raise DataError(text, field=FIELD, value=path)
    del scores
    places = np.arange(shape[1], dtype=np.int64)
    step = max(1, _BLOCK // shape[1])
    for start in range(0, shape[0], step):
        # Mapped anew for each block: what was read stays in memory for as long as it is mapped.
        block = np.array(np.load(path, mmap_mode="r", allow_pickle=False)[start : start + step])
        for k, row in enumerate(block.astype(np.float64), start):
            if np.isinf(row).any():
                raise DataError(f"{path.name} row {k} has an infinite score.", field=FIELD, value=path)
            yield places, row


def _listed(path: Path, protocol: Protocol) -> Iterator[Row]:
    probe = {name: k for k, name in enumerate(protocol.probes)}
    enrolled = {name: k for k, name in enumerate(protocol.enrolled)}
    found: list[dict[int, float]] = [{} for _ in probe]
    with (
        library_errors(path, lambda text: DataError(text, field=FIELD, value=path)),
        open_delimited(path) as (handle, separator),
    ):
        reader = csv.DictReader(handle, delimiter=separator)
        if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
            raise DataError(f"{path.name} has no column {missing[0]!r}.", field=FIELD, value=missing[0])
        for line in reader:
            where = f"{path.name} line {reader.line_num}"
            name, candidate, cell = (line[key] or "" for key in _COLUMNS)
            for given, known in ((name, probe), (candidate, enrolled)):
                if given not in known:
                    near = nearest(given, list(known)[:10_000], 1)
                    raise DataError(f"{where}: unknown face {given!r}.", field=FIELD, value=given, nearest=near)
            value = _number(cell)
            if value is None or enrolled[candidate] in found[probe[name]]:
                what = f"{cell[:40]!r} is not a finite number" if value is None else f"{candidate} is listed twice"
                raise DataError(f"{where}: {what}.", field=FIELD, value=name)
            found[probe[name]][enrolled[candidate]] = value
    for row in found:
        yield np.asarray(list(row), dtype=np.int64), np.asarray(list(row.values()), dtype=np.float64)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


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
            threshold = -math.inf
            if rate is not None:
                finite = np.maximum(alien, np.finfo(np.float64).min)
                threshold = typed(
                    threshold_at_fmr(finite, rate), np.append(best[np.isfinite(best)], own[np.isfinite(own)])
                )
            false = int((alien >= threshold).sum()) if rate is not None else None
            for rank in ranks:
                missed = int((~((rank_of[enrolled, j] <= rank) & (own[enrolled, j] >= threshold))).sum())
                rows.append(_row(size, rank, rate, threshold, false, len(alien), missed, len(enrolled)))
    return {
        "format": FORMAT,
        "enrolled": everyone,
        "probes": {"mated": int((protocol.mate >= 0).sum()), "nonmated": int((protocol.mate < 0).sum())},
        "without_candidates": without,
        "smallest_fpir": smallest_rate(int((protocol.mate < 0).sum())),
        "settings": {"seed": seed, "confidence": 0.95},
        "rows": rows,
    }


def _row(
    size: int, rank: int, rate: float | None, threshold: float, false: int | None, aliens: int, missed: int, mated: int
) -> dict[str, Any]:
    return {
        "enrolled": size,
        "rank": rank,
        "fpir_target": rate,
        "threshold": threshold if rate is not None else None,
        "fpir": None if false is None else false / aliens,
        "fpir_interval": None if false is None else list(wilson_interval(false, aliens)),
        "mated": mated,
        "missed": missed,
        "fnir": missed / mated if mated else None,
        "fnir_interval": list(wilson_interval(missed, mated)) if mated else None,
    }


def _halves(everyone: int) -> list[int]:
    found = [everyone]
    while found[-1] // 2 >= 10:
        found.append(found[-1] // 2)
    return found


def about_file(path: Path) -> Mapping[str, str]:
    """Name and sha256 of the system's file."""
    return {"file": path.name, "sha256": sha256_of(path)}
