"""The images of a data set: what can be read, in what sizes and formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgan.data.profile.image_scan import MISSING
from cfgan.reports.data.look import LISTED, DataReport, Look
from cfgan.reports.section import Section, schema_beside, template_beside


def _compute(look: Look) -> dict[str, Any]:
    scan = look.scan
    if scan is None:
        return {"images": None}
    names = look.places.names
    bad = [(name, seen.problem) for name, seen in zip(names, scan.looks, strict=True) if seen.problem is not None]
    missing = sum(problem == MISSING for _, problem in bad)
    good = [seen for seen in scan.looks if seen.problem is None]
    sizes = Counter(seen.size for seen in good)
    weights = np.asarray([seen.weight for seen in good if seen.weight], dtype=np.int64)
    look.tables["problems"] = [{"file": name, "problem": problem} for name, problem in bad]
    look.tables["sizes"] = [{"width": size[0], "height": size[1], "images": n} for size, n in sizes.most_common()]
    found = {
        "count": len(scan.looks),
        "readable": len(good),
        "missing": missing,
        "broken": len(bad) - missing,
        "unlabelled": look.source.unlabelled,
        "ignored": dict(look.source.ignored or {}),
        "formats": dict(Counter(seen.form for seen in good if seen.form).most_common()),
        "modes": dict(Counter(seen.mode for seen in good).most_common()),
        "sizes": {
            "distinct": len(sizes),
            "commonest": [{"width": w, "height": h, "images": n} for (w, h), n in sizes.most_common(12)],
            "width": _spread([seen.size[0] for seen in good]),
            "height": _spread([seen.size[1] for seen in good]),
        },
        "bytes": {"total": int(weights.sum()), **_spread(weights.tolist())} if len(weights) else None,
        "problems": [{"file": name, "problem": problem} for name, problem in bad[:LISTED]],
    }
    return {"images": found}


def _spread(values: Sequence[int]) -> dict[str, float | None]:
    if not values:
        return {"least": None, "median": None, "most": None}
    return {"least": min(values), "median": float(np.median(values)), "most": max(values)}


IMAGES: Section[Look, DataReport] = Section(
    template_beside(__file__),
    _compute,
    tables={
        "problems": lambda report: report.tables.get("problems", []),
        "sizes": lambda report: report.tables.get("sizes", []),
    },
    schema=schema_beside(__file__),
)
