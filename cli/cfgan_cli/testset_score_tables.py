"""What ``cfgan testset score`` shows on the terminal: findings, operating points, parts of the set, groups, quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cfgan_cli.output import console, message
from cfgan_cli.tables import new_table, print_table

if TYPE_CHECKING:
    from rich.table import Table

_WORDS = ("part", "against", "flag")  # columns of words
_SHOWN = 12  # parts of a kind shown on the terminal


def show_scores(data: Mapping[str, Any]) -> None:
    """Print a score report's figures (``score_testset``), the worst first."""
    from cfgan.reports.score.words import KINDS, changes, findings, headline, headline_curves, share, span, verdict

    out = console()
    for sentence in data["warnings"]:
        message(f"First: {sentence}", style="bold red")
    style = {"weak": "bold yellow", "even": "green", "unproven": "yellow"}[verdict(data)]
    out.print(headline(data), style=style, markup=False, soft_wrap=True)
    for sentence in findings(data)[:5]:
        out.print(f"  {sentence}", markup=False, soft_wrap=True)
    for sentence in changes(data)[:4]:
        out.print(sentence, markup=False, soft_wrap=True)
    out.print()
    print_table(_points(data))
    for key, kind in KINDS.items():
        rows = [row for row in data["rows"] if row["kind"] == key]
        if rows:
            out.print(f"\n{kind.error}, {kind.name}, worst first", style="bold", markup=False)
            print_table(_rows(rows[:_SHOWN]), keys=(0, 1))
            if len(rows) > _SHOWN:
                out.print(f"and {len(rows) - _SHOWN:,} more; --out writes all", style="dim", markup=False)
    if data["differentials"]:
        _show_groups(data["differentials"])
    if data["differences"]:
        out.print("\nScore and errors inside groups of one enrolled face", style="bold", markup=False)
        print_table(_differences(data), keys=(0, 1))
    for side in data["quality"]:
        _show_quality(side)
    term = "D-EER" if data["testset"]["design"] == "detection" else "EER"
    for k, curve in enumerate(headline_curves(data)[:_SHOWN]):
        where = f", stratum {curve['stratum']}" if curve["stratum"] else ""
        against = (
            f" against {curve['negatives_from']}" if curve["negatives_from"] in ("random", "all") and where else ""
        )
        out.print(
            f"{'' if k else chr(10)}{term} {share(curve['eer'])} ({span(curve['interval'])}){where}, "
            f"{KINDS[curve['kind']].name}{against}",
            markup=False,
        )
    if data["support"]:
        support = data["support"]
        out.print(
            f"{support['independent']:,} independent of {support['comparisons']:,} comparisons that thresholds come "
            f"from: no rate under {share(support['rule_of_three'])} can be shown (rule of three)",
            markup=False,
            soft_wrap=True,
        )
    for note in data["notes"]:
        message(note)


def _show_quality(side: Mapping[str, Any]) -> None:
    """Error against discard, the measure that predicts errors best first."""
    from rich.markup import escape

    from cfgan.reports.score.quality import MEASURES
    from cfgan.reports.score.words import KINDS, exact, share

    out = console()
    title = f"{side['error']}, {KINDS[side['kind']].name}, without the images of poorest quality"
    out.print(f"\n{title}, at {exact(side['threshold'])}", style="bold", markup=False)
    shares = (f"{100 * part:g} % left out" for part in side["measures"][0]["discards"])
    table = new_table("measure", "n", *shares, "area", left=_WORDS)
    for row in side["measures"]:
        area = "-" if row["area"] is None else f"{row['area']:.2f}"
        name = escape(MEASURES.get(row["measure"], row["measure"]))
        table.add_row(name, f"{row['n']:,}", *map(share, row["rates"]), area)
    print_table(table)


def _show_groups(found: Mapping[str, Any]) -> None:
    """Groups at one threshold, the worst first, and the measures beside those of a fair system."""
    from rich.markup import escape

    from cfgan.reports.score.differentials import MEASURES, standardised
    from cfgan.reports.score.words import share, span

    out = console()
    for side in found["sides"]:
        out.print(f"\n{side['error']} of groups at {found['point']}", style="bold", markup=False)
        if side["strata"]:
            out.print(standardised(side), markup=False, soft_wrap=True)
        table = new_table("group", "n", "errors", side["error"], "p", "flag", left=_WORDS)
        for group in side["groups"][:_SHOWN]:
            rate = f"{share(group['rate'])} ({span(group['interval'])})"
            p = "-" if group["p_holm"] is None else f"{group['p_holm']:.3g}"
            table.add_row(escape(group["group"]), f"{group['n']:,}", f"{group['errors']:,}", rate, p, group["flag"])
        print_table(table)
        for key, title in MEASURES.items():
            _print_measure(title, side["measures"][key], "up to")
    if found["garbe"]:
        _print_measure("GARBE, both error rates", found["garbe"], "up to")
        _print_measure("fairness discrepancy rate", found["fdr"], "down to")


def _print_measure(title: str, found: Mapping[str, Any], fair: str) -> None:
    low, high = found["interval"]
    ends = "-" if low is None else f"{low:.3g} to {high:.3g}"
    console().print(f"{title}: {found['value']:.3g} ({ends}); a fair system {fair} {found['fair']:.3g}", markup=False)


def _points(data: Mapping[str, Any]) -> Table:
    from cfgan.reports.score.words import KINDS, exact, share

    whole = [row for row in data["rows"] if row["family"] == "all"]
    titles = [f"{row['error']}, {KINDS[row['kind']].name}" for row in whole]
    columns = (each for title in titles for each in (title, "held out"))
    table = new_table("operating point", "threshold", *columns, "enough")
    for k, point in enumerate(data["points"]):
        there = {found["kind"]: share(found["rate"]) for found in point["at_threshold"]}
        rates = [cell for row in whole for cell in (there[row["kind"]], _rate(row["rates"][k]))]
        table.add_row(point["name"], exact(point["threshold"]), *rates, "yes" if point["supported"] else "no")
    return table


def _rows(rows: Sequence[Mapping[str, Any]]) -> Table:
    from rich.markup import escape

    from cfgan.reports.score.words import FAMILIES, share

    points = [rate["point"] for rate in rows[0]["rates"]]
    table = new_table("", "part", "n", *points, "others", "gap", "flag", rows[0]["failure_term"], left=_WORDS)
    for row in rows:
        cells = [_rate(rate) for rate in row["rates"]]
        name = escape(row["name"]) or "all"
        family = FAMILIES.get(row["family"], "")
        n, failed = f"{row['scored']:,}", share(row["failure_rate"])
        failed += f" {row['failure_flag']}" if row["failure_flag"] else ""
        table.add_row(family, name, n, *cells, share(row["rest"]), _gap(row), row["flag"], failed)
    return table


def _gap(row: Mapping[str, Any]) -> str:
    """Points above those that it is compared with."""
    if row["gap"] is None:
        return "-"
    return f"{100 * row['gap']:+.1f}" + (" in strata" if row["compared"] == "strata" else "")


def _differences(data: Mapping[str, Any]) -> Table:
    from rich.markup import escape

    points = [f"errors at {point['name']}" for point in data["points"]]
    table = new_table("stratum", "against", "faces", "score", "95 %", *points, left=_WORDS)
    for row in data["differences"][:_SHOWN]:
        low, high = row["score"]["interval"]
        cells = [f"{100 * rate['value']:+.2f} points ({_points_span(rate['interval'])})" for rate in row["rates"]]
        spread = "-" if low is None else f"{low:+.3g} to {high:+.3g}"
        against = escape(row["against"]) or "all others"
        table.add_row(
            escape(row["stratum"]), against, f"{row['groups']:,}", f"{row['score']['value']:+.3g}", spread, *cells
        )
    return table


def _rate(rate: Mapping[str, Any]) -> str:
    from cfgan.reports.score.words import share, span

    return f"{share(rate['rate'])} ({span(rate['interval'])})"


def _points_span(ends: Sequence[float | None]) -> str:
    low, high = ends
    return "too few errors" if low is None or high is None else f"{100 * low:+.2f} to {100 * high:+.2f}"
