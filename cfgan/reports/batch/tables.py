"""The CSV tables of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cfgan.reports.folder import TABLES
from cfgan.reports.tables import to_csv

if TYPE_CHECKING:
    from cfgan.reports.batch.report import Report


_RATES = ("verified", "unfiltered", "real", "real_without")


def csv_tables(report: Report) -> dict[str, bytes]:
    """File name -> content, for those of :data:`TABLES` that have a row."""
    data = report.data
    tables: dict[str, list[dict[str, Any]]] = {
        "cells": [_cell(batch, cell) for batch in data["batches"] for cell in batch["cells"]],
        "attributes": [row for batch in data["batches"] for cell in batch["cells"] for row in _rows(batch, cell)],
        "faces": report.faces,
        "witnesses": [_external_row(row) for row in data["witnesses"]["rows"]] if data["witnesses"] else [],
        "side_effects": data["side_effects"]["rows"] if data["side_effects"] else [],
        "agreement": [_agreement(row) for row in data["agreement"]["attributes"]] if data["agreement"] else [],
        "calibration": [
            {**{key: diagram[key] for key in ("reader", "truth", "over")}, **_flat(bin_)}
            for diagram in data["calibration"]
            for bin_ in diagram["bins"]
        ],
    }
    return {f"{name}.csv": to_csv(rows) for name in TABLES if (rows := tables[name])}


def _cell(batch: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    row = {"batch": batch["name"], "cell": cell["id"], "name": cell["name"]}
    row["request"] = ",".join(f"{name}={value:g}" for name, value in cell["request"].items())
    row |= {key: cell[key] for key in ("seed", "wanted", "accepted", "draws", "redrawn")}
    row |= _named("acceptance", cell["acceptance"])
    per_face = cell["draws_per_face"] or {"value": None, "interval": [None, None]}
    row |= {"draws_per_face": per_face["value"]}
    row |= {"draws_per_face.low": per_face["interval"][0], "draws_per_face.high": per_face["interval"][1]}
    for reader, figure in (cell["exact"] or {"readers": {}})["readers"].items():
        for what in ("verified", "unfiltered", "real"):
            row |= _named(f"exact.{reader}.{what}", figure[what])
    return row


def _rows(batch: Mapping[str, Any], cell: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for attribute in cell["attributes"]:
        for reader, figure in attribute["readers"].items():
            row = {"batch": batch["name"], "cell": cell["id"], "attribute": attribute["name"]}
            row |= {"value": attribute["value"], "gated": attribute["gated"], "reader": reader}
            if not attribute["gated"]:
                yield {**row, "mean_probability": figure["mean_probability"]}
                continue
            for what in _RATES:
                row |= _named(what, figure[what])
            gap = figure["gap"] or {"value": None, "interval": [None, None]}
            row |= {"gap": gap["value"], "gap.low": gap["interval"][0], "gap.high": gap["interval"][1]}
            yield {**row, **{key: figure[key] for key in ("short", "certain", "failing")}}


def _external_row(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: row[key] for key in ("witness", "attribute", "value", "cell", "unsaid")}
    for what in ("delivered", "real", "real_without"):
        flat |= _named(what, row[what])
    return flat


def _agreement(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: row[key] for key in ("name", "n", "observed", "kappa")}
    return {**flat, **{f"real.{key}": row["real"][key] if row["real"] else None for key in ("n", "observed", "kappa")}}


def _named(name: str, rate: Mapping[str, Any] | None) -> dict[str, Any]:
    if rate is None:
        return {}
    low, high = rate["interval"]
    return {name: rate["rate"], f"{name}.low": low, f"{name}.high": high, f"{name}.n": rate["n"]}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row["interval"]
    return {"confidence": row["confidence"], "rate": row["rate"], "low": low, "high": high, "n": row["n"]}
