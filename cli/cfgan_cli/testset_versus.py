"""Two systems on one test set: ``cfgan testset score SET A.csv B.csv``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgan_cli.output import console, message, print_json, progress_bar
from cfgan_cli.tables import new_table, print_table

_SHOWN = 15  # parts shown on the terminal


def versus(
    testset: Path,
    scores: tuple[Path, Path],
    *,
    distance: bool,
    key: str | None,
    column: str,
    allow_missing: bool,
    out: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Read both tables, compare the systems and print or write what differs.

    Raises:
        DataError, InputError, FolderError: as for one system.
    """
    from cfgan.io.folders import starts_with
    from cfgan.io.outputs import OutputFile
    from cfgan.testsets.folder import open_testset
    from cfgan.testsets.scores.comparisons import join_scores, names_of
    from cfgan.testsets.scores.tables import read_scores
    from cfgan.testsets.scores.versus import FORMAT, compare_systems

    begins = f'{{\n "format": "{FORMAT}"'.encode()
    target = OutputFile(out, lambda path: starts_with(path, begins), force=force) if out is not None else None
    opened = open_testset(testset)
    names, optional = names_of(opened)
    key = key or ("item" if opened.design == "detection" else "pair")
    first, second = (read_scores(path, names, key=key, column=column, optional=optional) for path in scores)
    one, other = (join_scores(opened, t, distance=distance, allow_missing=allow_missing) for t in (first, second))
    with progress_bar(quiet=quiet or as_json, unit="resamples") as progress:
        data = compare_systems(one, other, (first, second), progress=progress, **settings)
    if target is not None:
        target.write((json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    if as_json:
        print_json(data)
    elif not quiet:
        _show(data)


def _show(data: Mapping[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from cfgan.reports.score.words import FAMILIES, KINDS, exact, share

    out = console()
    a, b = (escape(system["file"]) for system in data["systems"])
    changed = [row for row in data["rows"] if row["flag"] and row["family"] != "all"]
    verdict = (
        f"{len(changed)} parts differ between {a} and {b} at {data['points'][0]['name']}"
        if changed
        else f"No part is shown to differ between {a} and {b} at {data['points'][0]['name']}"
    )
    out.print(verdict, style="bold yellow" if changed else "green", soft_wrap=True)
    out.print(f"{data['comparisons']:,} comparisons that both have a score for; {b} minus {a}, in points")
    points = Table("operating point", f"threshold of {a}", f"of {b}", "enough", box=None, pad_edge=False)
    for point in data["points"]:
        points.add_row(point["name"], *map(exact, point["thresholds"]), "yes" if point["supported"] else "no")
    print_table(points)
    titles = ("", "part", "kind", "n", *(point["name"] for point in data["points"]), "p", "flag")
    table = new_table(*titles, left=("part", "kind", "flag"))
    for row in data["rows"][:_SHOWN]:
        cells = [
            f"{share(rate['rates'][0])} > {share(rate['rates'][1])}: {100 * rate['difference']:+.2f}{_span(rate)}"
            for rate in row["rates"]
        ]
        part = escape(row["name"]) or "all"
        kind = KINDS[row["kind"]].name
        family, n = FAMILIES.get(row["family"], ""), f"{row['scored']:,}"
        table.add_row(family, part, kind, n, *cells, f"{row['p_holm']:.3g}", row["flag"])
    print_table(table, keys=(0, 1, 2))
    if len(data["rows"]) > _SHOWN:
        out.print(f"and {len(data['rows']) - _SHOWN:,} more; --out and --json hold all", style="dim")
    for system in data["systems"]:
        if system["scored_alone"] or system["failures"]:
            message(
                f"{system['file']}: {system['failures']:,} without a score, {system['scored_alone']:,} left out "
                "because the other has none."
            )


def _span(rate: Mapping[str, Any]) -> str:
    low, high = rate["interval"]
    return "" if low is None else f" ({100 * low:+.2f} to {100 * high:+.2f})"
