"""How far the readers can be trusted: whether they agree, and how far their probabilities can be taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.reports.batch.figures import gated
from cfgan.reports.batch.look import Cells, Look, Report
from cfgan.reports.page import percent
from cfgan.reports.plots import COLOURS, to_svg
from cfgan.reports.section import Rows, Section, schema_beside, template_beside
from cfgan.stats.rates import Bools, Floats, kappa, reliability
from cfgan.verify.real_faces import RealFaces

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _compute(look: Look) -> dict[str, Any]:
    own, vocabulary, real = look.own, look.bundle.vocabulary, look.real
    found: dict[str, Any] = {"agreement": None, "calibration": []}
    if own and all({"verifier", "judge"} <= cell.kept.keys() for _, cell in own):
        found["agreement"] = agreement(own, vocabulary.names, real if look.any_own else None)
    if own and look.asked:
        found["calibration"] = calibration(own, vocabulary, real, look.asked, own=look.any_own)
    return found


def agreement(cells: Cells, names: Sequence[str], real: RealFaces | None) -> dict[str, Any]:
    """How often verifier and judge say the same, attribute by attribute.

    Over the draws that were made again, and only where there are none over the delivered faces: among those the
    verifier has one opinion about what was requested.

    Returns:
        ``over``: "draws" or "faces"; ``attributes``: rows with name, n, observed, kappa, and ``real``, the same over
        real faces, or None.
    """
    drawn = [pair for pair in cells if pair[1].redrawn is not None and len(pair[1].redrawn.kept)]
    readings: dict[str, list[Bools]] = {"verifier": [], "judge": []}
    for batch, cell in drawn or cells:
        source = cell.redrawn.probability if cell.redrawn is not None and drawn else cell.kept
        for reader, parts in readings.items():
            parts.append(source[reader] >= batch.thresholds[reader])
    first, second = (np.concatenate(parts) for parts in readings.values())
    rows = []
    for i, name in enumerate(names):
        both = None
        if real is not None and {"verifier", "judge"} <= real.seen.keys():
            both = kappa(real.seen["verifier"][:, i], real.seen["judge"][:, i])
        rows.append({"name": name, **kappa(first[:, i], second[:, i]), "real": both})
    return {"over": "draws" if drawn else "faces", "attributes": rows}


def calibration(
    cells: Cells, vocabulary: Vocabulary, real: RealFaces | None, asked: Sequence[str], *, own: bool
) -> list[dict[str, Any]]:
    """Reliability over the attributes that were asked for.

    Args:
        cells: of the batches.
        vocabulary: the A attributes.
        real: readings of real faces.
        asked: the attributes to pool.
        own: whether the verifier of ``real`` is the one that read the cells.

    Returns:
        Diagrams, each with ``reader`` (whose probability), ``truth`` ("label" on real faces, or "judge" on generated
        ones), ``over`` ("real faces", "draws", "faces") and ``bins``.
    """
    columns = [vocabulary.index(name) for name in asked]
    found = []
    if real is not None:
        for reader in ("verifier", "judge"):
            if reader in real.probability and (own or reader == "judge"):
                known = [np.isfinite(real.labels[:, i]) for i in columns]
                p = [real.probability[reader][rows, i] for rows, i in zip(known, columns, strict=True)]
                t = [real.labels[rows, i] > 0 for rows, i in zip(known, columns, strict=True)]
                found.append({"reader": reader, "truth": "label", "over": "real faces", "bins": reliability(p, t)})
    if cells and all("judge" in cell.kept for _, cell in cells):
        drawn = any(cell.redrawn is not None for _, cell in cells)
        pairs = list(_verifier_and_judge(cells, vocabulary, redrawn=drawn))
        p, t = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        over = "draws" if drawn else "faces"
        found.append({"reader": "verifier", "truth": "judge", "over": over, "bins": reliability(p, t)})
    return found


def _verifier_and_judge(cells: Cells, vocabulary: Vocabulary, *, redrawn: bool) -> Iterator[tuple[Floats, Bools]]:
    """For each requested value the verifier's probability and whether the judge sees the attribute."""
    for batch, cell in cells:
        source = cell.kept
        if redrawn:
            if cell.redrawn is None:
                continue
            source = cell.redrawn.probability
        for name in gated(cell.faces.cell):
            i = vocabulary.index(name)
            yield source["verifier"][:, i], source["judge"][:, i] >= batch.thresholds["judge"][i]


def _view(report: Report) -> dict[str, Any]:
    from markupsafe import Markup

    data = report.data
    plots = [(d, Markup(_plot(d, f"reliable{k}"))) for k, d in enumerate(data["calibration"])]  # noqa: S704
    asked = {row["name"] for row in data["attributes"]}
    rows = data["agreement"]["attributes"] if data["agreement"] else []
    return {
        "diagrams": [pair for pair in plots if pair[1]],
        "agreement": [row for row in rows if row["name"] in asked],
    }


def _plot(diagram: Mapping[str, Any], key: str) -> str:
    """One reliability diagram: how often something is so, over the probability that a reader gives it.

    Args:
        diagram: an entry of ``calibration`` of a report.
        key: distinguishes it from the others of the page.

    Returns:
        SVG markup; empty where there are no bins.
    """
    bins = diagram["bins"]
    if not bins:
        return ""
    label = diagram["truth"] == "label"

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(aspect="equal")
        axes.plot([0, 100], [0, 100], color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
        x, y = ([100 * row[what] for row in bins] for what in ("confidence", "rate"))
        low, high = ([100 * abs(row["rate"] - row["interval"][side]) for row in bins] for side in (0, 1))
        colour = COLOURS["real"] if label else COLOURS["here"]
        marker = "s" if label else "D"
        axes.errorbar(x, y, yerr=[low, high], fmt=f"{marker}-", color=colour, markersize=4, linewidth=1, elinewidth=1.2)
        axes.set_xlim(-3, 103)
        axes.set_ylim(-3, 103)
        axes.set_xlabel(f"probability by the {diagram['reader']}, %")
        axes.set_ylabel("labelled so, %" if label else "seen by the judge, %")
        axes.grid()
        axes.set_axisbelow(True)

    points = "; ".join(f"{percent(row['confidence'])} {percent(row['rate'])}" for row in bins)
    truth = "are labelled so" if label else "the judge sees so"
    alt = f"Reliability over {diagram['over']}: probability by the {diagram['reader']}, how many {truth}: {points}"
    return to_svg(draw, (3.0, 3.0), key, alt)


def _agreement_table(report: Report) -> Rows:
    return [_flat(row) for row in report.data["agreement"]["attributes"]] if report.data["agreement"] else []


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: row[key] for key in ("name", "n", "observed", "kappa")}
    return {**flat, **{f"real.{key}": row["real"][key] if row["real"] else None for key in ("n", "observed", "kappa")}}


def _calibration_table(report: Report) -> Rows:
    return [
        {**{key: diagram[key] for key in ("reader", "truth", "over")}, **_flat_bin(row)}
        for diagram in report.data["calibration"]
        for row in diagram["bins"]
    ]


def _flat_bin(row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row["interval"]
    return {"confidence": row["confidence"], "rate": row["rate"], "low": low, "high": high, "n": row["n"]}


READERS: Section[Look, Report] = Section(
    template_beside(__file__),
    _compute,
    _view,
    {"agreement": _agreement_table, "calibration": _calibration_table},
    schema_beside(__file__),
)
