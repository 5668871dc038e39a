"""``cfgan data draw``: faces drawn by code, with labels that are right by construction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfgan_cli.options import Quiet
from cfgan_cli.output import console, exit_codes, progress_bar


def draw_data(
    out: Annotated[Path, typer.Option("--out", "-o", help="The store's folder, or with --folder that of the images.")],
    count: Annotated[int, typer.Option("--count", "-n", help="Faces to draw.")] = 1000,
    seed: Annotated[
        int, typer.Option(min=0, help="Same seed, same faces; a larger count begins with the same ones.")
    ] = 0,
    size: Annotated[int, typer.Option(help="Side in pixels.")] = 64,
    rule: Annotated[
        str, typer.Option(help="natural: attributes go together by sex and age; even: half of the faces have each.")
    ] = "natural",
    folder: Annotated[
        bool, typer.Option("--folder", help="Write PNG files and labels.csv instead of a store.")
    ] = False,
    validation: Annotated[float, typer.Option(help="Share of the faces that is held out for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="The same for the test split.")] = 0.1,
    quiet: Quiet = False,
) -> None:
    """Draw simple faces with CelebA's 40 attributes as shapes and colours. There is no person in them."""
    with exit_codes():
        from cfgan.data.drawn.dataset import drawn_faces, write_drawn
        from cfgan.data.read.splits import Shares
        from cfgan.data.store import pack

        table = drawn_faces(count, seed, size, rule=rule, shares=Shares(validation, test))
        with progress_bar(quiet=quiet, unit="faces") as progress:
            if folder:
                write_drawn(table, out, seed, progress)
            else:
                pack(table, out, size, progress=progress)
    if not quiet:
        what = "images/ and labels.csv" if folder else "a store"
        console().print(f"{out}: {count:,} drawn faces of {size} x {size}, {what}", markup=False, soft_wrap=True)
