"""``cfgan batch``: prove a batch folder complete and unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfgan_cli.output import EXIT_FAILED, console, exit_codes, message, print_json

app = typer.Typer(help="Batch folders: check.", no_args_is_help=True)


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="A batch folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare a batch folder with its checksums, manifest and summary. Exits 1 if anything is amiss."""
    with exit_codes():
        from cfgan.batch import read_batch
        from cfgan.batch_check import check_batch

        problems = check_batch(folder)
        faces = read_batch(folder)["accepted"]
    if as_json:
        print_json({"folder": str(folder), "good": not problems, "faces": faces, "problems": problems})
    elif not problems:
        console().print(f"{folder}: complete and unchanged, {faces:,} faces", markup=False, soft_wrap=True)
    else:
        for problem in problems:
            message(problem, style="red")
    if problems:
        raise typer.Exit(EXIT_FAILED)
