"""What else changes in faces for which a value was asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.reports.batch.figures import gated
from cfgan.reports.batch.look import Cells, Look, Report
from cfgan.reports.section import Rows, Section, schema_beside, template_beside
from cfgan.stats.rates import LEAST, Floats, Rate, shared_z
from cfgan.verify.real_faces import RealFaces

_COLUMNS = 12  # attributes across in the table
_SUMS = ("n", "yes", "seen", "expected", "variance")


def _compute(look: Look) -> dict[str, Any]:
    real, deciding, fitting = look.real, look.deciding, look.fitting
    cells = [(item.reading, cell) for item in fitting for cell in item.reading.cells if deciding in cell.kept]
    known = deciding == "judge" or look.any_own
    if real is None or deciding not in real.seen or not known or not cells:
        return {"side_effects": None}
    chosen = cells if deciding == "judge" else look.own
    rows = side_effects(chosen, look.bundle.vocabulary, real, deciding)
    return {"side_effects": {"reader": deciding, "rows": rows}}


def side_effects(cells: Cells, vocabulary: Vocabulary, real: RealFaces, reader: str) -> list[dict[str, Any]]:
    """What else changes in faces for which a value was asked for.

    The rate at which ``reader`` sees an attribute in the delivered faces, minus the rate at which it would if every
    face showed exactly the condition that it was drawn with: the reader's own rates on real faces with and without the
    attribute, taken face by face. Graded and neutral conditions are left out.

    Returns:
        A row for each requested value and each attribute: ``asked``, ``value``, ``attribute``, ``seen``, ``expected``,
        ``shift`` (seen - expected; NaN for too few faces), ``sure`` (beyond what chance, in the drawn faces and in the
        real ones that the rates come from, would give for any of the figures with 95 %), ``n``.
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
            total = sums.setdefault(key, {what: np.zeros(a) for what in _SUMS})
            total["n"] += plain.sum(0)
            total["yes"] += (plain & (condition > 0)).sum(0)
            total["seen"] += (seen & plain).sum(0)
            total["expected"] += np.where(plain, expected, 0).sum(0)
            total["variance"] += np.where(plain, expected * (1 - expected), 0).sum(0)
    u_yes, u_no = (np.asarray([_uncertainty(rate) for rate in rates]) for rates in (yes, no))
    z = shared_z(int(known.sum()) * len(sums))
    rows = []
    order = {name: k for k, name in enumerate(vocabulary.names)}
    for asked, value in sorted(sums, key=lambda key: (order[key[0]], -key[1])):
        total = sums[asked, value]
        for i, name in enumerate(vocabulary.names):
            n = int(total["n"][i])
            enough = n >= LEAST and known[i]
            seen_rate, expected_rate = (float(total[k][i]) / n if enough else math.nan for k in ("seen", "expected"))
            shift = seen_rate - expected_rate
            on_real = total["yes"][i] ** 2 * u_yes[i] + (n - total["yes"][i]) ** 2 * u_no[i]
            sure = bool(enough and abs(shift) * n > z * math.sqrt(total["variance"][i] + on_real))
            row = {"asked": asked, "value": value, "attribute": name, "seen": seen_rate, "expected": expected_rate}
            rows.append({**row, "shift": shift, "sure": sure, "n": n})
    return rows


def _uncertainty(rate: Rate) -> float:
    """The variance of a rate, as if one more had been seen on either side: 10 of 10 is not sure to be all."""
    value = (rate.value * rate.n + 1) / (rate.n + 2)
    return value * (1 - value) / max(rate.n, 1)


def _table(report: Report) -> Rows:
    return report.data["side_effects"]["rows"] if report.data["side_effects"] else []


def _effects(effects: dict[str, Any] | None) -> dict[str, Any] | None:
    """The strongest side effects as a table: a row a requested value, a column an attribute that was not asked for."""
    if effects is None:
        return None
    rows: dict[str, dict[str, Any]] = {}
    asked: dict[str, set[str]] = {}
    strongest: dict[str, float] = {}
    measured = {(row["asked"], row["value"]) for row in effects["rows"] if row["shift"] is not None}
    for row in (row for row in effects["rows"] if (row["asked"], row["value"]) in measured):
        title = row["asked"] if row["value"] > 0 else f"-{row['asked']}"
        asked[title] = {row["asked"]}
        rows.setdefault(title, {})[row["attribute"]] = {**row, "shade": _shade(row)}
        if row["attribute"] != row["asked"] and row["shift"] is not None and row["sure"]:
            strongest[row["attribute"]] = max(strongest.get(row["attribute"], 0.0), abs(row["shift"]))
    columns = sorted(strongest, key=lambda name: (-strongest[name], name))[:_COLUMNS]
    if not columns:
        return None
    # Values that were only ever asked for together have the same row.
    together: dict[tuple[Any, ...], str] = {}
    for title in list(rows):
        key = tuple((row["shift"], row["n"]) for row in rows[title].values())
        first = together.setdefault(key, title)
        if first != title:
            both, asked_both = f"{first}, {title}", asked.pop(first) | asked.pop(title)
            rows = {both if name == first else name: found for name, found in rows.items() if name != title}
            asked[both], together[key] = asked_both, both
    return {"reader": effects["reader"], "rows": rows, "asked": asked, "columns": columns}


def _shade(row: dict[str, Any]) -> str:
    """A class of the style sheet: more or less, in three steps; none where chance explains it."""
    if row["shift"] is None or not row["sure"]:
        return ""
    step = 1 + (abs(row["shift"]) >= 0.1) + (abs(row["shift"]) >= 0.25)
    return f"{'more' if row['shift'] > 0 else 'less'}{step}"


SIDE_EFFECTS: Section[Look, Report] = Section(
    template_beside(__file__),
    _compute,
    lambda report: {"effects": _effects(report.data["side_effects"])},
    {"side_effects": _table},
    schema_beside(__file__),
)
