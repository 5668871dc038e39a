"""What somebody who is about to train on a data set should hear first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_RARE = 20  # imbalance ratio from which an attribute is named
_SHIFT = 0.05  # difference of rates between splits from which an attribute is named, where chance does not explain it
_NAMED = 5
_KINDS = (("pixels", "the same image"), ("near", "nearly the same image"), ("person", "the same person"))


def findings(data: dict[str, Any]) -> list[str]:
    """Sentences, gravest first; empty where nothing is wrong.

    Args:
        data: of ``stats.json``, all but these.
    """
    unused = _unused(data["source"]["left_out"])
    return [*_leaks(data["leakage"]), *_files(data["images"], data["duplicates"]), *_labels(data), *unused]


def _leaks(leakage: dict[str, Any] | None) -> Iterator[str]:
    for kind, what in _KINDS:
        for row in ((leakage or {}).get(kind) or {"between": []})["between"]:
            (one, other), (here, there) = row["splits"], row["images"]
            yield (
                f"{what[:1].upper()}{what[1:]} lies in {one} and in {other}: {_count(row['groups'], 'time')}, "
                f"{_count(here, 'image')} of {one} and {there:,} of {other}."
            )


def _files(images: dict[str, Any] | None, duplicates: dict[str, Any] | None) -> Iterator[str]:
    if images is not None:
        if images["broken"]:
            yield f"{_count(images['broken'], 'image')} cannot be read."
        if images["missing"]:
            yield f"{_count(images['missing'], 'image')} that the labels name {_is(images['missing'])} not there."
        if images["unlabelled"]:
            yield f"{_count(images['unlabelled'], 'image')} {_is(images['unlabelled'])} without labels."
    if duplicates is not None:
        if n := duplicates["pixels"]["surplus"]:
            yield f"{_count(n, 'image')} {_is(n)} an exact copy of another."
        if n := duplicates["near"]["groups"]:
            members = duplicates["near"]["images"]
            more = "" if duplicates["complete"] else " at least; the search ended early"
            yield f"{_count(n, 'group')} of near duplicates, {members:,} images{more}."
        if n := duplicates["labels"]["differing"]:
            yield f"In {_count(n, 'group')} of exact copies the labels differ."


def _labels(data: dict[str, Any]) -> Iterator[str]:
    rows = data["attributes"]
    if data["missing"]["values"]:
        cells = data["source"]["rows"] * len(rows)
        yield (
            f"{data['missing']['values']:,} of {cells:,} labels are missing; "
            f"{_count(data['missing']['complete'], 'row')} of {data['source']['rows']:,} have all."
        )
    if single := [row["name"] for row in rows if not row["yes"] or not row["no"]]:
        yield f"Only one value: {_listed(single)}."
    uneven = sorted((row for row in rows if row["imbalance"] is not None), key=lambda row: -row["imbalance"])
    if uneven_splits := [
        f"{row['name']} ({_rates(row['splits'])})"
        for row in sorted(rows, key=lambda row: -row["shift"]["points"] if row["shift"] else 0.0)
        if row["shift"] and row["shift"]["points"] >= _SHIFT and row["shift"]["p"] <= data["settings"]["alpha"]
    ]:
        yield f"Differs between splits: {_listed(uneven_splits)}."
    if rare := [f"{row['rarer']} {row['imbalance']:.0f} : 1" for row in uneven if row["imbalance"] >= _RARE]:
        yield f"Unbalanced: {_listed(rare)}."


def _unused(left_out: dict[str, Any]) -> Iterator[str]:
    for kind, what in (("columns", "column"), ("folders", "folder level")):
        if n := left_out[kind]["count"]:
            named = [f"{name} ({reason})" for name, reason in left_out[kind]["names"].items()]
            yield f"{_count(n, what)} left out: {_listed(named)}."


def _rates(splits: dict[str, Any]) -> str:
    return ", ".join(f"{100 * part['rate']:.1f} % of {name}" for name, part in splits.items() if part["n"])


def _listed(parts: list[str]) -> str:
    more = f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
    return ", ".join(parts[:_NAMED]) + more


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _is(n: int) -> str:
    return "is" if n == 1 else "are"
