"""What is in a data set beside labels: its images, those that are there twice, what lies in two splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.data.profile.duplicate_groups import DuplicateGroups, crossing, label_conflicts, person_groups, shared
from cfgan.data.profile.image_scan import MISSING, Scan
from cfgan.data.sources.base import Source

LISTED = 50
"""Groups of duplicates and unusable images that stats.json names; the CSV tables name all."""

Rows = list[dict[str, Any]]


class ImageFigures:
    """The parts of ``stats.json`` that come from images and splits.

    Args:
        source: the data set.
        tables: name of a CSV table -> rows; filled.
    """

    def __init__(self, source: Source, tables: dict[str, Rows]) -> None:
        self._source, self.tables = source, tables

    def images(self, scan: Scan) -> dict[str, Any]:
        """``images`` of the figures: what can be read, in what sizes and formats."""
        names, _, _ = self._places()
        bad = [(name, look.problem) for name, look in zip(names, scan.looks, strict=True) if look.problem is not None]
        missing = sum(problem == MISSING for _, problem in bad)
        good = [look for look in scan.looks if look.problem is None]
        sizes = Counter(look.size for look in good)
        weights = np.asarray([look.weight for look in good if look.weight], dtype=np.int64)
        self.tables["problems"] = [{"file": name, "problem": problem} for name, problem in bad]
        self.tables["sizes"] = [{"width": size[0], "height": size[1], "images": n} for size, n in sizes.most_common()]
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

    def duplicates(self, duplicates: DuplicateGroups) -> dict[str, Any]:
        """``duplicates`` of the figures."""
        names, rows, split = self._places()
        kinds: tuple[tuple[str, list[list[int]], Sequence[int | None]], ...] = (
            ("file", duplicates.files, [0] * len(duplicates.files)),
            ("pixels", duplicates.pixels, [0] * len(duplicates.pixels)),
            ("near", duplicates.near, duplicates.distance),
        )
        listed: Rows = []
        table: Rows = []
        for kind, groups, distance in kinds:
            for number, (group, bits) in enumerate(zip(groups, distance, strict=True)):
                files = [{"file": names[k], "split": self._split_name(int(split[k]))} for k in group]
                table += [{"kind": kind, "group": number, "distance": bits, **file} for file in files]
                if number < LISTED:
                    listed.append({"kind": kind, "distance": bits, "count": len(files), "files": files[:LISTED]})
        self.tables["duplicates"] = table
        conflicts = label_conflicts(duplicates.pixels, rows, self._source.labels)
        return {
            **{kind: _group_counts(groups) for kind, groups, _ in kinds},
            "complete": duplicates.complete,
            "flat": duplicates.flat,
            "groups": listed,
            "labels": {
                "groups": conflicts.groups,
                "differing": conflicts.differing,
                "attributes": {
                    name: n for name, n in zip(self._source.vocabulary.names, conflicts.attributes, strict=True) if n
                },
            },
        }

    def _split_name(self, number: int) -> str | None:
        return self._source.splits[number] if number >= 0 else None

    def means(self, scan: Scan) -> dict[str, npt.NDArray[np.uint8]]:
        """Signed value -> mean image, for those with enough images."""
        found = {}
        for k, name in enumerate(self._source.vocabulary.names):
            for sign, value in enumerate((name, f"-{name}")):
                image = scan.means.image(2 * k + sign)
                if image is not None:
                    found[value] = image
        return found

    def leakage(self, duplicates: DuplicateGroups | None) -> dict[str, Any] | None:
        """``leakage`` of the figures; None without two splits. ``duplicates``: None where no image was looked at."""
        if self._source.split is None or len(self._source.splits) < 2:
            return None
        names, _, split = self._places()
        found: dict[str, Any] = {"file": None, "pixels": None, "near": None, "person": None}
        table: Rows = []
        if duplicates is not None:
            for kind, groups in (("file", duplicates.files), ("pixels", duplicates.pixels), ("near", duplicates.near)):
                found[kind] = self._crossing(groups, split)
                table += self._named(kind, crossing(groups, split), split, names)
        if self._source.person is not None:
            groups = person_groups(self._source.person)
            found["person"] = self._crossing(groups, self._source.split)
            files = self._source.files or tuple(f"row {k + 1}" for k in range(len(self._source.labels)))
            table += self._named("person", crossing(groups, self._source.split), self._source.split, files)
        self.tables["leakage"] = table
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


def _group_counts(groups: list[list[int]]) -> dict[str, int]:
    """Groups, the images in them, and how many could go so that one of each stays."""
    images = sum(map(len, groups))
    return {"groups": len(groups), "images": images, "surplus": images - len(groups)}


def _spread(values: Sequence[int]) -> dict[str, float | None]:
    if not values:
        return {"least": None, "median": None, "most": None}
    return {"least": min(values), "median": float(np.median(values)), "most": max(values)}
