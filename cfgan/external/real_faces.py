"""How often the external classifiers see what is there in real faces: the ceiling of what they see in generated ones.

Real faces are not shipped. ``real_faces.json`` holds counts only, of CelebA's held-out faces as cfgan packs them. It is
made by ``python benchmarks/external_classifiers.py STORE --face-api package --write``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.external.classifier import ExternalClassifier, Probabilities, sees
from cfgan.external.detector import Boxes, found

FORMAT = "cfgan-witnesses/1"
FILE = Path(__file__).parent / "real_faces.json"

Count = tuple[int, int]
"""Hits, and of how many."""


@dataclass(frozen=True)
class RealReadings:
    """What one external classifier sees in real faces.

    Args:
        yes: how often it sees the attribute in faces that are labelled with it.
        no: how often it sees it in faces that are labelled without it.
        unsaid: faces of which it can say nothing.
    """

    yes: Count
    no: Count
    unsaid: int

    def rate(self, value: float, *, carried: bool = True) -> Count:
        """How often it sees a value (+1 or -1) in faces that carry it, or in those that carry the other one."""
        hits, n = self.yes if (value > 0) == carried else self.no
        return (hits, n) if value > 0 else (n - hits, n)


@dataclass(frozen=True)
class RealFigures:
    """Counts over some real faces.

    Args:
        about: data (digest), split, images, size.
        faces: in how many a face is found.
        classifiers: an external classifier's digest -> its readings.
    """

    about: Mapping[str, Any]
    faces: Count
    classifiers: Mapping[str, RealReadings]


def count_readings(
    classifier: ExternalClassifier, probability: Probabilities, labels: npt.NDArray[np.floating[Any]]
) -> RealReadings:
    """What an external classifier said of labelled faces, counted.

    Args:
        classifier: which.
        probability: (N,), NaN where it could not say.
        labels: of its attribute, (N,); above 0 with it, below 0 without it, NaN unknown.
    """

    def count(rows: npt.NDArray[np.bool_]) -> Count:
        seen = sees(classifier, probability[rows])
        return int(seen.sum()), len(seen)

    return RealReadings(count(labels > 0), count(labels < 0), int(np.isnan(probability).sum()))


def to_json(
    about: Mapping[str, Any], boxes: Boxes, readings: Mapping[ExternalClassifier, RealReadings]
) -> dict[str, Any]:
    """What ``real_faces.json`` holds: each count as [hits, n]."""
    return {
        "format": FORMAT,
        **about,
        "faces": [int(found(boxes).sum()), len(boxes)],
        "witnesses": {
            classifier.digest: {
                "name": classifier.name,
                "source": classifier.source,
                "attribute": classifier.attribute,
                "yes": list(row.yes),
                "no": list(row.no),
                "unsaid": row.unsaid,
            }
            for classifier, row in readings.items()
        },
    }


@cache
def real_figures() -> RealFigures:
    """The counts that are shipped."""
    held = json.loads(FILE.read_text(encoding="utf-8"))
    return RealFigures(
        {key: held[key] for key in ("data", "split", "images", "size")},
        tuple(held["faces"]),
        {
            digest: RealReadings(tuple(row["yes"]), tuple(row["no"]), row["unsaid"])
            for digest, row in held["witnesses"].items()
        },
    )
