"""Proving a test set complete, unchanged and consistent with itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from cfgan.data.decode import load_rgb
from cfgan.errors import DataError, FolderError
from cfgan.io.files import sha256_of
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.testsets.folder import (
    ATTRIBUTES,
    CHECKSUMS,
    DATASHEET,
    ITEMS,
    MANIFEST,
    PAIRS,
    PROTOCOL,
    SPEC,
    Item,
    Pair,
    Testset,
    open_testset,
    person_of,
    subject_of,
)
from cfgan.testsets.tables import GALLERY, attribute_columns, attribute_rows, is_enrolled, read_checksums

DESIGNS = ("matched", "transect", "factorial", "capture", "gallery", "detection")
"""What a test set may be."""

_IMAGES = "images/"
_DIGEST = "sha256"  # a column of the table of images
_REQUIRED = {MANIFEST, ATTRIBUTES, PROTOCOL, DATASHEET, SPEC}


def check_testset(folder: Path, progress: Progress | None = None) -> list[str]:
    """Compare a test set with its checksums, its tables with each other, and all of it with its protocol.

    Args:
        folder: a finished test set.
        progress: called with files done and in all.

    Returns:
        One line a problem; empty when every file is there, unchanged, decodable and accounted for, every comparison
        has its faces, no subject is in two folds and the counts are those of the protocol.

    Raises:
        FolderError: no test set, or an unfinished one.
        StoppedError: a stop was asked for.
    """
    if not (folder / CHECKSUMS).is_file():
        open_testset(folder)  # says whether it is none, or an unfinished one
    sums, problems = read_checksums(folder)
    problems += _check_files(folder, sums, progress)
    try:
        return problems + check_tables(open_testset(folder), sums)
    except FolderError as error:
        return [*problems, str(error)]


def check_tables(testset: Testset, sums: Mapping[str, str]) -> list[str]:
    """Compare the tables of a set with each other, with its checksums and its protocol; images are not opened.

    Returns:
        One line a problem.

    Raises:
        FolderError: the table of images cannot be read.
    """
    shown, problems = _check_images(testset.path, sums)
    detection = testset.design == "detection"
    if testset.design not in DESIGNS:
        problems.append(f"{MANIFEST}: design {testset.design[:40]!r} is not one of {', '.join(DESIGNS)}")
    missing = {*_REQUIRED, ITEMS if detection else PAIRS} - set(sums)
    problems += [f"{name}: missing from {CHECKSUMS}" for name in sorted(missing)]
    problems += _check_items(testset, shown) if detection else _check_pairs(testset, shown)
    return problems + _check_folds(testset) + _check_counts(testset, shown)


def _check_files(folder: Path, sums: dict[str, str], progress: Progress | None) -> list[str]:
    """Everything listed is there, unchanged and, if an image, decodable; nothing else is there."""
    problems = []
    with StopRequest() as stop:
        for done, (name, digest) in enumerate(sums.items(), start=1):
            stop.raise_if_asked("not all files were checked")
            path = folder / name
            if path.is_symlink() or not path.is_file():
                problems.append(f"{name}: missing")
            elif sha256_of(path) != digest:
                problems.append(f"{name}: changed")
            elif name.startswith((_IMAGES, GALLERY)):
                try:
                    load_rgb(path)
                except DataError as error:
                    problems.append(f"{name}: {error}")
            if progress:
                progress("checking", done, len(sums))
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return problems + [f"{name}: not listed in {CHECKSUMS}" for name in sorted(present - set(sums) - {CHECKSUMS})]


def _check_images(folder: Path, sums: Mapping[str, str]) -> tuple[set[str], list[str]]:
    """The files of the table of images, and what does not fit them."""
    shown: set[str] = set()
    problems = []
    columns = attribute_columns(folder)
    digest = columns.index(_DIGEST) if _DIGEST in columns else None
    for row in attribute_rows(folder):
        if row.file in shown:
            problems.append(f"{ATTRIBUTES}: {row.file} is listed twice")
        elif row.file not in sums:
            problems.append(f"{ATTRIBUTES}: {row.file} is not listed in {CHECKSUMS}")
        elif row.file.count("/") < 2 or subject_of(row.file) != row.subject:
            problems.append(f"{ATTRIBUTES}: {row.file} lies in no folder of subject {row.subject}")
        elif digest is not None and row.cells[digest] != sums[row.file]:
            problems.append(f"{ATTRIBUTES}: {row.file} has another sha256 than in {CHECKSUMS}")
        shown.add(row.file)
    stray = sorted(name for name in sums if name.startswith(_IMAGES) and name not in shown)
    return shown, problems + [f"{name}: not in {ATTRIBUTES}" for name in stray]


def _check_pairs(testset: Testset, shown: set[str]) -> list[str]:
    problems = _twice(PAIRS, (pair.pair for pair in testset.pairs))
    problems += _twice(PAIRS, (f"{pair.a} against {pair.b} in {pair.stratum}" for pair in testset.pairs))
    enrolled: dict[str, str] = {}
    for pair in testset.pairs:
        enrolled.setdefault(pair.group, pair.a)
        problems += [f"{PAIRS}: {pair.pair}: {text}" for text in _pair_problems(pair, testset.design, shown)]
        same = person_of(enrolled[pair.group]) == person_of(pair.a) if testset.design == "gallery" else False
        if pair.group and enrolled[pair.group] != pair.a and not same:  # of a gallery's person, the likest image
            problems.append(f"{PAIRS}: {pair.pair}: group {pair.group} has another enrolled face")
    return problems


def _pair_problems(pair: Pair, design: str, shown: set[str]) -> Iterable[str]:
    faults = [text for name in (pair.a, pair.b) if (text := _fault(name, design, shown))]
    if faults:
        yield faults[0]
    elif pair.a == pair.b:
        yield "an image is compared with itself"
    elif (person_of(pair.a) == person_of(pair.b)) != (pair.mated != "0"):
        yield f"mated is {pair.mated}, but the subjects are {person_of(pair.a)} and {person_of(pair.b)}"


def _fault(name: str, design: str, shown: set[str]) -> str:
    """What is wrong with the name of a face: neither an image of the set nor, against a gallery, an enrolled one."""
    if design == "gallery" and name.startswith(GALLERY):
        return "" if is_enrolled(name) else f"{name} is not {GALLERY}PERSON/FILE"
    return "" if name in shown else f"the set has no image {name}"


def _check_items(testset: Testset, shown: set[str]) -> list[str]:
    problems = _twice(ITEMS, (item.item for item in testset.items))
    problems += _twice(ITEMS, (item.file for item in testset.items if item.file))
    for item in testset.items:
        if item.file and item.file not in shown:
            problems.append(f"{ITEMS}: {item.item}: the set has no image {item.file}")
        if item.label == "attack" and not item.file:
            problems.append(f"{ITEMS}: {item.item}: an attack without a file")
    return problems


def _check_folds(testset: Testset) -> list[str]:
    """Folds are 1..k, and no subject is in two of them."""
    folds: dict[str, set[int]] = {}
    for name, fold in chain(
        ((file, pair.fold) for pair in testset.pairs for file in (pair.a, pair.b)),
        ((item.file, item.fold) for item in testset.items if item.file),
    ):
        folds.setdefault(person_of(name), set()).add(fold)
    problems = [
        f"{_table(testset)}: {person} is in the folds {', '.join(map(str, sorted(found)))}"
        for person, found in sorted(folds.items())
        if len(found) > 1
    ]
    used = {row.fold for row in _rows(testset)}
    count = testset.protocol.get("folds")
    if not isinstance(count, int) or not used <= set(range(1, count + 1)):
        listed = ", ".join(map(str, sorted(used)))
        problems.append(f"{PROTOCOL} says {count} folds, {_table(testset)} has {listed}")
    return problems


def count_rows(testset: Testset) -> dict[str, Any]:
    """The counts of a protocol, by its rows: comparisons or presentations, by kind and by stratum."""
    strata = dict(sorted(Counter(row.stratum for row in _rows(testset)).items()))
    if testset.design == "detection":
        labels = Counter(item.label for item in testset.items if item.file)
        return {
            "items": len(testset.items),
            "attack": labels["attack"],
            "bona_fide": labels["bona_fide"],
            "slots": sum(not item.file for item in testset.items),
            "strata": strata,
        }
    mated = Counter(pair.mated for pair in testset.pairs)
    return {
        "pairs": len(testset.pairs),
        "mated": mated["1"],
        "nonmated": mated["0"],
        "presumed": mated["presumed"],
        "strata": strata,
    }


def _check_counts(testset: Testset, shown: set[str]) -> list[str]:
    counts = testset.protocol.get("counts")
    if not isinstance(counts, dict):
        return [f"{PROTOCOL}: counts are missing"]
    subjects = {file.split("/")[-2] for file in shown if "/" in file}
    found = {**count_rows(testset), "subjects": len(subjects), "images": len(shown)}
    return [
        f"{PROTOCOL} says {name} {counts.get(name, 0)}, the tables have {value}"
        for name, value in found.items()
        if counts.get(name, 0) != value
    ]


def _rows(testset: Testset) -> tuple[Pair | Item, ...]:
    return (*testset.pairs, *testset.items)


def _table(testset: Testset) -> str:
    return ITEMS if testset.design == "detection" else PAIRS


def _twice(table: str, names: Iterable[str]) -> list[str]:
    return [f"{table}: {name} is listed twice" for name, count in Counter(names).items() if count > 1]
