"""``cfgan report``: what a batch shows, for whoever receives it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cfgan.model.default import DEFAULT
from cfgan_cli.external import ExternalClassifiers, FaceApi, Witness, open_if
from cfgan_cli.help import Group
from cfgan_cli.options import BundleArgument, Device, EngineName, ReportOut, Silent, on, refuse_idle
from cfgan_cli.output import EXIT_FAILED, console, exit_codes, percent, print_json, print_text, progress_bar

_STYLES = {"holds": "green", "falls_short": "yellow", "fails": "bold red", "unproven": "yellow"}


class BatchByDefault(Group):
    """``cfgan report FOLDER...`` means ``cfgan report batch FOLDER...``; other commands go by their names."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["batch", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=BatchByDefault, no_args_is_help=True)


@app.callback()
def _report() -> None:
    """Reports that prove or refute: one HTML file, the figures as JSON and CSV.

    `cfgan report FOLDER --out DIR` is short for `cfgan report batch FOLDER --out DIR`.

    All options: `cfgan report batch --help`. A folder that is named as a command is: `./batch`.
    """


@app.command("batch")
def batch(
    context: typer.Context,
    batches: Annotated[list[Path], typer.Argument(help="Batch folders.", metavar="FOLDER")],
    out: ReportOut,
    bundle: Annotated[
        str | None,
        typer.Option(help="Whose judge reads the faces: a name or a folder. Default: the shipped one that made them."),
    ] = None,
    redraw: Annotated[int, typer.Option(min=0, help="Draws of each request made again at most; 0: none.")] = 2000,
    external: ExternalClassifiers = False,
    witness: Witness = False,
    face_api: FaceApi = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 unless the verdict is that they hold.")] = False,
    engine: EngineName = "auto",
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as one JSON object.")] = False,
    quiet: Silent = False,
) -> None:
    """Report whether batches show what was asked for.

    Every face is read by the bundle's verifier and by its judge, which chose nothing, and compared with
    what they see in real faces; draws are made again from their seeds. Writes report.html, report.json
    and CSV tables, all or nothing. The verdict: holds, falls short, fails or unproven.
    """
    with exit_codes():
        device = on(engine, device)
        from cfgan.model.bundle import open_bundle
        from cfgan.reports.folder import check_out

        check_out(out)
        opened = open_bundle(bundle) if bundle is not None else None

        from cfgan.reports.batch.report import build_report
        from cfgan.reports.folder import write_report

        if not (external or witness):
            refuse_idle(context, "without --external", "face_api")
        classifiers, missing = open_if(external or witness, face_api)
        with progress_bar(quiet=quiet or as_json, unit="images") as progress:
            report = build_report(
                batches,
                opened,
                redraw=redraw,
                external_classifiers=classifiers,
                missing=missing,
                device=device,
                progress=progress,
            )
        files = write_report(out, report)
    data = report.data
    if as_json:
        verdict = {key: data[key] for key in ("verdict", "headline", "reasons", "summary")}
        print_json({"out": str(out), "files": files, **verdict})
    elif not quiet:
        console().print(data["headline"], style=_STYLES[data["verdict"]], markup=False, soft_wrap=True)
        for line in (*data["reasons"], *data["summary"]):
            console().print(line, markup=False, soft_wrap=True)
        console().print(f"\n{out / 'report.html'}", markup=False, soft_wrap=True)
    if strict and data["verdict"] != "holds":
        raise typer.Exit(EXIT_FAILED)


@app.command("control")
def control(
    bundle: BundleArgument = DEFAULT,
    out: ReportOut = Path("control"),
    latents: Annotated[
        int, typer.Option("--latents", "-n", min=2, help="Faces made both ways for each attribute.")
    ] = 64,
    draws: Annotated[
        int, typer.Option(min=0, help="Draws for requests as in the data, balanced and rare, each; 0: none.")
    ] = 640,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same faces.")] = 0,
    engine: EngineName = "auto",
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
    quiet: Silent = False,
) -> None:
    """Report what each attribute of a bundle moves: itself, and what it should not.

    Every attribute is requested present and absent with the latents and all others held fixed; the judge looks.
    Requests are also drawn as in the data, balanced, and rare, to see how much of them is met.
    Writes report.html, control.json and control.csv, all or nothing.
    """
    with exit_codes():
        device = on(engine, device)
        from cfgan.io.files import real_path
        from cfgan.model.bundle import open_bundle
        from cfgan.reports.folder import check_out, replace_report

        check_out(out)
        opened = open_bundle(bundle)

        from cfgan.evaluation.control import measure_control
        from cfgan.evaluation.request_suite import request_suite
        from cfgan.reports.model.control import control_files

        with progress_bar(quiet=quiet or as_json, unit="attributes") as progress:
            found = measure_control(opened, latents=latents, seed=seed, device=device, progress=progress)
            suite = request_suite(opened, draws=draws, seed=seed, device=device, progress=progress) if draws else []
        files = control_files(opened, found, seed, suite)
        replace_report(real_path(out), files)
    if as_json:
        print_text(files["control.json"].decode("utf-8"))
    elif not quiet:
        order = sorted(range(len(found.names)), key=lambda i: found.effect[i])
        weakest = ", ".join(f"{found.names[i]} {percent(float(found.effect[i]))}" for i in order[:5])
        console().print(
            f"By the {found.reader}: mean effect {percent(float(found.effect.mean()))}, mean leak "
            f"{percent(float(found.leak.mean()))}; weakest: {weakest}",
            markup=False,
            soft_wrap=True,
        )
        for row in json.loads(files["control.json"])["requests"]:
            console().print(
                f"Requests, {row['name']}: {percent(row['seen']['rate'])} of the values seen "
                f"(real faces {percent(row['ceiling'])}), {row['draws']:,} draws",
                markup=False,
                soft_wrap=True,
            )
        console().print(f"{out / 'report.html'}", markup=False, soft_wrap=True)
