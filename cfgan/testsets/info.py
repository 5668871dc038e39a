"""A test set in a few figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from cfgan.testsets.check import count_rows
from cfgan.testsets.folder import open_testset, subject_of
from cfgan.testsets.tables import attribute_rows, require_own_images, set_digest


def testset_info(folder: Path) -> dict[str, Any]:
    """What a test set holds, counted in its tables; images are not opened.

    Returns:
        design, digest, format, licence, folds, images, subjects, counts (as in the protocol) and strata: for each
        the number of rows by kind, and the mean similarity where the set's embedder has compared the faces.

    Raises:
        FolderError: no test set, unfinished or damaged.
    """
    testset = open_testset(folder)
    require_own_images(testset)
    images = 0
    subjects = set()
    for row in attribute_rows(folder):
        images += 1
        subjects.add(subject_of(row.file) if row.file.count("/") else row.subject)
    counts = count_rows(testset)
    kinds: dict[str, Counter[str]] = {name: Counter() for name in counts["strata"]}
    alike: dict[str, list[float]] = {name: [] for name in counts.pop("strata")}
    for item in testset.items:
        kinds[item.stratum][item.label] += 1
    for pair in testset.pairs:
        kinds[pair.stratum][pair.mated] += 1
        if pair.similarity is not None:
            alike[pair.stratum].append(pair.similarity)
    return {
        "testset": str(folder),
        "format": testset.manifest["format"],
        "design": testset.design,
        "digest": set_digest(folder),
        "licence": testset.manifest.get("licence"),
        "folds": testset.protocol.get("folds"),
        "images": images,
        "subjects": len(subjects),
        "counts": counts,
        "strata": {
            name: {
                "rows": sum(found.values()),
                "kinds": dict(sorted(found.items())),
                "mean_similarity": round(sum(alike[name]) / len(alike[name]), 6) if alike[name] else None,
            }
            for name, found in kinds.items()
        },
    }
