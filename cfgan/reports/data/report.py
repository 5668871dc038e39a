"""What is in a data set: every figure of ``cfgan data stats``, before it becomes a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

import cfgan
from cfgan.data.profile.combinations import MOST_CELLS, Combination, cell_count, rarest_combinations, whole_rows
from cfgan.data.profile.duplicate_groups import find_duplicate_groups
from cfgan.data.profile.duplicates import DISTANCE, LIKENESS, MAX_DISTANCE
from cfgan.data.profile.image_scan import LEAST_IMAGES, scan_images
from cfgan.data.profile.pairs import cluster_order, find_relations, phi_matrix, relation_cells
from cfgan.data.profile.statistics import AttributeCount, Signs, count_attributes, count_missing, split_shift
from cfgan.data.sources.base import Source
from cfgan.errors import InputError
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.reports.data.findings import findings
from cfgan.reports.data.images import ImageFigures, Rows

FORMAT = "cfgan-stats/1"
_STRONGEST = 20  # pairs named beside the matrix
_NOTHING = "nothing was written"


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


def build_data_report(
    source: Source, settings: Settings | None = None, *, progress: Progress | None = None
) -> DataReport:
    """Look at a data set.

    Args:
        source: of :func:`cfgan.data.source.open_source`.
        settings: how.
        progress: called while it lasts.

    Raises:
        InputError: settings out of range.
        StoppedError: a stop was asked for; nothing was written.
    """
    chosen = settings or Settings()
    chosen.check()
    with StopRequest() as stop:

        def step(stage: str, done: int, total: int, remark: str = "") -> None:
            stop.raise_if_asked(_NOTHING)
            if progress is not None:
                progress(stage, done, total, remark)

        return _Builder(source, chosen, step).build()


class _Builder:
    def __init__(self, source: Source, settings: Settings, step: Progress) -> None:
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
                "left_out": source.left_out.to_dict(),
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
        images = ImageFigures(source, self._tables)
        data |= {"images": None, "duplicates": None, "leakage": None, "means": None}
        if source.pictures is not None and settings.images:
            scan = scan_images(
                source.pictures,
                source.labels,
                side=settings.side,
                workers=settings.workers,
                progress=self._step,
            )
            duplicates = find_duplicate_groups(scan, settings.distance, progress=self._step)
            data["images"] = images.images(scan)
            data["duplicates"] = images.duplicates(duplicates)
            means = images.means(scan)
            data["means"] = [{"value": value, "images": int(scan.means.count[self._signed(value)])} for value in means]
            data["leakage"] = images.leakage(duplicates)
        elif source.split is not None and source.person is not None:
            data["leakage"] = images.leakage(None)
        data["findings"] = findings(data)
        return DataReport(data, self._tables, means)

    def _signed(self, value: str) -> int:
        return 2 * self._names.index(value.removeprefix("-")) + value.startswith("-")

    def _split_sizes(self) -> dict[str, int] | None:
        split = self._source.split
        if split is None:
            return None
        return {name: n for k, name in enumerate(self._source.splits) if (n := int((split == k).sum()))}

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
        rarest = rarest_combinations(self._names, signs, size, known=known, progress=self._step)
        return {
            **empty,
            "counted": True,
            **{key: getattr(rarest, key) for key in ("possible", "unseen", "unexplained")},
            "rarest": [_plain_combination(row) for row in rarest.rows],
        }


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


def _round(value: float, digits: int = 5) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _significant(value) if isinstance(value, float) else value for key, value in row.items()}
