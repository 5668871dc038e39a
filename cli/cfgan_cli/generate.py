"""``cfgan generate``: a request or a spec file to a verified batch folder."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan.model.default import DEFAULT
from cfgan.version import __version__
from cfgan_cli.generate_shards import (
    Processes,
    RayAddress,
    ShardDraws,
    ShardOptions,
    Shards,
    make_shards,
    shards_as_json,
    show_shards,
)
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
from cfgan_cli.tables import print_table

if TYPE_CHECKING:
    from cfgan.attributes.spec import Plan
    from cfgan.generate.summary import Summary
    from cfgan.model.bundle import Bundle


def generate(
    attrs: Annotated[
        list[str] | None,
        typer.Option("--attrs", "-a", help="Attributes, such as Male,Smiling,-Wearing_Hat or Smiling=0.5; or: any."),
    ] = None,
    spec: Annotated[str | None, typer.Option(help="A spec file, or the name of a shipped one.")] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", help="Faces wanted. Default: 32.")] = None,
    seed: DrawSeed = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="<path>", help="Batch folder. Default: a new one in faces/.")
    ] = None,
    bundle: BundleOption = DEFAULT,
    unspecified: Annotated[
        str | None,
        typer.Option(
            help="Attributes not asked for: sample (as in real faces), or zero (0, which real faces never are)."
        ),
    ] = None,
    free: Annotated[str | None, typer.Option(help="Older name of --unspecified.", hidden=True)] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Probability that every requested value must reach, 0..1. Default: the bundle's."),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(help="Instead: how often the verifier must be right on real faces that pass it, 0..1."),
    ] = None,
    max_draws: MaxDraws = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Keep every draw, whatever the verifier says.")
    ] = False,
    truncation: Annotated[
        str | None,
        typer.Option(
            help="Cut latents off at this many standard deviations: likelier faces, but more alike; none: no "
            "cut. Default: the bundle's."
        ),
    ] = None,
    same_latents: Annotated[
        bool | None,
        typer.Option(
            "--same-latents/--own-latents",
            help="Whether draw i has the same latent for every request with this seed. Default: the bundle's.",
        ),
    ] = None,
    strict: BelievableOnly = False,
    shards: Shards = None,
    shard_draws: ShardDraws = None,
    processes: Processes = None,
    ray: RayAddress = None,
    engine: EngineName = "auto",
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: QuietButWarnings = False,
) -> None:
    """Generate faces with the requested attributes, verified, into a batch folder.

    Run the same command again after an interruption and it goes on where it stopped. Exits 3 if draws run out before
    all faces are found; what was found is kept.
    """
    with exit_codes():
        device = on(engine, device)
        sharded = ShardOptions(shards, shard_draws, processes, ray)
        in_shards = sharded.check()
        from cfgan.attributes.spec_files import find_spec
        from cfgan.generate.job import check_plan
        from cfgan.generate.job import generate as run
        from cfgan.generate.origin import other_origin
        from cfgan.generate.shards.summary import ShardSummary
        from cfgan.model.bundle import open_bundle

        opened = open_bundle(bundle)
        settings: dict[str, Any] = {
            "count": count,
            "seed": seed,
            "unspecified": unspecified or free,
            "truncation": truncation,
            "same_latents": same_latents,
        }
        verify = {
            "threshold": threshold,
            "precision": precision,
            "max_draws": max_draws,
            "enabled": False if no_verify else None,
        }
        plan = _plan(opened, attrs, spec, settings, verify)
        if spec is not None and (warning := other_origin(find_spec(spec), opened)):
            message(f"Warning: {warning}", style="yellow")
        for warning in check_plan(plan, opened, strict=strict):
            message(f"Warning: {warning}", style="yellow")
        named = out if out is not None else str(Path("faces") / _folder_name(plan, opened, spec))
        bar = progress_bar(quiet=quiet or as_json, unit="faces")
        result: Summary | ShardSummary
        if in_shards:
            result = make_shards(opened, plan, named, sharded, device=device, progress_bar=bar)
        else:
            with bar as progress:
                result = run(opened, plan, _folder(named), device=device, progress=progress)
        if as_json:
            figures = shards_as_json(result) if isinstance(result, ShardSummary) else _as_json(result, plan)
            print_json({**figures, "realism": opened.realism.sentence})
        elif not quiet:
            if isinstance(result, ShardSummary):
                show_shards(result)
            else:
                _show(result, plan, opened)
            console().print(opened.realism.sentence, soft_wrap=True, markup=False)
    if not result.complete:
        message(
            f"Draws ran out: {result.accepted} of {result.wanted} faces were found in {result.draws:,} draws. "
            "Ask for less or for likelier attributes, lower the threshold, or raise --max-draws.",
            style="yellow",
        )
        raise typer.Exit(EXIT_SHORT)


def _folder(out: str) -> Path:
    """A batch folder's path. Raises InputError for an address, which shards alone can be written to."""
    from cfgan.errors import InputError
    from cfgan.io.files import user_path

    if "://" in out:
        raise InputError("an address takes shards only: --shards tar.", field="--out", value=out)
    return user_path(out, field="--out")


def _plan(
    bundle: Bundle, attrs: list[str] | None, spec: str | None, settings: dict[str, Any], verify: dict[str, Any]
) -> Plan:
    from cfgan.attributes.request import parse_request
    from cfgan.attributes.spec import make_plan, read_spec
    from cfgan.errors import RequestError, SpecError

    if attrs and spec is not None:
        raise SpecError("give either --attrs or --spec, not both.", field="--spec", value=spec)
    for key in ("threshold", "precision", "max_draws"):
        if verify["enabled"] is False and verify[key] is not None:
            field = f"--{key.replace('_', '-')}"
            raise SpecError("cannot be combined with --no-verify.", field=field, value=verify[key])
    overrides = {key: value for key, value in settings.items() if value is not None}
    if strict := {key: value for key, value in verify.items() if value is not None}:
        overrides["verify"] = strict
    if spec is not None:
        return read_spec(spec, bundle.vocabulary, overrides, latents=bundle.latents)
    text = ",".join(item.removeprefix("=") for item in attrs or [])
    if not text.strip():
        raise RequestError("nothing is asked for; for faces of any kind use --attrs any.", field="--attrs", value=text)
    request = parse_request(text, bundle.vocabulary, field="--attrs")
    return make_plan(
        {"attributes": request}, bundle.vocabulary, overrides, source="command line", latents=bundle.latents
    )


def _folder_name(plan: Plan, bundle: Bundle, spec: str | None) -> str:
    """A name for people, and eight digits that differ whenever request, settings or bundle do."""
    if spec is not None:
        what = Path(spec).stem
    else:
        what = "+".join(
            name if value == 1 else f"no{name}" if value == -1 else f"{name}{value:g}"
            for name, value in plan.cells[0].request.items()
        )
    words = re.sub(r"[^A-Za-z0-9.+-]+", "-", what.replace("_", "")).strip("+.-")[:60] or "any"
    key = json.dumps([plan.resolved, bundle.digest, __version__], sort_keys=True)
    return f"{words}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _as_json(summary: Summary, plan: Plan) -> dict[str, Any]:
    value: dict[str, Any] = {
        "out": str(summary.out),
        "accepted": summary.accepted,
        "wanted": summary.wanted,
        "complete": summary.complete,
        "draws": summary.draws,
        "seconds": round(summary.seconds, 3),
    }
    if len(summary.cells) == 1:
        return {**value, "attributes": summary.cells[0]["attributes"]}
    return {**value, "cells": summary.cells}


def _passed(plan: Plan, bundle: Bundle) -> str:
    """What it means that a face passed, where all requests ask the same of it."""
    asked = {(cell.verify.enabled, cell.verify.threshold, cell.verify.precision) for cell in plan.cells}
    if len(asked) > 1:
        return "'Passed' is what the bundle's own verifier says, by the gate of each request (batch.json names them)."
    enabled, threshold, precision = asked.pop()
    if threshold is not None and enabled:
        return f"'Passed': the bundle's own verifier gives the requested value a probability of {threshold:g} or more."
    if precision is not None and enabled:
        return f"'Passed': above the thresholds at which the verifier is right in {percent(precision)} of real faces."
    asked_for = "request" if bundle.gates_requests else "value"
    kept = "" if enabled else "Nothing was rejected. "
    return (
        f"{kept}'Passed' is what the bundle's own verifier says: it is as sure of the {asked_for} as of four in "
        "five real faces that carry it; --threshold and --precision ask for surer ones."
    )


def _show(summary: Summary, plan: Plan, bundle: Bundle) -> None:
    from rich.markup import escape
    from rich.table import Table

    several = len(summary.cells) > 1
    table = Table(box=None, pad_edge=False)
    for title in (["request", "faces", "draws"] if several else []) + ["attribute", "asked"]:
        table.add_column(title, justify="right" if title in ("faces", "draws", "asked") else "left")
    for title in ("passed, all draws", "passed, batch", "mean p in the batch", "draws rejected for it"):
        table.add_column(title, justify="right")
    for cell in summary.cells:
        head = [escape(cell["name"]), f"{cell['accepted']}/{cell['wanted']}", f"{cell['draws']:,}"] if several else []
        for name, figures in cell["attributes"].items():
            seen = [percent(figures["unfiltered"]), percent(figures["verified"])]
            if abs(figures["requested"]) != 1:
                seen = ["graded:", "not verified"]
            mean = "-" if figures["probability"] is None else f"{figures['probability']:.2f}"
            asked = f"{figures['requested']:+g}"
            table.add_row(*head, escape(name), asked, *seen, mean, f"{figures['rejected']:,}")
            head = ["", "", ""] if several else []
        if not cell["attributes"]:
            table.add_row(*head, "(none)", "", "", "", "", "")
    terminal = console()
    print_table(table, keys=(0, 3) if several else (0,))
    share = percent(summary.accepted / summary.draws if summary.draws else None)
    terminal.print(
        f"\n{summary.accepted} faces from {summary.draws:,} draws ({share} accepted) in {summary.seconds:.1f} s. "
        f"{_passed(plan, bundle)} p is its probability of the requested value, calibrated for how common that value "
        "is in the training labels.",
        soft_wrap=True,
    )
    where = "contact_sheet.png, manifest.csv, images/" if summary.accepted else "no faces"
    terminal.print(f"{summary.out}/  ({where})", soft_wrap=True, markup=False)
