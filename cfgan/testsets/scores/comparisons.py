"""Comparisons of a test set together with a system's scores, and the parts by which they are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError
from cfgan.testsets.folder import Item, Testset, person_of, subject_of
from cfgan.testsets.scores.bootstrap import Subjects
from cfgan.testsets.scores.rates import Bools, Floats
from cfgan.testsets.scores.tables import FIELD, ScoreTable, refuse_missing

Family = Literal["all", "stratum", "matched", "differing", "attribute"]


@dataclass(frozen=True)
class Kind:
    """A kind of comparison, and what an error in it is called.

    Args:
        key: as in the columns ``mated`` and ``label``.
        name: in words.
        error: the standard's term for its error rate.
        failure: the standard's term for the share that has no score.
        positive: whether the right decision is a match (an attack: to be taken for one).
        general: the standard's term for the rate of wrong decisions with failures to acquire counted; empty for none.
    """

    key: str
    name: str
    error: str
    failure: str
    positive: bool
    general: str = ""


NON_MATED = Kind("0", "non-mated", "FMR", "FTA", False, "GFAR")
MATED = Kind("1", "mated", "FNMR", "FTA", True, "GFRR")
PRESUMED = Kind("presumed", "presumed mated", "FNMR", "FTA", True, "GFRR")
BONA_FIDE = Kind("bona_fide", "bona fide", "BPCER", "BPNRR", False)
ATTACK = Kind("attack", "attack", "APCER", "APNRR", True)


@dataclass(frozen=True)
class Comparisons:
    """n comparisons (or presentations to a detector) and their scores.

    Args:
        names: n.
        score: (n,), more is more alike (more an attack), whatever the system's own direction; NaN without a score.
        kinds: those that there can be, positives first.
        kind: (n,) index into ``kinds``.
        fold: (n,).
        group: n; comparisons of one group share their enrolled face.
        parts: (family, name) -> mask (n,); ``("all", "")`` holds all.
        subjects: who stands in which.
        distance: whether the system's scores are distances, so that ``score`` is their negative.
        unfilled: slots of a detection set without a score, which are not among the n.
    """

    names: tuple[str, ...]
    score: Floats
    kinds: tuple[Kind, ...]
    kind: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]
    group: tuple[str, ...]
    parts: Mapping[tuple[Family, str], Bools]
    subjects: Subjects
    distance: bool
    unfilled: int = 0

    @property
    def scored(self) -> Bools:
        """(n,) those with a score."""
        return ~np.isnan(self.score)

    @property
    def negative(self) -> Bools:
        """(n,) non-mated comparisons, bona fide presentations."""
        result: Bools = np.isin(self.kind, [k for k, kind in enumerate(self.kinds) if not kind.positive])
        return result

    @property
    def detection(self) -> bool:
        """Whether these are presentations to a detector."""
        return ATTACK in self.kinds

    def of(self, kind: Kind) -> Bools:
        """(n,) those of a kind."""
        result: Bools = self.kind == self.kinds.index(kind)
        return result

    @property
    def strata(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Names of the strata, and (n,) in which of them a comparison stands."""
        masks = {name: mask for (family, name), mask in self.parts.items() if family == "stratum"}
        return list(masks), np.argmax(np.stack(list(masks.values())), axis=0).astype(np.int64)

    def own(self, value: float) -> float:
        """A score or threshold in the system's direction, or back."""
        return -value if self.distance else value


def names_of(testset: Testset) -> tuple[list[str], frozenset[str]]:
    """Names of what needs a score, and of those that need none: slots that nobody filled."""
    if testset.design != "detection":
        return [pair.pair for pair in testset.pairs], frozenset()
    return [item.item for item in testset.items], frozenset(item.item for item in testset.items if not item.file)


def join_scores(testset: Testset, table: ScoreTable, *, distance: bool, allow_missing: bool) -> Comparisons:
    """Put scores to the comparisons of a test set.

    Args:
        testset: the test set.
        table: scores of ``names_of(testset)``.
        distance: less is more alike.
        allow_missing: take comparisons without a row for failures to acquire.

    Raises:
        DataError: comparisons without a row, or none with a score.
    """
    detection = testset.design == "detection"
    names, _ = names_of(testset)
    if not allow_missing:
        refuse_missing(table, names, "item" if detection else "pair")
    if not np.isfinite(table.score).any():
        raise DataError(f"{table.path.name} has no score at all.", field=FIELD, value=table.path)
    score = 0.0 - table.score if distance else table.score
    return _items(testset, table, score, distance) if detection else _pairs(testset, score, distance)


def _pairs(testset: Testset, score: Floats, distance: bool) -> Comparisons:
    pairs = testset.pairs
    kinds = (MATED, PRESUMED, NON_MATED)
    place = {kind.key: k for k, kind in enumerate(kinds)}
    parts = _parts(len(pairs), "stratum", lambda k: (pairs[k].stratum,))
    parts |= _parts(len(pairs), "matched", lambda k: pairs[k].matched)
    parts |= _parts(len(pairs), "differing", lambda k: pairs[k].differing)
    return Comparisons(
        names=tuple(pair.pair for pair in pairs),
        score=score,
        kinds=kinds,
        kind=np.asarray([place[pair.mated] for pair in pairs], dtype=np.int64),
        fold=np.asarray([pair.fold for pair in pairs], dtype=np.int64),
        group=tuple(pair.group for pair in pairs),
        parts=_with_all(len(pairs), parts),
        subjects=Subjects([person_of(p.a) for p in pairs], [person_of(p.b) for p in pairs]),
        distance=distance,
    )


def _items(testset: Testset, table: ScoreTable, score: Floats, distance: bool) -> Comparisons:
    unfilled = np.isnan(table.score) & ~table.failed & ~table.missing
    keep = np.flatnonzero(~unfilled)
    items = [testset.items[k] for k in keep]
    kinds = (ATTACK, BONA_FIDE)
    subjects = [_subject(item) for item in items]
    parts = _parts(len(items), "stratum", lambda k: (items[k].stratum,))
    parts |= _parts(len(items), "attribute", lambda k: tuple(v for v in items[k].stratum.split(",") if v))
    return Comparisons(
        names=tuple(item.item for item in items),
        score=score[keep],
        kinds=kinds,
        kind=np.asarray([0 if item.label == "attack" else 1 for item in items], dtype=np.int64),
        fold=np.asarray([item.fold for item in items], dtype=np.int64),
        group=tuple("" for _ in items),
        parts=_with_all(len(items), parts),
        subjects=Subjects(subjects, subjects),
        distance=distance,
        unfilled=int(unfilled.sum()),
    )


def _subject(item: Item) -> str:
    """The subject of a presentation; a user's own image is a person of its own as far as is known."""
    return subject_of(item.file) if item.file.count("/") > 1 else f"slot {item.item}"


def _parts(n: int, family: Family, values: Callable[[int], Sequence[str]]) -> dict[tuple[Family, str], Bools]:
    rows: dict[str, list[int]] = {}
    for k in range(n):
        for value in values(k):
            rows.setdefault(value, []).append(k)
    return {(family, value): _mask(n, places) for value, places in rows.items()}


def _with_all(n: int, parts: dict[tuple[Family, str], Bools]) -> dict[tuple[Family, str], Bools]:
    return {("all", ""): np.ones(n, dtype=np.bool_), **parts}


def _mask(n: int, places: Iterable[int]) -> Bools:
    mask = np.zeros(n, dtype=np.bool_)
    mask[list(places)] = True
    return mask
