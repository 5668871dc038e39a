"""``cfgan balance``: generate the faces that a labelled data set lacks, and write one label table of both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan.model.default import DEFAULT
from cfgan_cli.options import (
    AsJson,
    BelievableOnly,
    BundleOption,
    Device,
    DrawSeed,
    EngineName,
    MaxDraws,
    QuietButWarnings,
    on,
)
from cfgan_cli.output import EXIT_SHORT, console, exit_codes, message, percent, print_json, progress_bar
from cfgan_cli.tables import new_table, print_table

if TYPE_CHECKING:
    from cfgan.balance.plan import Job
    from cfgan.balance.run import Result
    from cfgan.balance.spec import BalanceSpec

_SHOWN = 32  # requests of a plan that are listed; --json has all


def balance(
    data: Annotated[
        Path, typer.Argument(help="A packed store, a CelebA folder, or a folder of images with a label table.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the result: new, empty, or this same balance.")
    ] = None,
    attribute: Annotated[str | None, typer.Option(help="The attribute that --ratio is of.")] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Share of the training images that should have it, between 0 and 1.")
    ] = None,
    attributes: Annotated[
        str | None, typer.Option(help="Attributes, such as Male,Smiling; with --equalize.", metavar="A,B")
    ] = None,
    equalize: Annotated[
        bool, typer.Option("--equalize", help="Make every combination of --attributes equally common.")
    ] = False,
    spec: Annotated[Path | None, typer.Option(help="A YAML or JSON file with these settings.")] = None,
    match: Annotated[
        str | None,
        typer.Option(
            help="Attributes that new faces are given as often as your images of the same request have them (not "
            "verified); all others follow the bundle's training data.",
            metavar="A,B",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="The label table of a folder. Default: labels.csv or metadata.csv in it.")
    ] = None,
    free_labels: Annotated[
        str | None,
        typer.Option(
            help="Labels of new faces for what was not asked for: unknown (default), verifier (as read), condition (as "
            "given to the generator)."
        ),
    ] = None,
    link: Annotated[
        str | None, typer.Option(help="symlink or hard: link the real images into the folder. Default: leave them.")
    ] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write labels.parquet beside labels.csv.")] = False,
    seed: DrawSeed = None,
    threshold: Annotated[
        float | None, typer.Option(help="Probability that every requested value must reach. Default: the bundle's.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(help="Instead: how often the verifier must be right on real faces, 0..1.")
    ] = None,
    max_draws: MaxDraws = None,
    bundle: BundleOption = DEFAULT,
    strict: BelievableOnly = False,
    engine: EngineName = "auto",
    device: Device = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    as_json: AsJson = False,
    quiet: QuietButWarnings = False,
) -> None:
    """Fill the gaps of an unbalanced data set with verified faces.

    Works out how many faces of which request are missing, generates and verifies them, and writes
    labels.csv: every image, real and synthetic, with its labels. Rows are only added, to the train split
    alone; real files are not touched. Run the same command again after an interruption and it goes on.
    Exits 3 if draws run out before all faces are found; what was found is kept.
    """
    with exit_codes():
        device = on(engine, device)
        from cfgan.errors import SpecError

        if out is None and not dry_run:
            raise SpecError("a folder for the result is needed; --dry-run needs none.", field="--out")
        if equalize != (attributes is not None):
            missing, given = ("--attributes", "--equalize") if equalize else ("--equalize", "--attributes")
            raise SpecError(f"is missing beside {given}.", field=missing)
        verify = {"threshold": threshold, "precision": precision, "max_draws": max_draws}
        settings: dict[str, Any] = {
            "attribute": attribute,
            "ratio": ratio,
            "equalize": _listed(attributes),
            "match": _listed(match),
            "free_labels": free_labels,
            "seed": seed,
            "verify": {key: value for key, value in verify.items() if value is not None} or None,
        }
        wanted = _spec(spec, {key: value for key, value in settings.items() if value is not None})

        from cfgan.balance.data import open_balance_data
        from cfgan.balance.plan import plan_figures, prepare
        from cfgan.model.bundle import open_bundle

        opened = open_bundle(bundle)
        job = prepare(opened, open_balance_data(data, opened.vocabulary, labels), wanted, strict=strict)
        for warning in job.warnings:
            message(f"Warning: {warning}", style="yellow")
        if not as_json and not quiet:
            _show_plan(job)
        if dry_run or out is None:
            if as_json:
                print_json({**plan_figures(job.plan), "why_not_exact": list(job.plan.why)})
            return

        from cfgan.balance.run import balance as run

        with progress_bar(quiet=quiet or as_json, unit="faces") as progress:
            result = run(
                opened,
                job,
                out,
                link=link,
                parquet=parquet,
                device=device,
                progress=progress,
            )
        if as_json:
            about = {key: value for key, value in result.about.items() if key != "header"}
            print_json({"out": str(out), "repeated": result.repeated, **about})
        elif not quiet:
            _show_result(result)
            console().print(opened.realism.sentence, soft_wrap=True, markup=False)
    if not result.complete:
        faces = result.about["faces"]
        message(
            f"Draws ran out: {faces['found']:,} of {faces['wanted']:,} faces were found in {faces['draws']:,} draws. "
            "Lower the threshold or raise --max-draws, into another --out.",
            style="yellow",
        )
        raise typer.Exit(EXIT_SHORT)


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _spec(path: Path | None, settings: Mapping[str, Any]) -> BalanceSpec:
    from cfgan.balance.spec import make_balance_spec, read_balance_spec

    return make_balance_spec(settings) if path is None else read_balance_spec(path, settings)


def _show_plan(job: Job) -> None:
    from rich.markup import escape

    from cfgan.attributes.request import format_request

    plan = job.plan
    table = new_table("request", "training images", "share", "to add")
    known = plan.rows - plan.unknown
    rows = [(need, "impossible" if need.impossible else f"{need.missing:,}") for need in plan.needs]
    for need, to_add in rows[:_SHOWN]:
        name = escape(format_request(need.request))
        table.add_row(name, f"{need.have:,}", percent(need.have / known if known else None), to_add)
    terminal = console()
    print_table(table)
    if len(rows) > _SHOWN:
        terminal.print(f"and {len(rows) - _SHOWN} more")
    spread = f" in {len(plan.parts)} requests" if len(plan.parts) > 1 else ""
    unknown = f"; {plan.unknown:,} rows have no known label and do not count" if plan.unknown else ""
    terminal.print(f"\n{plan.missing:,} faces are missing{spread}{unknown}.", soft_wrap=True)
    for sentence in plan.why:
        terminal.print(f"Not exact: {sentence}", markup=False, soft_wrap=True)


def _show_result(result: Result) -> None:
    about, terminal = result.about, console()
    reached = about["achieved"]
    if "share" in reached:
        text = f"{about['target']['attribute']}: {percent(reached['share'])} of the training images"
    elif "least" in reached:
        text = f"{reached['least']:,} to {reached['most']:,} training images of every combination"
    else:
        text = f"{len(reached['short'])} of {len(about['target']['counts'])} requests still short"
    before = "It was finished before. " if result.repeated else ""
    faces = about["faces"]
    terminal.print(f"{before}{text}; {faces['found']:,} faces from {faces['draws']:,} draws.", soft_wrap=True)
    terminal.print(f"{result.out}/  (labels.csv, balance.json)", soft_wrap=True, markup=False)
