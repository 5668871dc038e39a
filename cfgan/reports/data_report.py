"""What is in a data set: every figure of ``cfgan data stats``, before it becomes a page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

import cfgan
from cfgan.data.combinations import MOST_CELLS, Combination, cell_count, rarest_combinations, whole_rows
from cfgan.data.duplicates import DISTANCE, LIKENESS, MAX_DISTANCE
from cfgan.data.image_scan import LEAST_IMAGES, MISSING, Scan, scan_images
from cfgan.data.pairs import cluster_order, find_relations, phi_matrix, relation_cells
from cfgan.data.source import Source
from cfgan.data.statistics import AttributeCount, Signs, count_attributes, count_missing, split_shift
from cfgan.data.twins import Twins, crossing, find_twins, label_conflicts, person_groups, shared
from cfgan.errors import InputError
from cfgan.interrupt import StopRequest
from cfgan.reports.data_findings import findings

FORMAT = "cfgan-stats/1"
LISTED = 50
"""Groups of duplicates and unusable images that stats.json names; the CSV tables name all."""

_STRONGEST = 20  # pairs named beside the matrix
_NOTHING = "nothing was written"

Tell = Callable[[str, int, int], None]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Settings:
    """How to look.

    Args:
        images: whether to open the images, where there are any.
        sizes: numbers of values whose rarest combinations are listed.
        tolerance: exceptions among the rarer of two values up to which they count as exclusive or implied.
        alpha: of the test behind that, before Bonferroni's correction.
        distance: bits of 256 that near duplicates differ in at most.
        workers: decoding threads.
        side: of the mean images in pixels.
    """

    images: bool = True
    sizes: tuple[int, ...] = (2, 3)
    tolerance: float = 0.01
    alpha: float = 0.05
    distance: int = DISTANCE
    workers: int = 2
    side: int = 64

    def check(self) -> None:
        """Raise InputError for a value out of range."""
        for name, value, low, high in (
            ("--tolerance", self.tolerance, 0, 0.2),
            ("--distance", self.distance, 0, MAX_DISTANCE),
        ):
            if not low <= value <= high:
                raise InputError(f"{value:g} does not lie in {low}..{high}.", field=name, value=value)
        for size in self.sizes:
            if not 2 <= size <= 6:
                raise InputError(f"combinations of {size} are not counted; 2 to 6.", field="--combinations", value=size)


@dataclass(frozen=True)
class DataReport:
    """Figures, and what stands beside them.

    Args:
        data: ``stats.json``; see ``stats.schema.json``.
        tables: name of a CSV table -> rows.
        means: signed value ("Male", "-Male") -> uint8 (side, side, 3), the mean of the images that carry it. For the
            page of whoever holds the images: of real people, it is not for publishing.
    """

    data: dict[str, Any]
    tables: dict[str, Rows] = field(default_factory=dict)
    means: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict)


def build_data_report(source: Source, settings: Settings | None = None, *, tell: Tell | None = None) -> DataReport:
    """Look at a data set.

    Args:
        source: of :func:`cfgan.data.source.open_source`.
        settings: how.
        tell: called with (stage, done, total).

    Raises:
        InputError: settings out of range.
        StoppedError: a stop was asked for; nothing was written.
    """
    chosen = settings or Settings()
    chosen.check()
    with StopRequest() as stop:

        def step(stage: str, done: int, total: int) -> None:
            stop.raise_if_asked(_NOTHING)
            if tell is not None:
                tell(stage, done, total)

        return _Builder(source, chosen, step).build()


class _Builder:
    def __init__(self, source: Source, settings: Settings, step: Tell) -> None:
        self._source, self._settings, self._step = source, settings, step
        self._names = source.vocabulary.names
        self._tables: dict[str, Rows] = {}

    def build(self) -> DataReport:
        source, settings = self._source, self._settings
        data: dict[str, Any] = {
            "format": FORMAT,
            "cfgan": cfgan.__version__,
            "source": {
                "kind": source.kind,
                "name": source.name,
                "rows": len(source.labels),
                "digest": source.digest,
                "splits": self._split_sizes(),
            },
            "settings": {
                "tolerance": settings.tolerance,
                "alpha": settings.alpha,
                "distance": settings.distance,
                "likeness": LIKENESS,
                "least_images": LEAST_IMAGES,
            },
        }
        data |= self._labels()
        means: dict[str, npt.NDArray[np.uint8]] = {}
        data |= {"images": None, "duplicates": None, "leakage": None, "means": None}
        if source.pictures is not None and settings.images:
            scan = scan_images(
                source.pictures,
                source.labels,
                side=settings.side,
                workers=settings.workers,
                tell=lambda done, total: self._step("looking", done, total),
            )
            twins = find_twins(scan, settings.distance, tell=lambda done, total: self._step("comparing", done, total))
            data["images"] = self._images(scan)
            data["duplicates"] = self._duplicates(twins)
            means = self._means(scan)
            data["means"] = [{"value": value, "images": int(scan.means.count[self._signed(value)])} for value in means]
            data["leakage"] = self._leakage(twins)
        elif source.split is not None and source.person is not None:
            data["leakage"] = self._leakage(None)
        data["findings"] = findings(data)
        return DataReport(data, self._tables, means)

    def _signed(self, value: str) -> int:
        return 2 * self._names.index(value.removeprefix("-")) + value.startswith("-")

    def _split_sizes(self) -> dict[str, int] | None:
        split = self._source.split
        if split is None:
            return None
        return {name: n for k, name in enumerate(self._source.splits) if (n := int((split == k).sum()))}

    # Labels

    def _labels(self) -> dict[str, Any]:
        labels, settings = self._source.labels, self._settings
        counts = count_attributes(self._names, labels)
        by_split = {
            name: count_attributes(self._names, labels[self._source.split == k])
            for k, name in enumerate(self._source.splits)
            if self._source.split is not None and bool((self._source.split == k).any())
        }
        signs = Signs(labels)
        self._step("counting", 0, 0)
        pairs = signs.pairs()
        phi = phi_matrix(pairs)
        order = cluster_order(phi)
        relations, tested = find_relations(self._names, pairs, tolerance=settings.tolerance, alpha=settings.alpha)
        attributes = [
            _attribute(row, {name: rows[k] for name, rows in by_split.items()}, len(counts))
            for k, row in enumerate(counts)
        ]
        self._tables["attributes"] = [_flat_attribute(row) for row in attributes]
        self._tables["phi"] = [
            {"attribute": self._names[i], **{self._names[j]: _round(phi[i, j]) for j in order}} for i in order
        ]
        self._tables["relations"] = [{**asdict(row), "share": row.share} for row in relations]
        known = relation_cells(self._names, relations)
        combined = [self._combination(signs, size, known) for size in settings.sizes if size <= len(self._names)]
        whole = whole_rows(self._names, labels)
        found: dict[str, Any] = {
            "attributes": attributes,
            "missing": asdict(count_missing(labels)),
            "association": {
                "order": [self._names[i] for i in order],
                "phi": [[_round(value) for value in row] for row in phi.tolist()],
                "strongest": _strongest(self._names, phi, pairs),
            },
            "relations": {
                "tested": tested,
                "found": [_rounded({**asdict(row), "share": row.share}) for row in relations],
            },
            "combinations": combined,
            "whole": {
                **{key: getattr(whole, key) for key in ("rows", "distinct", "once")},
                **{key: [_plain_combination(row) for row in getattr(whole, key)] for key in ("commonest", "rarest")},
            },
        }
        self._tables["combinations"] = [
            {
                "size": entry["size"],
                "values": ",".join(row["values"]),
                "count": row["count"],
                "expected": row["expected"],
            }
            for entry in combined
            for row in entry["rarest"]
        ]
        return found

    def _combination(self, signs: Signs, size: int, known: npt.NDArray[np.bool_]) -> dict[str, Any]:
        """The rarest of a size, or that there are too many to count."""
        empty: dict[str, Any] = {
            "size": size,
            "counted": False,
            "possible": None,
            "unseen": None,
            "unexplained": None,
            "rarest": [],
        }
        if cell_count(len(self._names), size) > MOST_CELLS:
            return empty
        self._step("counting", 0, 0)  # a stop is heard between two sizes
        rarest = rarest_combinations(self._names, signs, size, known=known)
        return {
            **empty,
            "counted": True,
            **{key: getattr(rarest, key) for key in ("possible", "unseen", "unexplained")},
            "rarest": [_plain_combination(row) for row in rarest.rows],
        }

    # Images

    def _images(self, scan: Scan) -> dict[str, Any]:
        names, _, _ = self._places()
        bad = [(name, look.problem) for name, look in zip(names, scan.looks, strict=True) if look.problem is not None]
        missing = sum(problem == MISSING for _, problem in bad)
        good = [look for look in scan.looks if look.problem is None]
        sizes = Counter(look.size for look in good)
        weights = np.asarray([look.weight for look in good if look.weight], dtype=np.int64)
        self._tables["problems"] = [{"file": name, "problem": problem} for name, problem in bad]
        self._tables["sizes"] = [{"width": size[0], "height": size[1], "images": n} for size, n in sizes.most_common()]
        return {
            "count": len(scan.looks),
            "readable": len(good),
            "missing": missing,
            "broken": len(bad) - missing,
            "unlabelled": self._source.unlabelled,
            "ignored": dict(self._source.ignored or {}),
            "formats": dict(Counter(look.form for look in good if look.form).most_common()),
            "modes": dict(Counter(look.mode for look in good).most_common()),
            "sizes": {
                "distinct": len(sizes),
                "commonest": [{"width": w, "height": h, "images": n} for (w, h), n in sizes.most_common(12)],
                "width": _spread([look.size[0] for look in good]),
                "height": _spread([look.size[1] for look in good]),
            },
            "bytes": {"total": int(weights.sum()), **_spread(weights.tolist())} if len(weights) else None,
            "problems": [{"file": name, "problem": problem} for name, problem in bad[:LISTED]],
        }

    def _places(self) -> tuple[Sequence[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Names of the images, their rows, their splits (-1 in none)."""
        pictures = self._source.pictures
        if pictures is None:
            return (), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        rows = pictures.rows
        split = np.full(len(rows), -1, dtype=np.int64)
        if self._source.split is not None:
            split[rows >= 0] = self._source.split[rows[rows >= 0]]
        return pictures.names, rows, split

    def _duplicates(self, twins: Twins) -> dict[str, Any]:
        names, rows, split = self._places()
        kinds: tuple[tuple[str, list[list[int]], Sequence[int | None]], ...] = (
            ("file", twins.files, [0] * len(twins.files)),
            ("pixels", twins.pixels, [0] * len(twins.pixels)),
            ("near", twins.near, twins.distance),
        )
        listed: Rows = []
        table: Rows = []
        for kind, groups, distance in kinds:
            for number, (group, bits) in enumerate(zip(groups, distance, strict=True)):
                files = [{"file": names[k], "split": self._split_name(int(split[k]))} for k in group]
                table += [{"kind": kind, "group": number, "distance": bits, **file} for file in files]
                if number < LISTED:
                    listed.append({"kind": kind, "distance": bits, "count": len(files), "files": files[:LISTED]})
        self._tables["duplicates"] = table
        conflicts = label_conflicts(twins.pixels, rows, self._source.labels)
        return {
            **{kind: _group_counts(groups) for kind, groups, _ in kinds},
            "complete": twins.complete,
            "flat": twins.flat,
            "groups": listed,
            "labels": {
                "groups": conflicts.groups,
                "differing": conflicts.differing,
                "attributes": {name: n for name, n in zip(self._names, conflicts.attributes, strict=True) if n},
            },
        }

    def _split_name(self, number: int) -> str | None:
        return self._source.splits[number] if number >= 0 else None

    def _means(self, scan: Scan) -> dict[str, npt.NDArray[np.uint8]]:
        found = {}
        for k, name in enumerate(self._names):
            for sign, value in enumerate((name, f"-{name}")):
                image = scan.means.image(2 * k + sign)
                if image is not None:
                    found[value] = image
        return found

    # Splits

    def _leakage(self, twins: Twins | None) -> dict[str, Any] | None:
        if self._source.split is None or len(self._source.splits) < 2:
            return None
        names, _, split = self._places()
        found: dict[str, Any] = {"file": None, "pixels": None, "near": None, "person": None}
        table: Rows = []
        if twins is not None:
            for kind, groups in (("file", twins.files), ("pixels", twins.pixels), ("near", twins.near)):
                found[kind] = self._crossing(groups, split)
                table += self._named(kind, crossing(groups, split), split, names)
        if self._source.person is not None:
            groups = person_groups(self._source.person)
            found["person"] = self._crossing(groups, self._source.split)
            files = self._source.files or tuple(f"row {k + 1}" for k in range(len(self._source.labels)))
            table += self._named("person", crossing(groups, self._source.split), self._source.split, files)
        self._tables["leakage"] = table
        return found

    def _crossing(self, groups: list[list[int]], split: npt.NDArray[np.int64]) -> dict[str, Any]:
        across = crossing(groups, split)
        return {
            "groups": len(across),
            "images": sum(map(len, across)),
            "between": [
                {
                    "splits": [self._source.splits[k] for k in row.splits],
                    "groups": row.groups,
                    "images": list(row.images),
                }
                for row in shared(across, split, self._source.splits)
            ],
        }

    def _named(self, kind: str, groups: list[list[int]], split: npt.NDArray[np.int64], files: Sequence[str]) -> Rows:
        return [
            {"kind": kind, "group": number, "file": files[k], "split": self._split_name(int(split[k]))}
            for number, group in enumerate(groups)
            for k in group
        ]


def _attribute(row: AttributeCount, splits: dict[str, AttributeCount], tested: int) -> dict[str, Any]:
    shift = split_shift(list(splits.values()), tested)
    return {
        **asdict(row),
        "n": row.n,
        "rate": _round(row.rate),
        "interval": [_round(value) for value in row.interval],
        "imbalance": _round(row.imbalance, 2),
        "rarer": row.rarer,
        "splits": {
            name: {"n": part.n, "rate": _round(part.rate), "interval": [_round(value) for value in part.interval]}
            for name, part in splits.items()
        },
        "shift": None if shift is None else {"points": _round(shift.points), "p": _significant(shift.p)},
    }


def _flat_attribute(row: dict[str, Any]) -> dict[str, Any]:
    flat = {key: value for key, value in row.items() if key not in ("interval", "splits", "shift")}
    flat |= {"low": row["interval"][0], "high": row["interval"][1]}
    for name, part in row["splits"].items():
        flat |= {f"{name}.n": part["n"], f"{name}.rate": part["rate"]}
    return flat


def _strongest(names: Sequence[str], phi: npt.NDArray[np.float64], pairs: npt.NDArray[np.int64]) -> Rows:
    first, second = np.triu_indices(len(names), 1)
    values = np.nan_to_num(phi[first, second])
    order = np.argsort(-np.abs(values), kind="stable")[:_STRONGEST]
    return [
        {
            "first": names[i],
            "second": names[j],
            "phi": _round(phi[i, j]),
            "n": int(pairs[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].sum()),
        }
        for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True)
        if math.isfinite(phi[i, j])
    ]


def _plain_combination(row: Combination) -> dict[str, Any]:
    return {"values": list(row.values), "count": row.count, "expected": _significant(row.expected)}


def _group_counts(groups: list[list[int]]) -> dict[str, int]:
    """Groups, the images in them, and how many could go so that one of each stays."""
    images = sum(map(len, groups))
    return {"groups": len(groups), "images": images, "surplus": images - len(groups)}


def _spread(values: Sequence[int]) -> dict[str, float | None]:
    if not values:
        return {"least": None, "median": None, "most": None}
    return {"least": min(values), "median": float(np.median(values)), "most": max(values)}


def _round(value: float, digits: int = 5) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _significant(value) if isinstance(value, float) else value for key, value in row.items()}
