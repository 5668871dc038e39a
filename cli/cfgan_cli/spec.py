"""``cfgan spec``: check spec files, list the shipped ones, print the schema."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cfgan.model.default import DEFAULT
from cfgan_cli.options import BundleOption
from cfgan_cli.output import EXIT_INPUT, console, exit_codes, message, print_text

app = typer.Typer(help="Spec files: check, list, schema.", no_args_is_help=True)


@app.command("check")
def check(
    files: Annotated[list[str], typer.Argument(help="Spec files, or names of shipped ones.")],
    bundle: BundleOption = DEFAULT,
) -> None:
    """Check spec files against a bundle's vocabulary and prior. Exits 2 if any is wrong."""
    from cfgan.errors import InputError

    with exit_codes():
        from cfgan.attributes.spec import read_spec
        from cfgan.generate.job import check_plan
        from cfgan.model.bundle import open_bundle

        opened = open_bundle(bundle)
        wrong = 0
        for name in files:
            try:
                plan = read_spec(name, opened.vocabulary, latents=opened.latents)
                for warning in check_plan(plan, opened):
                    message(f"{name}: Warning: {warning}", style="yellow")
            except InputError as error:
                said = str(error).removeprefix(f"{name}: ")  # once is enough
                message(f"Error: {name}: {said}", style="bold red")
                wrong += 1
                continue
            requests = f"{len(plan.cells)} request{'s' if len(plan.cells) > 1 else ''}"
            console().print(f"{name}: good, {requests}, {plan.count:,} faces", markup=False, soft_wrap=True)
    if wrong:
        raise typer.Exit(EXIT_INPUT)


@app.command("list")
def list_shipped() -> None:
    """List the shipped specs."""
    with exit_codes():
        from cfgan.attributes.spec_files import load_spec_file, shipped_specs

        for name in shipped_specs():
            about = str(load_spec_file(name).get("description", "")).strip()
            console().print(f"{name:28} {about}", markup=False, soft_wrap=True)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a spec file."""
    with exit_codes():
        from cfgan.attributes.spec import json_schema

        print_text(json.dumps(json_schema(), indent=2) + "\n")
