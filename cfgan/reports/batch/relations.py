"""What goes with what: side effects of a request, agreement of the readers, and how far probabilities can be taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.reports.batch.figures import gated
from cfgan.reports.batch.reading import BatchReading, CellReading
from cfgan.stats.rates import LEAST, Bools, Floats, kappa, reliability
from cfgan.verify.real_faces import RealFaces

Cells = Sequence[tuple[BatchReading, CellReading]]
"""Cells of one vocabulary, each with the batch that it belongs to."""


def side_effects(cells: Cells, vocabulary: Vocabulary, real: RealFaces, reader: str) -> list[dict[str, Any]]:
    """What else changes in faces for which a value was asked for.

    The rate at which ``reader`` sees an attribute in the delivered faces, minus the rate at which it would if every
    face showed exactly the condition that it was drawn with: the reader's own rates on real faces with and without the
    attribute, taken face by face. Graded and neutral conditions are left out.

    Returns:
        A row for each requested value and each attribute: ``asked``, ``value``, ``attribute``, ``seen``, ``expected``,
        ``shift`` (seen - expected; NaN for too few faces), ``sure`` (beyond what chance would give in 95 %), ``n``.
    """
    a = len(vocabulary)
    yes = [real.rate(reader, name, 1.0) for name in vocabulary.names]
    no = [real.rate(reader, name, 1.0, carried=False) for name in vocabulary.names]
    known = np.asarray([min(p.n, q.n) >= LEAST for p, q in zip(yes, no, strict=True)])
    p_yes, p_no = (np.asarray([rate.value for rate in rates]) for rates in (yes, no))
    sums: dict[tuple[str, float], dict[str, Floats]] = {}
    for batch, cell in cells:
        condition = cell.faces.condition
        plain = np.abs(condition) == 1
        expected = np.where(condition > 0, p_yes, p_no)
        seen = cell.kept[reader] >= batch.thresholds[reader]
        for key in gated(cell.faces.cell).items():
            total = sums.setdefault(key, {what: np.zeros(a) for what in ("n", "seen", "expected", "variance")})
            total["n"] += plain.sum(0)
            total["seen"] += (seen & plain).sum(0)
            total["expected"] += np.where(plain, expected, 0).sum(0)
            total["variance"] += np.where(plain, expected * (1 - expected), 0).sum(0)
    rows = []
    order = {name: k for k, name in enumerate(vocabulary.names)}
    for asked, value in sorted(sums, key=lambda key: (order[key[0]], -key[1])):
        total = sums[asked, value]
        for i, name in enumerate(vocabulary.names):
            n = int(total["n"][i])
            enough = n >= LEAST and known[i]
            seen_rate, expected_rate = (float(total[k][i]) / n if enough else math.nan for k in ("seen", "expected"))
            shift = seen_rate - expected_rate
            sure = bool(enough and abs(shift) * n > 1.96 * math.sqrt(total["variance"][i]))
            row = {"asked": asked, "value": value, "attribute": name, "seen": seen_rate, "expected": expected_rate}
            rows.append({**row, "shift": shift, "sure": sure, "n": n})
    return rows


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
