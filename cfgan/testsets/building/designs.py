"""The designs of a test set: which faces each needs, and which of them it compares."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cfgan.attributes.request import Request, format_request, parse_request
from cfgan.attributes.spec import RequestCell
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import SpecError
from cfgan.testsets.building.captured import add_captures, captured
from cfgan.testsets.building.faces import FaceMaker
from cfgan.testsets.building.nearest import NearestPairs, nearest_pairs
from cfgan.testsets.building.pairing import PairList, Screen, Values, fold_of, ring
from cfgan.testsets.building.writer import Face
from cfgan.testsets.captures import captures_of
from cfgan.testsets.folder import Item, Pair
from cfgan.testsets.scores.operating_points import RANDOM
from cfgan.testsets.spec import CaptureModel, FactorialModel, MatchedModel, Plan, TransectModel

IMPOSTER = "imposter"
"""The stratum of non-mated comparisons in a set of one level."""


@dataclass
class Built:
    """What a design gave.

    Args:
        pairs, items: comparisons, or presentations.
        unmet: quota -> how many are missing.
        notes: what a reader of the datasheet must know besides.
        screening: stratum of non-mated comparisons -> its enrolled faces, how many of them have another among the
            candidates that is too alike for another person, and how many comparisons of such were passed over, or
            taken where nothing is screened.
    """

    pairs: list[Pair] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    unmet: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    screening: dict[str, dict[str, Any]] = field(default_factory=dict)

    def quota(self, name: str, wanted: int, found: int) -> None:
        """Name a quota that was not reached."""
        if found < wanted:
            self.unmet[name] = wanted - found


def stated_names(plan: Plan, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The attributes that a test set speaks of, in the vocabulary's order."""
    named = set(plan.request)
    for key in ("change", "cross", "match"):
        named |= {name.lstrip("-") for name in plan.resolved.get(key) or ()}
    return tuple(name for name in vocabulary.names if name in named)


def base_request(plan: Plan, vocabulary: Vocabulary) -> Request:
    """What faces show before a change: everything requested, and the opposite of each change."""
    request = dict(plan.request)
    for name, value in changes(plan, vocabulary).items():
        request[name] = -value
    return {name: request[name] for name in vocabulary.names if name in request}


def changes(plan: Plan, vocabulary: Vocabulary) -> Request:
    """The changes of a plan: attribute -> the value that it is changed to."""
    return parse_request(",".join(plan.resolved.get("change") or ()), vocabulary, field="change")


def cells_of(plan: Plan, vocabulary: Vocabulary) -> dict[str, RequestCell]:
    """Role -> the request of its faces, for the designs whose requests are known before anything is drawn.

    Raises:
        SpecError: numbers and folds that do not go together; names the nearest that do.
    """
    model = plan.model
    request = base_request(plan, vocabulary)
    if isinstance(model, MatchedModel):
        count = math.ceil(model.pairs / model.per_face)
        _require_folds(count, model.folds, _least_in_fold(model), "pairs")
        cells = {"enrolled": plan.cell("enrolled", request, count, 0)}
        if "random" in model.levels:
            cells["random"] = plan.cell("random", {}, count, 1, verified=False)
        return cells
    if isinstance(model, TransectModel):
        _require_folds(model.subjects, model.folds, 2 * model.imposters + 1, "subjects")
        return {"base": plan.cell("base", request, model.subjects, 0)}
    if isinstance(model, CaptureModel):
        _require_folds(model.subjects, model.folds, 2 * model.imposters + 1, "subjects")
        return {"base": plan.cell("base", request, model.subjects, 0)}
    if isinstance(model, FactorialModel):
        _require_folds(model.per_cell, model.folds, 2 * model.per_face + 1, "per_cell")
        cross = plan.resolved["cross"]
        cells = {}
        for place, signs in enumerate(itertools.product((1.0, -1.0), repeat=len(cross))):
            crossed = dict(zip(cross, signs, strict=True))
            if clash := [name for name in crossed if request.get(name, crossed[name]) != crossed[name]]:
                raise SpecError(f"{clash[0]} cannot be both crossed and changed.", field="cross", value=clash[0])
            role = format_request(crossed)
            cells[role] = plan.cell(role, {**request, **crossed}, model.per_cell, place)
        return cells
    return {}


def _least_in_fold(model: MatchedModel) -> int:
    """Subjects that a fold needs.

    Among themselves n faces can be compared n (n - 1) / 2 times. Where the nearest are taken first, one to spare.
    """
    if model.levels == ["random"]:
        return model.per_face + 1
    return 2 * model.per_face + (2 if "nearest" in model.levels else 1)


def _require_folds(subjects: int, folds: int, least: int, what: str) -> None:
    """Every fold needs enough subjects for the comparisons that are wanted in it."""
    if subjects // folds < least:
        most = subjects // least
        raise SpecError(
            f"{subjects} subjects in {folds} folds leave fewer than {least} a fold (too few {what}).",
            field="folds",
            value=folds,
            nearest=[most] if most else (),
        )


def matched(maker: FaceMaker, cells: Mapping[str, RequestCell], values: Values) -> Built:
    """Non-mated pairs in graded hardness; see :class:`MatchedModel`."""
    plan, model = maker.plan, maker.plan.model
    built = Built()
    if not isinstance(model, MatchedModel):
        raise TypeError("not a matched plan")
    faces = {role: maker.subjects(role, cell) for role, cell in cells.items()}
    enrolled, others = faces["enrolled"], faces.get("random", [])
    hard = _hardest(maker, model, enrolled) if "nearest" in model.levels else None
    of_enrolled = hard.folds if hard else [fold_of(i, model.folds) for i in range(len(enrolled))]
    folds = {face.subject: fold for face, fold in zip(enrolled, of_enrolled, strict=True)}
    for i, face in enumerate(others):  # as many in each fold as there are enrolled faces to meet
        folds[face.subject] = of_enrolled[i % len(of_enrolled)] if of_enrolled else fold_of(i, model.folds)
    pairs = PairList(values, folds)
    everyone = [*enrolled, *others]
    screen = _screen(maker, everyone)
    places = range(len(enrolled)), range(len(enrolled), len(everyone))
    for level in model.levels:
        found: list[tuple[int, int, int | None]] = []
        probes = places[1] if level == "random" else places[0]
        if level == "nearest" and hard:
            found += hard.pairs
            passed = hard.passed_over
        else:
            for fold in range(1, model.folds + 1):
                own, among = ([i for i in each if folds[everyone[i].subject] == fold] for each in (places[0], probes))
                found += [(a, b, None) for a, b in ring(own, among, model.per_face, screen)]
            passed = screen.met()
        found = sorted(found, key=lambda pair: pair[0])[: model.pairs]
        built.quota(f"{level} pairs", model.pairs, len(found))
        _note_screening(built, level, screen, places[0], probes, passed)
        for a, b, rank in found:
            pairs.add(everyone[a], everyone[b], "0", level, rank)
    _add_changes(maker, plan, enrolled, pairs, lambda face, name: name, built)
    add_captures(maker, enrolled, pairs, lambda face, name: name)
    built.pairs = pairs.pairs
    return built


def _hardest(maker: FaceMaker, model: MatchedModel, enrolled: Sequence[Face]) -> NearestPairs:
    """Each enrolled face's most similar others, and the folds that follow from them."""
    identity = maker.identity
    return nearest_pairs(
        _vectors(enrolled),
        model.per_face,
        model.max_uses or 2 * model.per_face,
        model.folds,
        _least_in_fold(model),
        -identity.limit if identity.screens and identity.limit is not None else -1.0,
    )


def _bases(
    maker: FaceMaker, cell: RequestCell, model: TransectModel | CaptureModel, values: Values, built: Built
) -> tuple[list[Face], dict[str, int], PairList]:
    """The subjects of a design that has one image of each to begin with, their folds, and no pairs yet."""
    bases = maker.subjects("base", cell)
    built.quota("subjects", model.subjects, len(bases))
    folds = {face.subject: fold_of(i, model.folds) for i, face in enumerate(bases)}
    return bases, folds, PairList(values, folds)


def transect(maker: FaceMaker, cells: Mapping[str, RequestCell], values: Values) -> Built:
    """One face, one attribute changed at a time; see :class:`TransectModel`."""
    plan, model = maker.plan, maker.plan.model
    if not isinstance(model, TransectModel):
        raise TypeError("not a transect plan")
    built = Built()
    bases, folds, pairs = _bases(maker, cells["base"], model, values, built)
    _add_changes(maker, plan, bases, pairs, lambda face, name: name, built, search=model.search)
    add_captures(maker, bases, pairs, lambda face, name: name)
    _add_imposters(bases, folds, model.folds, model.imposters, maker, pairs, lambda face: IMPOSTER, built)
    built.pairs = pairs.pairs
    return built


def factorial(maker: FaceMaker, cells: Mapping[str, RequestCell], values: Values) -> Built:
    """Every combination of some attributes in equal numbers; see :class:`FactorialModel`."""
    plan, model = maker.plan, maker.plan.model
    if not isinstance(model, FactorialModel):
        raise TypeError("not a factorial plan")
    built = Built()
    groups = {role: maker.subjects(role, cell) for role, cell in cells.items()}
    for role, faces in groups.items():
        built.quota(role, model.per_cell, len(faces))
    folds = {face.subject: fold_of(i, model.folds) for faces in groups.values() for i, face in enumerate(faces)}
    pairs = PairList(values, folds)
    for faces in groups.values():
        _add_imposters(faces, folds, model.folds, model.per_face, maker, pairs, lambda face: face.role, built)
    everyone = [face for faces in groups.values() for face in faces]
    _add_changes(maker, plan, everyone, pairs, lambda face, name: face.role, built)
    add_captures(maker, everyone, pairs, lambda face, name: face.role)
    built.pairs = pairs.pairs
    return built


def capture(maker: FaceMaker, cells: Mapping[str, RequestCell], values: Values) -> Built:
    """One face under changes of capture; see :class:`CaptureModel`.

    The same imposters are compared unchanged (stratum "random", from which thresholds come) and under each change, so
    that what a change does to both error rates can be told face by face.
    """
    plan, model = maker.plan, maker.plan.model
    if not isinstance(model, CaptureModel):
        raise TypeError("not a capture plan")
    built = Built()
    bases, folds, pairs = _bases(maker, cells["base"], model, values, built)
    couples = _add_imposters(bases, folds, model.folds, model.imposters, maker, pairs, lambda face: RANDOM, built)
    for change in captures_of(plan.resolved):
        changed = captured(maker, bases, change)
        for base, face in zip(bases, changed, strict=True):
            pairs.add(base, face, "1", change.name)
        for a, b in couples:
            pairs.add(bases[a], changed[b], "0", change.name)
    built.pairs = pairs.pairs
    return built


def _add_imposters(
    faces: Sequence[Face],
    folds: Mapping[str, int],
    count: int,
    each: int,
    maker: FaceMaker,
    pairs: PairList,
    stratum: Callable[[Face], str],
    built: Built,
) -> list[tuple[int, int]]:
    """Non-mated pairs inside each fold of some faces, and who they are by their places."""
    screen = _screen(maker, faces)
    found: list[tuple[int, int]] = []
    for fold in range(1, count + 1):
        own = [i for i, face in enumerate(faces) if folds[face.subject] == fold]
        found += ring(own, own, each, screen)
    found.sort(key=lambda pair: pair[0])
    for a, b in found:
        pairs.add(faces[a], faces[b], "0", stratum(faces[a]))
    if faces and each:
        built.quota(f"{stratum(faces[0])} pairs", each * len(faces), len(found))
        _note_screening(built, stratum(faces[0]), screen, range(len(faces)), range(len(faces)), screen.met())
    return found


def _add_changes(
    maker: FaceMaker,
    plan: Plan,
    bases: Sequence[Face],
    pairs: PairList,
    stratum: Callable[[Face, str], str],
    built: Built,
    *,
    search: bool = True,
) -> None:
    """Presumed mated pairs of faces and what each change makes of them; a face without its change is an unmet quota."""
    by_file = {face.file: face for face in bases}
    for name, value in changes(plan, maker.bundle.vocabulary).items():
        role = format_request({name: value})
        changed = maker.changed(role, bases, name, value, search=search)
        built.quota(f"changes to {role}", len(bases), len(changed))
        for face in changed:
            base = by_file[face.of]
            pairs.add(base, face, "presumed", stratum(base, role))


def _screen(maker: FaceMaker, faces: Sequence[Face]) -> Screen:
    return Screen(faces, maker.identity.limit, maker.identity.screens)


def _note_screening(
    built: Built, stratum: str, screen: Screen, enrolled: Sequence[int], probes: Sequence[int], met: int
) -> None:
    if screen.limit is not None:
        double = screen.with_double(enrolled, probes)
        built.screening[stratum] = {"faces": len(enrolled), "with_one_too_alike": double, "comparisons": met}


def _vectors(faces: Sequence[Face]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.stack([face.vector for face in faces]) if faces else np.zeros((0, 0), np.float32)
