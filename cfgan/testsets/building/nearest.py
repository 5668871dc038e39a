"""Each face's most similar others out of a whole set, and folds afterwards that keep every pair inside one of them.

Folds that are made first leave each face a small part of the set to look for its double in. So all pairs are looked at,
the most alike first, and taken as long as the faces that hang together through pairs still fit into one fold: Kruskal's
rule with a limit on the size of a tree. Those groups are then packed into folds. A face is the probe of a few others at
most: some faces are like many, and a set in which one of them stands everywhere measures that one face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.testsets.building.neighbours import distances, nearest_others

Vectors = npt.NDArray[np.float32]

RULE = "whole set, folds afterwards"
"""What the protocol says of pairs that were chosen so; sets of format 1 looked inside one fold."""

_CANDIDATES = 16  # nearest others of a face that are looked at first, for each comparison that it is to get
_CHUNK = 100_000  # edges as Python numbers at a time


@dataclass(frozen=True)
class NearestPairs:
    """What was found among n faces.

    Args:
        pairs: (enrolled, probe, rank) by their places, rank 1 the most similar of all others, too alike ones included.
        folds: n, the fold of each face, 1 and on.
        passed_over: how many comparisons were passed over for being too alike.
    """

    pairs: list[tuple[int, int, int]]
    folds: list[int]
    passed_over: int


def nearest_pairs(
    vectors: Vectors, each: int, uses: int, folds: int, least: int, closest: float = -1.0
) -> NearestPairs:
    """Give every face the ``each`` most similar others; no two faces are compared twice.

    Args:
        vectors: (n, D) of an embedder.
        each: comparisons of an enrolled face.
        uses: comparisons at most in which a face is the probe.
        folds: parts without a common face.
        least: faces that each part needs, if there are so many.
        closest: a distance; others as near as that are too alike to be taken for somebody else. Below 0: none is.
    """
    search = _Search(vectors, each, uses, closest)
    limit = max(2, len(vectors) // folds)
    while True:
        pairs, group = search.greedy(limit)
        packed = _packed(group, folds)
        if limit <= 2 or len(vectors) < folds * least or min(np.bincount(packed, minlength=folds + 1)[1:]) >= least:
            break
        limit = max(2, limit // 2)  # smaller groups pack more evenly
    pairs = search.filled(pairs, packed)
    return NearestPairs(sorted(pairs), packed.tolist(), search.passed_over(pairs))


class _Search:
    """The ordered neighbours of all faces, and two ways to choose among them."""

    def __init__(self, vectors: Vectors, each: int, uses: int, closest: float) -> None:
        self._vectors, self._each, self._uses, self._closest = vectors, each, uses, closest
        n = len(vectors)
        kept = min(max(n - 1, 0), _CANDIDATES * (each + 3))
        near, far = nearest_others(vectors, kept)
        self._far = far
        face_of, rank = np.indices((n, kept), dtype=np.int32)
        usable = far > closest
        columns = (far[usable], face_of[usable], near[usable], rank[usable] + 1)
        ordered = np.lexsort(columns[2::-1])
        self._edges = np.stack([column[ordered] for column in columns[1:]], axis=1)  # enrolled, probe, rank

    def _neighbours(self, face: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """All others of a face, nearest first, and their distances."""
        distance = distances(self._vectors, face)
        order = np.argsort(distance, kind="stable")
        order = order[order != face]
        return order, distance[order]

    def greedy(self, limit: int) -> tuple[list[tuple[int, int, int]], list[int]]:
        """Pairs, the most alike first, such that no more than ``limit`` faces hang together; and the group of each."""
        n = len(self._vectors)
        group = list(range(n))
        size = [1] * n

        def root(face: int) -> int:
            while group[face] != face:
                group[face] = group[group[face]]
                face = group[face]
            return face

        chosen = _Chosen(n, self._each, self._uses)
        for a, b, rank in self._in_order():
            if not chosen.open(a, b):
                continue
            one, other = root(a), root(b)
            if one != other:
                if size[one] + size[other] > limit:
                    continue
                one, other = min(one, other), max(one, other)
                group[other] = one
                size[one] += size[other]
            chosen.take(a, b, rank)
        return chosen.pairs, [root(face) for face in range(n)]

    def _in_order(self) -> Iterator[tuple[int, int, int]]:
        for start in range(0, len(self._edges), _CHUNK):
            yield from self._edges[start : start + _CHUNK].tolist()

    def filled(self, pairs: list[tuple[int, int, int]], packed: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
        """The same pairs, and for faces that lack some the nearest of their own fold."""
        n = len(self._vectors)
        chosen = _Chosen(n, self._each, self._uses)
        for a, b, rank in pairs:
            chosen.take(a, b, rank)
        for face in [face for face in range(n) if chosen.wanting[face]]:
            order, distance = self._neighbours(face)
            for k in np.flatnonzero((packed[order] == packed[face]) & (distance > self._closest)):
                if chosen.open(face, int(order[k])):
                    chosen.take(face, int(order[k]), int(k) + 1)
                if not chosen.wanting[face]:
                    break
        return chosen.pairs

    def passed_over(self, pairs: list[tuple[int, int, int]]) -> int:
        """Comparisons that were too alike and nearer than a chosen one of the same face, or than any it did not get."""
        n, kept = self._far.shape
        ranks: list[list[int]] = [[] for _ in range(n)]
        for a, _, rank in pairs:
            ranks[a].append(rank)
        total = 0
        for face, found in enumerate(ranks):
            most = max(found) - 1 if len(found) == self._each else n
            nearest = self._far[face]
            if most > kept and kept and nearest[-1] <= self._closest:  # more of them than were kept
                _, nearest = self._neighbours(face)
            total += int((nearest[:most] <= self._closest).sum())
        return total


class _Chosen:
    """Pairs taken so far, and what faces still want or may still serve."""

    def __init__(self, n: int, each: int, uses: int) -> None:
        self.wanting, self._left = [each] * n, [uses] * n
        self._seen: set[tuple[int, int]] = set()
        self.pairs: list[tuple[int, int, int]] = []

    def open(self, a: int, b: int) -> bool:
        return self.wanting[a] > 0 and self._left[b] > 0 and (min(a, b), max(a, b)) not in self._seen

    def take(self, a: int, b: int, rank: int) -> None:
        self.wanting[a] -= 1
        self._left[b] -= 1
        self._seen.add((min(a, b), max(a, b)))
        self.pairs.append((a, b, rank))


def _packed(group: list[int], folds: int) -> npt.NDArray[np.int64]:
    """The fold of each face, 1 and on: groups, the largest first, each into the fold that has the fewest faces."""
    members: dict[int, list[int]] = {}
    for face, name in enumerate(group):
        members.setdefault(name, []).append(face)
    fold = np.zeros(len(group), np.int64)
    filled = [0] * folds
    for listed in sorted(members.values(), key=lambda listed: (-len(listed), listed[0])):
        place = min(range(folds), key=lambda k: (filled[k], k))
        fold[listed] = place + 1
        filled[place] += len(listed)
    return fold
