"""Which faces are compared with which: pure functions of the faces, so that the same faces give the same pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.testsets.building.neighbours import within
from cfgan.testsets.building.writer import Face, alike
from cfgan.testsets.folder import Mated, Pair, value_name

Allowed = Callable[[int, int], bool]
"""Whether two faces, by their places, may be compared."""


@dataclass
class Screen:
    """Which faces may be compared, and how many comparisons that costs.

    Args:
        faces: all that may be compared.
        limit: similarity from which two are too alike for two persons; None: nothing is known of that.
        cuts: whether such are passed over; else they are only counted.
    """

    faces: Sequence[Face]
    limit: float | None
    cuts: bool
    _met: set[frozenset[int]] = field(default_factory=set)

    def __call__(self, a: int, b: int) -> bool:
        """Whether the faces at two places may be compared."""
        if self.limit is None or alike(self.faces[a], self.faces[b]) < self.limit:
            return True
        self._met.add(frozenset((a, b)))
        return not self.cuts

    def met(self) -> int:
        """How many comparisons of faces that are too alike were met since this was asked last."""
        count = len(self._met)
        self._met.clear()
        return count

    def with_double(self, enrolled: Sequence[int], probes: Sequence[int]) -> int:
        """How many of some faces have among others at least one that is too alike."""
        if self.limit is None or not len(probes):
            return 0
        vectors = np.stack([face.vector for face in self.faces])
        places = np.asarray(probes, np.int64), np.asarray(enrolled, np.int64)
        return sum(len(near) > 0 for _, near in within(vectors, *places, -self.limit))


def fold_of(place: int, folds: int) -> int:
    """The fold, 1..folds, of the subject at ``place``: subjects are dealt out in turn."""
    return place % folds + 1


def ring(enrolled: Sequence[int], probes: Sequence[int], each: int, allowed: Allowed) -> list[tuple[int, int]]:
    """Give every enrolled face ``each`` probes, so that all probes are used about equally often.

    The probes stand in a ring; the face at place p looks from place p + 1 on. A probe that is not allowed is passed
    over. No two faces are compared twice.

    Args:
        enrolled: places of the enrolled faces.
        probes: places of the probes; may be the same faces.
        each: probes for each.
        allowed: of (enrolled, probe).

    Returns:
        Pairs in the order of the enrolled; fewer where there are not enough probes that are allowed.
    """
    pairs: list[tuple[int, int]] = []
    seen: set[frozenset[int]] = set()
    for place, face in enumerate(enrolled):
        found = 0
        for step in range(1, len(probes) + 1):
            if found == each:
                break
            probe = probes[(place + step) % len(probes)]
            key = frozenset((face, probe))
            if len(key) == 2 and key not in seen and allowed(face, probe):
                seen.add(key)
                pairs.append((face, probe))
                found += 1
    return pairs


@dataclass(frozen=True)
class Values:
    """What faces show of the stated attributes, and what else the judge sees.

    Args:
        vocabulary: the A attributes.
        stated: names that the test set speaks of.
        thresholds: (A,) of the verifier, for stated attributes that were not requested of a face.
        judge_thresholds: (A,) of the judge, or None without one.
    """

    vocabulary: Vocabulary
    stated: tuple[str, ...]
    thresholds: npt.NDArray[np.float64]
    judge_thresholds: npt.NDArray[np.float64] | None

    def shown(self, face: Face) -> dict[str, bool]:
        """Stated name -> whether the face has it: as requested, else as the verifier reads it."""
        shown: dict[str, bool] = {}
        for name in self.stated:
            i = self.vocabulary.index(name)
            asked = face.requested.get(name)
            shown[name] = asked > 0 if asked is not None else face.verifier[i] >= self.thresholds[i]
        return shown

    def compare(self, a: Face, b: Face) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The stated values that both show, and those of b that a has not."""
        first, second = self.shown(a), self.shown(b)
        matched = tuple(value_name(name, second[name]) for name in self.stated if first[name] == second[name])
        differing = tuple(value_name(name, second[name]) for name in self.stated if first[name] != second[name])
        return matched, differing

    def moved(self, a: Face, b: Face, meant: Iterable[str]) -> tuple[str, ...]:
        """Values of b that the judge sees and did not see in a, those that were meant to change left out."""
        if self.judge_thresholds is None or not a.judge or not b.judge:
            return ()
        first, second = (np.asarray(face.judge) >= self.judge_thresholds for face in (a, b))
        unmeant = set(self.vocabulary.names) - set(meant)
        return tuple(
            value_name(name, bool(second[i]))
            for i, name in enumerate(self.vocabulary.names)
            if name in unmeant and first[i] != second[i]
        )


@dataclass
class PairList:
    """Collects pairs and numbers them.

    Args:
        values: for the columns of attributes.
        folds: subject -> fold.
    """

    values: Values
    folds: Mapping[str, int]

    def __post_init__(self) -> None:
        self.pairs: list[Pair] = []

    def add(self, a: Face, b: Face, mated: Mated, stratum: str, rank: int | None = None) -> None:
        """Add one comparison; ``a`` is the enrolled face, ``rank`` that of b among the faces that are like it.

        A change of capture stands among the values of b that a has not, where the stratum does not name it.
        """
        matched, differing = self.values.compare(a, b)
        if b.capture and b.capture != stratum:
            differing = (*differing, b.capture)
        meant = [name.lstrip("-") for name in differing]
        moved = self.values.moved(a, b, meant) if mated != "0" else ()
        name = f"p{len(self.pairs) + 1:06d}"
        self.pairs.append(
            Pair(
                pair=name,
                a=a.file,
                b=b.file,
                mated=mated,
                stratum=stratum,
                group=a.subject,
                matched=matched,
                differing=differing,
                moved=moved,
                similarity=alike(a, b) if len(a.vector) and len(b.vector) else None,
                fold=self.folds[a.subject],
                control=alike(a, b, control=True) if len(a.control) and len(b.control) else None,
                rank=rank,
            )
        )
