"""What external classifiers see in delivered faces, beside what the same ones see in real faces.

They are evidence beside the verdict, not part of it: each knows one attribute by another name and other labels
(a happy face is nearly, but not quite, a smiling one), and it answers for what it was trained to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cfgan.external.classifier import ExternalClassifier, Probabilities, sees
from cfgan.external.detector import FaceFinder, found
from cfgan.external.real_faces import RealFigures, real_figures
from cfgan.io.progress import Progress, silent
from cfgan.reports.batch.figures import gated
from cfgan.reports.batch.flat import named
from cfgan.reports.batch.folder import BatchFolder, Content
from cfgan.reports.batch.look import Look, Report
from cfgan.reports.page import percent
from cfgan.reports.section import Rows, Section, schema_beside, template_beside
from cfgan.stats.rates import Rate, gap_below

_CHUNK = 64  # faces read at a time


def external_figures(
    batches: Sequence[tuple[str, BatchFolder, Content]],
    external_classifiers: Sequence[ExternalClassifier],
    missing: Sequence[str] = (),
    progress: Progress = silent,
) -> dict[str, Any]:
    """Look at every delivered face.

    Args:
        batches: number, folder and content of each.
        external_classifiers: those whose attribute was asked for or asked away take part.
        missing: a sentence about each external classifier that is not at hand.
        progress: called while it lasts.

    Returns:
        ``report.json``'s ``witnesses``, as these classifiers are called there.

    Raises:
        ConfigError: dlib is missing.
        FolderError: an image cannot be read.
    """
    cells = [(f"{number}.{k}", folder, faces) for number, folder, c in batches for k, faces in enumerate(c.cells, 1)]
    asked = {name for _, _, faces in cells for name in gated(faces.cell)}
    fitting = [classifier for classifier in external_classifiers if classifier.attribute in asked]
    keys = ("name", "source", "licence", "digest", "attribute")
    about: dict[str, Any] = {
        "missing": list(missing),
        "real": None,
        "faces": None,
        "witnesses": [{key: getattr(classifier, key) for key in keys} for classifier in fitting],
        "rows": [],
    }
    if not fitting:
        return about
    find, real = FaceFinder(), real_figures()
    with_face, same_size, rows = Rate(0, 0), True, []
    total, done = sum(len(faces.files) for _, _, faces in cells), 0
    for key, folder, faces in cells:
        values = gated(faces.cell)
        probabilities: dict[str, list[Probabilities]] = {w.name: [] for w in fitting if w.attribute in values}
        for start in range(0, len(faces.files), _CHUNK):
            images = folder.pixels(faces.files[start : start + _CHUNK])
            same_size &= images.shape[-1] == real.about["size"]
            boxes = find(images)
            with_face += Rate.of(found(boxes))
            for classifier in fitting:
                if classifier.name in probabilities:
                    probabilities[classifier.name].append(classifier(images, boxes))
            done += len(images)
            progress("external classifiers look", done, total)
        for classifier in fitting:
            if parts := probabilities.get(classifier.name):
                rows.append(_row(classifier, key, values[classifier.attribute], np.concatenate(parts)))
    real_or_none = real if same_size else None
    about["rows"] = [_beside_real(row, fitting, real_or_none) for row in [*_pooled(rows), *rows]]
    about["real"] = dict(real.about) if same_size else None
    about["faces"] = {
        "detector": find.name,
        "delivered": with_face.to_dict(),
        "real": Rate(*real.faces).to_dict() if same_size else None,
    }
    return about


def sentences(figures: Mapping[str, Any] | None) -> list[str]:
    """What the external classifiers say over all requests, each value a sentence."""
    lines = []
    for row in figures["rows"] if figures else ():
        if row["cell"] is None and row["delivered"]["n"]:
            seen = f"sees {row['attribute']} in" if row["value"] > 0 else f"finds {row['attribute']} absent from"
            share, n = percent(row["delivered"]["rate"]), row["delivered"]["n"]
            real = f", {percent(row['real']['rate'])} of real faces labelled so" if row["real"] else ""
            lines.append(f"The external classifier {row['witness']} {seen} {share} of {n:,} faces{real}.")
    return lines


def _row(classifier: ExternalClassifier, cell: str, value: float, probability: Probabilities) -> dict[str, Any]:
    rate = Rate.of(sees(classifier, probability) == (value > 0))
    row = {"witness": classifier.name, "attribute": classifier.attribute, "value": value, "cell": cell}
    return {**row, "delivered": rate, "unsaid": len(probability) - rate.n}


def _pooled(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each external classifier and value over all requests; ``cell`` is None."""
    pools: dict[tuple[str, float], dict[str, Any]] = {}
    for row in rows:
        empty = {**row, "cell": None, "delivered": Rate(0, 0), "unsaid": 0}
        pool = pools.setdefault((row["witness"], row["value"]), empty)
        pool["delivered"] += row["delivered"]
        pool["unsaid"] += row["unsaid"]
    return sorted(pools.values(), key=lambda row: (row["attribute"], -row["value"]))


def _beside_real(
    row: dict[str, Any], external_classifiers: Sequence[ExternalClassifier], real: RealFigures | None
) -> dict[str, Any]:
    digest = next(classifier.digest for classifier in external_classifiers if classifier.name == row["witness"])
    held = real.classifiers.get(digest) if real is not None else None
    rate: Rate = row["delivered"]
    found_: dict[str, Any] = {**row, "delivered": rate.to_dict(), "real": None, "real_without": None, "gap": None}
    if held is not None:
        ceiling = Rate(*held.rate(row["value"]))
        found_["real"] = ceiling.to_dict()
        found_["real_without"] = Rate(*held.rate(row["value"], carried=False)).to_dict()
        if rate.n:
            found_["gap"] = gap_below(ceiling, rate).to_dict()
    return found_


def _compute(look: Look) -> dict[str, Any]:
    if look.external_classifiers is None:
        return {"witnesses": None}
    batches = [(item.id, item.folder, item.content) for item in look.read]
    return {"witnesses": external_figures(batches, look.external_classifiers, look.missing, look.progress)}


def beside_the_judge(report: Report) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Value that was asked for -> who saw it how often, over all requests: the deciding reader, then others."""
    data, deciding = report.data, report.data["settings"]["deciding"]
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for row in data["witnesses"]["rows"] if data["witnesses"] else ():
        if row["cell"] is not None:
            continue
        title = row["attribute"] if row["value"] > 0 else f"-{row['attribute']}"
        if title not in found:
            readers: dict[str, Any] = next(
                (each["readers"] for each in data["attributes"] if each["name"] == row["attribute"]), {}
            )
            figure = readers.get(deciding, {}).get("wanted" if row["value"] > 0 else "unwanted")
            found[title] = [(deciding, {**figure, "delivered": figure["verified"]})] if figure else []
        found[title].append((row["witness"], row))
    return found


def _table(report: Report) -> Rows:
    return [_flat(row) for row in report.data["witnesses"]["rows"]] if report.data["witnesses"] else []


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: row[key] for key in ("witness", "attribute", "value", "cell", "unsaid")}
    for what in ("delivered", "real", "real_without"):
        flat |= named(what, row[what])
    return flat


EXTERNAL: Section[Look, Report] = Section(
    template_beside(__file__),
    _compute,
    lambda report: {"witnesses": beside_the_judge(report)},
    {"witnesses": _table},
    schema_beside(__file__),
)
