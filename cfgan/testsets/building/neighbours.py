"""The most similar others of every face, exactly, without looking at all pairs one face at a time.

Products of matrices give all distances to within rounding, a block of faces at a time; who may be among the nearest is
then measured as everywhere else, so that order and limits are those of the plain distance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

_BLOCK = 8_000_000  # distances held at a time, 32 MB
_SPARE = 32  # faces looked at beyond those that are wanted: rounding seldom moves one across more
_ROUNDING = 1e-5
"""What a squared distance may be off by, as a share of the largest squared length."""


def distances(vectors: Vectors, face: int) -> Vectors:
    """From one face to all, itself among them, (n,)."""
    return np.asarray(np.linalg.norm(vectors - vectors[face], axis=1))


def nearest_others(vectors: Vectors, count: int) -> tuple[npt.NDArray[np.int32], Vectors]:
    """The nearest others of every face.

    Args:
        vectors: (n, D).
        count: how many of each, at most n - 1.

    Returns:
        Their places (n, count) and distances (n, count), nearest first; of equally near ones the first comes first.
    """
    n = len(vectors)
    near, far = np.zeros((n, count), np.int32), np.zeros((n, count), np.float32)
    looked_at = count + 1 + _SPARE
    for start, squared, slack in _blocks(vectors):
        for row, face in enumerate(range(start, start + len(squared))):
            among = np.arange(n)
            if looked_at < n:
                among = np.argpartition(squared[row], looked_at)[: looked_at + 1]
                among.sort()
            order, found = _ordered(vectors, face, among, count)
            if looked_at < n and float(found[-1]) ** 2 > float(squared[row, among].max()) - slack:
                order, found = _ordered(vectors, face, np.arange(n), count)
            near[face], far[face] = order, found
    return near, far


def within(vectors: Vectors, among: Places, faces: Places, limit: float) -> Iterator[tuple[int, Places]]:
    """Each face with those of ``among`` that lie no farther than ``limit`` from it, itself left out; places all."""
    others = vectors[among]
    for start, squared, slack in _blocks(others, vectors[faces]):
        for row, face in enumerate(faces[start : start + len(squared)].tolist()):
            maybe = np.flatnonzero(squared[row] <= limit**2 + slack)
            near = np.linalg.norm(others[maybe] - vectors[face], axis=1) <= limit
            places = among[maybe[near]]
            yield face, places[places != face]


def _ordered(vectors: Vectors, face: int, among: Places, count: int) -> tuple[Places, Vectors]:
    distance = np.linalg.norm(vectors[among] - vectors[face], axis=1)
    order = np.argsort(distance, kind="stable")
    order = order[among[order] != face][:count]
    return among[order], distance[order]


def _blocks(vectors: Vectors, faces: Vectors | None = None) -> Iterator[tuple[int, Vectors, float]]:
    """Squared distances of some faces, by default of all, to all, to within the third: (first, (B, n), slack)."""
    faces = vectors if faces is None else faces
    length = (vectors.astype(np.float64) ** 2).sum(1)
    lengths = (faces.astype(np.float64) ** 2).sum(1)
    slack = _ROUNDING * 4 * max(float(length.max(initial=0.0)), float(lengths.max(initial=0.0)))
    step = max(1, _BLOCK // max(1, len(vectors)))
    for start in range(0, len(faces), step):
        part = faces[start : start + step]
        squared = lengths[start : start + step, None].astype(np.float32) + length.astype(np.float32)
        squared -= 2 * (part @ vectors.T)
        yield start, squared, slack
