"""What a score report says in words; the terminal and the page say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cfgan.testsets.scores.comparisons import ATTACK, BONA_FIDE, MATED, NON_MATED, PRESUMED

KINDS = {kind.key: kind for kind in (NON_MATED, MATED, PRESUMED, BONA_FIDE, ATTACK)}
"""Kinds of comparison by their keys, in the order in which they are reported."""

FAMILIES = {
    "stratum": "by stratum",
    "matched": "both faces show",
    "differing": "the faces differ in",
    "attribute": "by attribute value",
}
"""How parts of a test set are headed."""


def verdict(data: Mapping[str, Any]) -> str:
    """``weak``: something is flagged as worse; ``even``: nothing is; ``unproven``: nothing could have been."""
    if _weak(data):
        return "weak"
    tested = any(row["p"] is not None for row in data["rows"])
    first = data["points"][0]
    return "even" if tested and (first["supported"] or first["fixed"] == "threshold") else "unproven"


def headline(data: Mapping[str, Any]) -> str:
    """The verdict as a sentence."""
    chance = f"{100 * data['settings']['flag_error_rate']:g} %"
    found = _weak(data)
    if found:
        many = "part has" if len(found) == 1 else "parts have"
        kinds = ("flag", "a higher error rate"), ("failure_flag", "more without a score")
        what = " or ".join(words for key, words in kinds if any(row[key] == "worse" for row in found))
        return (
            f"{len(found)} {many} {what} than the rest at {data['points'][0]['name']}; the worst is "
            f"{title(found[0])}. The chance that anything is flagged in a system without a difference is {chance}."
        )
    if verdict(data) == "even":
        return (
            f"No part has a higher error rate than the rest at {data['points'][0]['name']}, as far as these "
            f"comparisons can show (chance of a false flag: {chance})."
        )
    return "Too few independent comparisons, or nothing to compare: no difference could have been shown."


def findings(data: Mapping[str, Any]) -> list[str]:
    """What is flagged as worse, worst first, a sentence each."""
    found = []
    for row in _weak(data):
        if row["flag"] == "worse":
            found.append(f"{title(row)}: {figure(row, 0)}, {_against(row)} ({probability(row['p_holm'])})")
        if row["failure_flag"] == "worse":
            found.append(
                f"{title(row)}: {row['failure_term']} {share(row['failure_rate'])} ({span(row['failure_interval'])}; "
                f"{row['failed']:,} of {row['n']:,} without a score), against {share(row['failure_rest'])} "
                f"({probability(row['failure_p_holm'])})"
            )
    return found


def _weak(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows in which something is flagged as worse, worst first."""
    return [row for row in data["rows"] if "worse" in (row["flag"], row["failure_flag"])]


def changes(data: Mapping[str, Any]) -> list[str]:
    """Strata whose error rate differs from what they are compared with face by face, a sentence each."""
    sentences = []
    for row in data["differences"]:
        rate = row["rates"][0]
        low, high = rate["interval"]
        if low is not None and (low > 0 or high < 0):
            other = f"stratum {row['against']}" if row["against"] else "all other strata"
            sentences.append(
                f"Face by face, {KINDS[row['kind']].name} comparisons of stratum {row['stratum']} against {other}: "
                f"{100 * rate['value']:+.1f} points of errors ({100 * low:+.1f} to {100 * high:+.1f})"
            )
    return sentences


def _against(row: Mapping[str, Any]) -> str:
    if row["compared"] == "strata":
        return f"{100 * row['gap']:+.1f} points against others of the same strata"
    kind = KINDS[row["kind"]]
    others = {ATTACK: "attacks", BONA_FIDE: "bona fide presentations"}.get(kind, f"{kind.name} comparisons")
    return f"against {share(row['rest'])} in all other {others}"


def title(row: Mapping[str, Any]) -> str:
    """A row as a name: its kind, family and part."""
    words = {"stratum": "stratum", "matched": "both", "differing": "differing in", "attribute": "with"}
    part = f"{words[row['family']]} {row['name']}" if row["family"] in words else "all"
    return f"{KINDS[row['kind']].name}, {part}"


def figure(row: Mapping[str, Any], point: int) -> str:
    """A rate with its interval, and errors of comparisons."""
    rate = row["rates"][point]
    return f"{row['error']} {share(rate['rate'])} ({span(rate['interval'])}; {rate['errors']:,} of {row['scored']:,})"


def probability(p: float | None) -> str:
    """A p-value after correction."""
    if p is None:
        return "-"
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def exact(value: float) -> str:
    """A threshold so that typing it in gives the same decisions: in six digits where they say all of it."""
    short = f"{value:.6g}"
    return short if float(short) == value else repr(float(value))


def headline_curves(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The equal error rates to name first: of all comparisons where they are no mixture, else stratum by stratum; those
    of strata that have negatives of their own before those that borrow them."""
    whole = [curve for curve in data["curves"] if not curve["stratum"]]
    if whole:
        return whole
    own = [curve for curve in data["curves"] if curve["negatives_from"] == "stratum"]
    return own or list(data["curves"])


def share(value: float | None) -> str:
    """A rate as "12.3 %", "0.028 %", or a dash: error rates may be far below one in a hundred."""
    return "-" if value is None else f"{_hundredths(value)} %"


def span(ends: Sequence[float | None]) -> str:
    """An interval of rates as "0.028 to 0.16", in percent."""
    low, high = ends
    return "-" if low is None or high is None else f"{_hundredths(low)} to {_hundredths(high)}"


def _hundredths(value: float) -> str:
    return f"{100 * value:.1f}" if value >= 0.01 or not value else f"{100 * value:.2g}"
