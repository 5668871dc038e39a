"""``cfgan testset score``: where a system fails on a test set, from the scores that it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cfgan_cli.options import Silent
from cfgan_cli.output import EXIT_FAILED, Force, console, exit_codes, message, percent, print_json, progress_bar


def score(
    testset: Annotated[Path, typer.Argument(help="A test set's folder.", metavar="DIR")],
    scores: Annotated[
        list[Path],
        typer.Argument(
            help="CSV or Parquet: a row a comparison (pair, score) or presentation (item, score). An empty score is a "
            "failure to acquire. Two tables: the second system against the first, comparison by comparison.",
            metavar="SCORES [SCORES]",
        ),
    ],
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            help="Your system's threshold: a score of that much or more is a match, or an attack. Of two systems: give "
            "it twice.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        list[float] | None,
        typer.Option(
            help="A fixed FMR to look at (detection sets: BPCER, and APCER), 0 to 1. Repeatable. By default 0.01 and "
            "0.001; in detection sets 0.01 and 0.05.",
            show_default=False,
        ),
    ] = None,
    threshold_from: Annotated[
        str | None,
        typer.Option(
            help="Stratum whose non-mated comparisons thresholds of --at are chosen on, for each fold on the others. "
            "By default 'random' where it is there, else all.",
            metavar="STRATUM",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Stratum that others are compared with, face by face. By default 'random' where it is there, else all "
            "others.",
            metavar="STRATUM",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Attributes, such as Male,Young, whose values make the groups that are held against each other at the "
            "first operating point. By default what a factorial set crosses.",
            metavar="ATTRIBUTES",
        ),
    ] = None,
    distance: Annotated[
        bool,
        typer.Option(
            "--distance", help="Scores are distances: lower is more alike, or in detection sets likelier an attack."
        ),
    ] = False,
    key_column: Annotated[
        str | None, typer.Option(help="Column of names: pair, or item in detection sets.", show_default=False)
    ] = None,
    score_column: Annotated[str, typer.Option(help="Column of scores.")] = "score",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Count comparisons without a row as failures to acquire.")
    ] = False,
    resamples: Annotated[int, typer.Option(min=100, max=100_000, help="Of subjects, for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    flag_error_rate: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Chance that anything is flagged in a system without a difference.")
    ] = 0.05,
    fail_above: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Exit 1 if the FMR (detection sets: APCER) of any stratum is above this at the first operating point.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the report: new, empty, or an older score report. Of two systems: a JSON file.",
        ),
    ] = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as one JSON object.")] = False,
    quiet: Silent = False,
) -> None:
    """Score a system on a test set: error rates by stratum and attribute, worst first.

    FMR and FNMR (ISO/IEC 19795-1) or APCER and BPCER (ISO/IEC 30107-3) at your threshold and at fixed
    rates, with 95 % intervals by resampling subjects; what each stratum changes, face by face; equal
    error rates and DET curves; failures to acquire. Nothing is scored on fewer comparisons than the set
    holds: missing, double, unknown and unreadable rows are named, and the exit code is 2.

    With two tables: paired differences of both systems, each at its own threshold, with intervals, and
    which parts of the set differ.

    --out writes report.html, score.json and CSV tables, all or nothing.
    """
    with exit_codes():
        own = _thresholds(threshold, len(scores))
        if len(scores) == 2:
            from cfgan_cli.testset_versus import versus

            for option, given in (("--fail-above", fail_above), ("--baseline", baseline), ("--by", by)):
                _refuse_for_two(option, given)
            versus(
                testset,
                (scores[0], scores[1]),
                distance=distance,
                key=key_column,
                column=score_column,
                allow_missing=allow_missing,
                out=out,
                force=force,
                as_json=as_json,
                quiet=quiet,
                rates=tuple(at) if at else (0.01,),
                thresholds=(own[0], own[1]) if own else None,
                threshold_from=threshold_from,
                resamples=resamples,
                seed=seed,
                flag_error_rate=flag_error_rate,
            )
            return
        from cfgan.reports.score.report import check_out, write_score_report
        from cfgan.testsets.folder import open_testset
        from cfgan.testsets.scores.comparisons import join_scores, names_of
        from cfgan.testsets.scores.scoring import Settings, score_testset
        from cfgan.testsets.scores.tables import read_scores

        opened = open_testset(testset)
        if out is not None:
            check_out(out)
        detection = opened.design == "detection"
        names, optional = names_of(opened)
        key = key_column or ("item" if detection else "pair")
        table = read_scores(scores[0], names, key=key, column=score_column, optional=optional)
        comparisons = join_scores(opened, table, distance=distance, allow_missing=allow_missing)
        settings = Settings(
            threshold=own[0] if own else None,
            rates=tuple(at) if at else (0.01, 0.05) if detection else (0.01, 0.001),
            threshold_from=threshold_from,
            baseline=baseline,
            resamples=resamples,
            seed=seed,
            flag_error_rate=flag_error_rate,
            by=tuple(name.strip() for name in by.split(",") if name.strip()) if by else (),
        )
        with progress_bar(quiet=quiet or as_json, unit="resamples") as progress:
            data = score_testset(
                opened,
                comparisons,
                table,
                settings,
                progress=progress,
            )
        if out is not None:
            write_score_report(out, data)
    if as_json:
        print_json(data)
    elif not quiet:
        from cfgan_cli.testset_score_tables import show_scores

        show_scores(data)
        if out is not None:
            console().print(f"\n{out / 'report.html'}", markup=False, soft_wrap=True)
    if data["scores"]["without_row"]:
        message(f"{data['scores']['without_row']:,} without a row were counted as failures.", style="bold yellow")
    if fail_above is not None and (above := _above(data, fail_above)):
        message(f"Above {percent(fail_above)} at {data['points'][0]['name']}: {', '.join(above)}", style="bold red")
        raise typer.Exit(EXIT_FAILED)


def _thresholds(given: list[float] | None, systems: int) -> list[float]:
    """The systems' own thresholds, one each. Raises InputError: too many systems or thresholds."""
    from cfgan.errors import InputError

    if systems > 2:
        raise InputError("one table of scores, or two to compare.", field="SCORES", value=systems)
    found = list(given or ())
    if found and len(found) != systems:
        raise InputError(f"{systems} expected, one a system.", field="--threshold", value=len(found))
    return found


def _refuse_for_two(option: str, given: object) -> None:
    from cfgan.errors import InputError

    if given is not None:
        raise InputError("cannot be combined with two tables of scores.", field=option, value=given)


def _above(data: Mapping[str, Any], most: float) -> list[str]:
    """Strata whose FMR or APCER is above a limit, with it; also those that nothing is known of."""
    rows = [row for row in data["rows"] if row["family"] == "stratum" and row["error"] in ("FMR", "APCER")]
    rates = [(row, row["rates"][0]["rate"]) for row in rows]
    return [
        f"{row['name']} ({row['error']} {percent(rate)})" if row["scored"] else f"{row['name']} (no score)"
        for row, rate in rates
        if rate is None or rate > most
    ]
