"""How many faces of which request a labelled data set lacks: labels in, counts out; nothing is read, drawn or written.

Rows are only ever added, never dropped. So a share that is too high is lowered by adding faces without the value, and
combinations are made equal by filling up to the commonest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.request import Request, format_request
from cfgan.attributes.spec import MAX_CELLS, MAX_COUNT
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import RequestError, SpecError

Labels = npt.NDArray[np.float32]
"""(N, A): 1 has it, -1 has it not, NaN unknown."""

MAX_NAMES = 12
"""Attributes that can be combined: 4,096 combinations."""


@dataclass(frozen=True)
class Ratio:
    """A share of the rows with a known label that has the attribute, 0..1 exclusive."""

    name: str
    share: Fraction


@dataclass(frozen=True)
class Equal:
    """Equally many rows of every combination of some attributes."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class AtLeast:
    """So many rows at least of each request, in the order given."""

    counts: tuple[tuple[Request, int], ...]


Target = Ratio | Equal | AtLeast


@dataclass(frozen=True)
class Need:
    """Faces of one request.

    Args:
        request: canonical attributes, each 1 or -1.
        have: rows that are known to meet it.
        missing: faces to be added.
        impossible: why no face can be added although some are missing, or None.
        given: more attributes that the generator is given, each 1 or -1; neither verified nor known afterwards.
    """

    request: Request
    have: int
    missing: int
    impossible: str | None = None
    given: Request = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The request as text, and what is given besides."""
        text = format_request(self.request)
        return f"{text} given {format_request(self.given)}" if self.given else text


@dataclass(frozen=True)
class BalancePlan:
    """What is missing.

    Args:
        target: what is wanted.
        needs: every request that the target speaks of, also those of which nothing is missing.
        rows: rows looked at, N.
        unknown: of these, rows that do not count because a label is unknown.
        why: why the target will not be met exactly, a sentence each; empty where it will be.
        parts: the faces to be made, missing > 0 each; those of ``needs``, or spread over more attributes.
    """

    target: Target
    needs: tuple[Need, ...]
    rows: int
    unknown: int
    why: tuple[str, ...] = ()
    parts: tuple[Need, ...] = field(default=())

    @property
    def exact(self) -> bool:
        """Whether the target is met exactly once everything planned is added."""
        return not self.why

    @property
    def missing(self) -> int:
        """Faces to be made in all."""
        return sum(part.missing for part in self.parts)


def possible_always(request: Mapping[str, float]) -> str | None:
    """Take every request for possible."""
    return None


def plan_balance(
    target: Target,
    labels: Labels,
    vocabulary: Vocabulary,
    *,
    match: Sequence[str] = (),
    impossible: Callable[[Request], str | None] = possible_always,
) -> BalancePlan:
    """Work out what a data set lacks.

    Args:
        target: a share, equal combinations, or least counts.
        labels: of the rows that count (N, A).
        vocabulary: the A attributes, in which the target's names are spelled.
        match: attributes over which the faces of each request are spread as in the rows that meet it already; see
            :func:`spread`.
        impossible: says why a request cannot be met by any face, or None; such combinations stay as they are.

    Raises:
        SpecError: a share or count out of range, an attribute named twice, too many combinations or faces.
        RequestError: no row has a known label.
    """
    if isinstance(target, Ratio):
        plan = _ratio(target, labels, vocabulary)
    elif isinstance(target, Equal):
        plan = _equal(target, labels, vocabulary, impossible)
    else:
        plan = _at_least(target, labels, vocabulary)
    wanted = [need for need in plan.needs if need.missing and not need.impossible]
    parts = [part for need in wanted for part in spread(need, labels, vocabulary, match, impossible)]
    plan = BalancePlan(plan.target, plan.needs, plan.rows, plan.unknown, plan.why, tuple(parts))
    if plan.missing > MAX_COUNT:
        raise SpecError(f"{plan.missing:,} faces are missing, more than {MAX_COUNT:,}.", field="target")
    if len(parts) > MAX_CELLS:
        raise SpecError(f"{len(parts):,} requests, more than {MAX_CELLS:,}.", field="match", value=list(match))
    return plan


def meets(labels: Labels, request: Mapping[str, float], vocabulary: Vocabulary) -> npt.NDArray[np.bool_]:
    """bool (N,): the rows that are known to have all requested values."""
    found = np.ones(len(labels), dtype=bool)
    for name, value in request.items():
        found &= labels[:, vocabulary.index(name)] * value > 0
    return found


def _ratio(target: Ratio, labels: Labels, vocabulary: Vocabulary) -> BalancePlan:
    if not 0 < target.share < 1:
        raise SpecError("a share between 0 and 1, both exclusive, is expected.", field="ratio", value=target.share)
    column = labels[:, vocabulary.index(target.name)]
    having, lacking = int((column > 0).sum()), int((column < 0).sum())
    if not having + lacking:
        raise RequestError(f"no row has a known label for {target.name}.", field="attribute", value=target.name)
    low = having < target.share * (having + lacking)
    # (having + x) / (having + x + lacking) = share, or having / (having + lacking + x) = share
    wished = target.share * lacking / (1 - target.share) - having if low else having / target.share - having - lacking
    whole = min((int(wished), int(wished) + 1), key=lambda x: _distance(target, having, lacking, x, low))
    request = {target.name: 1.0 if low else -1.0}
    why = []
    if wished.denominator != 1:
        kind = format_request(request)
        why.append(f"no whole number of {kind} faces gives {float(target.share):g} exactly; {whole:,} come nearest.")
    other = {target.name: -request[target.name]}
    needs = (Need(request, having if low else lacking, whole), Need(other, lacking if low else having, 0))
    return BalancePlan(target, needs, len(labels), len(labels) - having - lacking, tuple(why))


def _distance(target: Ratio, having: int, lacking: int, added: int, low: bool) -> Fraction:
    return abs(Fraction(having + (added if low else 0), having + lacking + added) - target.share)


def _equal(
    target: Equal, labels: Labels, vocabulary: Vocabulary, impossible: Callable[[Request], str | None]
) -> BalancePlan:
    names = _distinct(target.names, "attributes")
    if not names:
        raise SpecError("no attribute is named.", field="attributes", value="")
    counts = _combinations(labels, names, vocabulary)
    known = sum(counts.values())
    if not known:
        raise RequestError(
            f"no row has known labels for {', '.join(names)} together.", field="attributes", value=",".join(names)
        )
    most = max(counts.values())
    needs, why = [], []
    for values, have in counts.items():
        request = dict(zip(names, values, strict=True))
        reason = impossible(request) if have < most else None
        needs.append(Need(request, have, most - have, reason))
        if reason:
            why.append(f"{format_request(request)} stays at {have:,}: {reason}")
    return BalancePlan(target, tuple(needs), len(labels), len(labels) - known, tuple(why))


def _at_least(target: AtLeast, labels: Labels, vocabulary: Vocabulary) -> BalancePlan:
    """The most specific requests first: their faces count for every request that they imply."""
    made: list[tuple[Request, int]] = []
    needs: dict[int, Need] = {}
    named: set[int] = set()
    for place in sorted(range(len(target.counts)), key=lambda k: -len(target.counts[k][0])):
        request, least = target.counts[place]
        text = format_request(request)
        if not request or any(abs(value) != 1 for value in request.values()):
            raise SpecError(
                f"{text!r}: attributes that are wanted or unwanted are expected.", field="counts", value=text
            )
        if not 0 < least <= MAX_COUNT:
            raise SpecError(f"{text}: {least} is not between 1 and {MAX_COUNT:,}.", field="counts", value=least)
        if any(request == other for other, _ in made):
            raise SpecError(f"{text} is named twice.", field="counts", value=text)
        have = int(meets(labels, request, vocabulary).sum())
        coming = sum(count for other, count in made if request.items() <= other.items())
        missing = max(0, least - have - coming)
        made.append((request, missing))
        needs[place] = Need(request, have, missing)
        named |= {vocabulary.index(name) for name in request}
    unknown = int(np.isnan(labels[:, sorted(named)]).all(axis=1).sum()) if named else 0
    return BalancePlan(target, tuple(needs[place] for place in range(len(needs))), len(labels), unknown)


def _distinct(names: Sequence[str], what: str) -> tuple[str, ...]:
    for name in names:
        if list(names).count(name) > 1:
            raise SpecError(f"{name} is named twice.", field=what, value=name)
    if len(names) > MAX_NAMES:
        raise SpecError(f"{len(names)} are named, {MAX_NAMES} at most can be.", field=what, value=len(names))
    return tuple(names)


def _combinations(labels: Labels, names: Sequence[str], vocabulary: Vocabulary) -> dict[tuple[float, ...], int]:
    """Every combination of 1 and -1 -> rows that have it; rows with an unknown label among them do not count."""
    columns = labels[:, [vocabulary.index(name) for name in names]]
    counts = dict.fromkeys(itertools.product((1.0, -1.0), repeat=len(names)), 0)
    found, times = np.unique(np.sign(columns[np.isfinite(columns).all(axis=1)]), axis=0, return_counts=True)
    for values, count in zip(found.tolist(), times.tolist(), strict=True):
        if tuple(values) in counts:  # a graded label of 0 is neither
            counts[tuple(values)] = count
    return counts


def spread(
    need: Need,
    labels: Labels,
    vocabulary: Vocabulary,
    match: Sequence[str],
    impossible: Callable[[Request], str | None] = possible_always,
) -> list[Need]:
    """Divide a need over the combinations of more attributes, as common as in the rows that meet it already.

    Those attributes are only given to the generator. Were they verified too, a face would have to be a sure case of
    every one of them, which few are, and what is delivered would no longer be as common as planned.

    Whole faces are shared out by largest remainders, so the parts add up to the need. Combinations that no row has,
    or that are impossible, get nothing; where no row meets the request at all, the need stays whole.
    """
    names = tuple(name for name in _distinct(match, "match") if name not in need.request)
    if not names:
        return [need]
    rows = labels[meets(labels, need.request, vocabulary)]
    seen = {values: count for values, count in _combinations(rows, names, vocabulary).items() if count}
    given = {values: dict(zip(names, values, strict=True)) for values in seen}
    seen = {v: count for v, count in seen.items() if impossible({**need.request, **given[v]}) is None}
    if not seen:
        return [need]
    quotas = {values: Fraction(need.missing * count, sum(seen.values())) for values, count in seen.items()}
    whole = {values: int(quota) for values, quota in quotas.items()}
    rest = need.missing - sum(whole.values())
    for values in sorted(quotas, key=lambda v: whole[v] - quotas[v])[:rest]:
        whole[values] += 1
    return [Need(need.request, seen[v], whole[v], given=given[v]) for v in seen if whole[v]]


def achieved(target: Target, counts: Mapping[str, int]) -> dict[str, Any]:
    """How near counts come to a target, in plain figures.

    Args:
        target: what is wanted.
        counts: text of each request of the target -> rows that meet it.

    Returns:
        ``share`` for a ratio; ``least`` and ``most`` rows of a combination for equality; ``short`` (text -> rows
        still missing) for least counts; and ``reached``, whether it is met exactly.
    """
    if isinstance(target, Ratio):
        having, lacking = counts[target.name], counts[f"-{target.name}"]
        return {
            "share": round(having / (having + lacking), 6),
            "reached": Fraction(having, having + lacking) == target.share,
        }
    if isinstance(target, Equal):
        least, most = min(counts.values()), max(counts.values())
        return {"least": least, "most": most, "reached": least == most}
    wanted = {format_request(request): least for request, least in target.counts}
    short = {text: least - counts[text] for text, least in wanted.items() if counts[text] < least}
    return {"short": short, "reached": not short}
