"""What a system returned for each probe: a matrix of scores, or a list of candidates."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cfgan.errors import DataError, nearest
from cfgan.io.reading import load_array
from cfgan.testsets.scores.identification import Protocol, Row
from cfgan.testsets.scores.tables import FIELD, LARGEST, find_scores, number, score_rows

_COLUMNS = ("probe", "candidate", "score")
_BLOCK = 100_000  # scores of a matrix mapped at a time


def read_candidates(path: Path, protocol: Protocol, *, distance: bool = False) -> Iterator[Row]:
    """The candidates of each probe, in the protocol's order.

    Args:
        path: ``.npy``, float (P, E) as in ``probes.csv`` and ``enrolled.csv``, NaN for no score; else CSV or
            Parquet with the columns probe, candidate (files) and score: any number of them a probe.
        protocol: what is expected.
        distance: less is more alike.

    Raises:
        DataError: no such file, column or shape, an unknown name, a candidate twice, a score that is no number.
    """
    path = find_scores(path, (".npy", ".csv", ".tsv", ".parquet"))
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
    """Of a list, 24 bytes a candidate are held at a time."""
    probe = {name: k for k, name in enumerate(protocol.probes)}
    enrolled = {name: k for k, name in enumerate(protocol.enrolled)}
    probes, places, scores = array("q"), array("q"), array("d")
    for where, (*names, cell) in score_rows(path, _COLUMNS):
        found = []
        for given, known in zip(map(str, names), (probe, enrolled), strict=True):
            if given not in known:
                near = nearest(given, list(known)[:10_000], 1)
                raise DataError(f"{where}: unknown face {given!r}.", field=FIELD, value=given, nearest=near)
            found.append(known[given])
        value = number(cell)
        if value is None or not abs(value) <= LARGEST:
            said = f"{where}: {str(cell)[:40]!r} is not a finite number."
            raise DataError(said, field=FIELD, value=names[0])
        probes.append(found[0])
        places.append(found[1])
        scores.append(value)
    probe_of, place_of, score = (np.asarray(each) for each in (probes, places, scores))
    order = np.lexsort((place_of, probe_of))
    probe_of, place_of, score = probe_of[order], place_of[order], score[order]
    twice = np.flatnonzero((np.diff(probe_of) == 0) & (np.diff(place_of) == 0))
    if len(twice):
        name, candidate = protocol.probes[probe_of[twice[0]]], protocol.enrolled[place_of[twice[0]]]
        raise DataError(f"{path.name}: {candidate} is listed twice for {name}.", field=FIELD, value=name)
    ends = np.searchsorted(probe_of, np.arange(len(protocol.probes) + 1))
    for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        yield place_of[start:stop], score[start:stop]
