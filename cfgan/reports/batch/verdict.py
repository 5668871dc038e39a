"""The verdict in plain words: does a batch show what was asked for?

``fails``: it does not, or it is not what it says it is. ``falls_short``: less than real faces do, or fewer faces than
asked for. ``unproven``: nothing here can tell. ``holds``: none of these.

The verdict rests on the judge. Without one it rests on the verifier, which can convict a batch but not acquit it: it
has chosen the faces itself. Many figures are looked at, so a figure counts against the batch only if it does with the
confidence level shared among all of them (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cfgan.reports.page import percent
from cfgan.stats.rates import LEAST

HOLDS, SHORT, FAILS, UNPROVEN = "holds", "falls_short", "fails", "unproven"

WIDEST = 0.25
"""Where so large a shortfall cannot be excluded, there are too few faces to prove anything."""
WEAK = 0.20
"""A reader that sees a value in real faces with it hardly more often than in those without it can prove nothing."""
OTHER_PICTURES = 0.01
"""Share of the redrawn faces that may differ from the delivered ones: none should."""
OTHER_DECISIONS = 0.05
"""Share of the draws on which the gate, run again, may decide otherwise: those that lie on its threshold."""

_LISTED = 3  # problems of a folder that are named


def judged(
    batches: Sequence[Mapping[str, Any]],
    overview: Sequence[Mapping[str, Any]],
    deciding: str,
    tested: int,
    unreal: str | None = None,
) -> dict[str, Any]:
    """The verdict.

    Args:
        batches: of the report, with their cells.
        overview: each attribute over all requests.
        deciding: "judge" or "verifier".
        tested: how many figures were compared with their ceiling.
        unreal: a sentence where the model's draws were measured not to look real.

    Returns:
        ``verdict``, ``headline`` (one sentence), ``reasons`` (why not better; one sentence each).
    """
    failing = [*_not_as_it_says(batches), *_rows(batches, overview, deciding, "failing")]
    short = [*_missing(batches), *_rows(batches, overview, deciding, "certain"), *([unreal] if unreal else [])]
    unproven = list(_unproven(batches, overview, deciding, tested))
    many = len(batches) > 1
    it, does = ("These batches", "do") if many else ("This batch", "does")
    if failing:
        word, headline = FAILS, f"{it} {does} not show what was asked for. Do not use {'them' if many else 'it'}."
        if not any(_rows(batches, overview, deciding, "failing")) and not any(_empty(batches)):
            headline = f"{it} {'are' if many else 'is'} not what {'they say they are' if many else 'it says it is'}."
    elif short:
        word, headline = SHORT, f"{it} {'fall' if many else 'falls'} short of what was asked for."
    elif unproven:
        word, headline = UNPROVEN, f"{it} cannot be proved to show what was asked for."
    else:
        word, headline = HOLDS, f"{it} {'show' if many else 'shows'} what was asked for."
    reasons = [*failing, *(reason for reason in short if reason not in failing), *unproven]
    return {"verdict": word, "headline": headline, "reasons": reasons}


def _not_as_it_says(batches: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for batch in batches:
        if problems := batch["problems"]:
            more = f" and {len(problems) - _LISTED:,} more" if len(problems) > _LISTED else ""
            yield f"{batch['name']} is damaged or was changed: {'; '.join(problems[:_LISTED])}{more}."
        if again := batch["redrawn"]:
            others = again["compared"] - again["same"]
            if others > OTHER_PICTURES * again["compared"]:
                yield (
                    f"{batch['name']}: {others:,} of {again['compared']:,} faces are not what the model it names draws "
                    "from their seeds."
                )
            if again["gate_differs"] > OTHER_DECISIONS * again["draws"]:
                yield (
                    f"{batch['name']}: of {again['draws']:,} draws made again, the gate decides otherwise than the "
                    f"batch says on {again['gate_differs']:,}."
                )
    yield from _empty(batches)


def _empty(batches: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for batch, cell in _cells(batches):
        if not cell["accepted"]:
            yield f"{_where(batches, batch, cell)}: {cell['draws']:,} draws gave not one face."


def _missing(batches: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for batch, cell in _cells(batches):
        if 0 < cell["accepted"] < cell["wanted"]:
            yield (
                f"{_where(batches, batch, cell)}: draws ran out at {cell['accepted']:,} of the {cell['wanted']:,} "
                "faces that were wanted."
            )
    for batch in batches:
        if batch["twins"]:
            yield f"{batch['name']}: {_count(batch['twins'], 'face')} to the last pixel the same as another."


def _rows(
    batches: Sequence[Mapping[str, Any]], overview: Sequence[Mapping[str, Any]], reader: str, key: str
) -> Iterator[str]:
    """Sentences about the figures that are ``certain`` or ``failing``: over all requests, then what that leaves out."""
    named = set()
    for row in overview:
        for word, sign in (("wanted", 1), ("unwanted", -1)):
            figure = row["readers"].get(reader, {}).get(word)
            if figure and figure[key]:
                named.add((row["name"], sign))
                yield _sentence(row["name"], sign, figure, reader)
    for batch, cell in _cells(batches):
        where = _where(batches, batch, cell)
        alone = True
        for row in cell["attributes"]:
            figure = row["readers"].get(reader)
            if row["gated"] and figure and figure[key]:
                alone = False
                if (row["name"], int(row["value"])) not in named:
                    yield f"{where}; {_sentence(row['name'], int(row['value']), figure, reader)}"
        figure = cell["exact"] and cell["exact"]["readers"].get(reader)
        if figure and figure[key] and alone:
            yield (
                f"{where}: the {reader} sees all that was asked for in {percent(figure['verified']['rate'])} of "
                f"{figure['verified']['n']:,} faces; in real faces that have it all, in "
                f"{percent(figure['real']['rate'])}."
            )


def _sentence(name: str, sign: int, figure: Mapping[str, Any], reader: str) -> str:
    rate, n, real = percent(figure["verified"]["rate"]), figure["verified"]["n"], percent(figure["real"]["rate"])
    if sign > 0:
        return (
            f"{name}: the {reader} sees it in {rate} of the {n:,} faces that were to have it; in real faces that have "
            f"it, in {real}."
        )
    return (
        f"-{name}: the {reader} finds it absent from {rate} of the {n:,} faces that were to be without it; from "
        f"{real} of real faces without it."
    )


def _unproven(
    batches: Sequence[Mapping[str, Any]], overview: Sequence[Mapping[str, Any]], deciding: str, tested: int
) -> Iterator[str]:
    if not any(row["gated"] for _, cell in _cells(batches) for row in cell["attributes"]):
        yield "Nothing was asked for that a reader can check with yes or no."
        return
    if deciding != "judge":
        yield "Only the verifier, which chose these faces, has read them: no judge is at hand, and it proves nothing."
    elif unread := [batch["name"] for batch in batches if not batch["problems"] and "judge" not in batch["read_by"]]:
        yield f"The judge could not read {', '.join(unread)}."
    if not tested:
        yield "There are no real faces with these attributes to compare with."
        return
    for row in overview:
        for word, sign in (("wanted", ""), ("unwanted", "-")):
            figure = row["readers"].get(deciding, {}).get(word)
            if figure is None:
                continue
            real, without = figure["real"], figure["real_without"]
            if not real or real["n"] < LEAST or without["n"] < LEAST:
                yield f"{sign}{row['name']}: fewer than {LEAST} real faces to compare with on one side."
            elif real["rate"] - without["rate"] < WEAK:
                yield (
                    f"{sign}{row['name']}: the {deciding} itself can hardly tell; it says so of "
                    f"{percent(real['rate'])} of the real faces of which it is true and of "
                    f"{percent(without['rate'])} of those of which it is not."
                )
            elif figure["gap"] and figure["gap"]["interval"][1] > WIDEST:
                yield (
                    f"{sign}{row['name']}: {_count(figure['verified']['n'], 'face')} too few; a rate "
                    f"{100 * WIDEST:.0f} points below that on real faces cannot be excluded."
                )


def _cells(batches: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for batch in batches:
        for cell in batch["cells"]:
            yield batch, cell


def _where(batches: Sequence[Mapping[str, Any]], batch: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    return f"{batch['name']} / {cell['name']}" if len(batches) > 1 else str(cell["name"])


def _count(n: int, word: str) -> str:
    return f"{n:,} {word} is" if n == 1 else f"{n:,} {word}s are"


def summary(
    batches: Sequence[Mapping[str, Any]],
    overview: Sequence[Mapping[str, Any]],
    deciding: str,
    exact: Mapping[str, Mapping[str, Any]],
    tested: int,
) -> list[str]:
    """What was found, in a few sentences."""
    accepted, draws = (sum(cell[key] for _, cell in _cells(batches)) for key in ("accepted", "draws"))
    requests = sum(len(batch["cells"]) for batch in batches)
    lines = [f"{accepted:,} faces of {requests:,} request{'s' * (requests != 1)}, from {draws:,} draws."]
    if deciding in exact and exact[deciding]["n"]:
        who = "judge, a classifier that took no part in choosing them," if deciding == "judge" else "verifier"
        low, high = (percent(value) for value in exact[deciding]["interval"])
        rate = percent(exact[deciding]["rate"])
        lines.append(f"The {who} sees all that was asked for in {rate} of the faces (95 % interval {low} to {high}).")
    figures = [
        (row["name"] if word == "wanted" else f"-{row['name']}", row["readers"][deciding][word])
        for row in overview
        for word in ("wanted", "unwanted")
        if row["readers"].get(deciding, {}).get(word)
    ]
    with_gap = [(name, figure) for name, figure in figures if figure["gap"]]
    if with_gap:
        name, figure = max(with_gap, key=lambda pair: pair[1]["gap"]["value"])
        here, real = percent(figure["verified"]["rate"]), percent(figure["real"]["rate"])
        if figure["gap"]["value"] > 0:
            lines.append(f"Furthest below real faces: {name}, {here} here, {real} in real faces that are labelled so.")
        else:
            lines.append("Every value is seen at least as often as in real faces that are labelled so.")
    flagged = sum(not figure["certain"] for figure in _flags(batches, deciding))
    if flagged:
        are = "is" if flagged == 1 else "are"
        lines.append(
            f"{flagged:,} of the {tested:,} figures compared {are} marked 'short?' and not counted: when so many are "
            "compared, each of them may be chance."
        )
    if again := [batch["redrawn"] for batch in batches if batch["redrawn"] and batch["redrawn"]["compared"]]:
        same, compared = (sum(row[key] for row in again) for key in ("same", "compared"))
        lines.append(f"Drawn again from their seeds, {same:,} of {compared:,} faces are the same pictures.")
    return lines


def _flags(batches: Sequence[Mapping[str, Any]], deciding: str) -> Iterator[Mapping[str, Any]]:
    for _, cell in _cells(batches):
        for row in cell["attributes"]:
            if row["gated"] and row["readers"].get(deciding, {}).get("short"):
                yield row["readers"][deciding]
