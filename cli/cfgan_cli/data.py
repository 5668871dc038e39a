"""``cfgan data``: pack images and labels for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfgan_cli import data_stats
from cfgan_cli.data_draw import draw_data
from cfgan_cli.data_import import import_data
from cfgan_cli.output import console, exit_codes, message, print_json, progress_bar

app = typer.Typer(help="Data sets: pack, import, draw, check, look at.", no_args_is_help=True)
app.command("stats")(data_stats.stats)
app.command("import")(import_data)
app.command("draw")(draw_data)


@app.command("pack")
def pack(
    celeba: Annotated[Path, typer.Argument(help="A CelebA folder in the official layout, complete or partial.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The store's folder.")],
    size: Annotated[int, typer.Option(help="Side of the packed images in pixels.")] = 64,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad images out and list them in skipped.txt.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Decoding threads.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")] = False,
) -> None:
    """Check every image, crop, resize and pack them into one store. Run again to resume."""
    with exit_codes():
        from cfgan.data.read.celeba import read_celeba
        from cfgan.data.store import pack as pack_store

        with progress_bar(quiet=quiet, unit="images") as progress:
            store, bad = pack_store(
                read_celeba(celeba),
                out,
                size,
                skip_bad=skip_bad,
                workers=workers,
                progress=progress,
            )
    for line in bad:
        message(f"Left out: {line}", style="yellow")
    if not quiet:
        console().print(
            f"{out}: {len(store.files):,} images of {store.size} x {store.size}, {len(store.vocabulary)} attributes",
            markup=False,
            soft_wrap=True,
        )


@app.command("check")
def check(
    store: Annotated[Path, typer.Argument(help="A packed store.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare a packed store with its checksums."""
    with exit_codes():
        from cfgan.data.store import open_store

        opened = open_store(store, verify=True)
        splits = {name: len(opened.rows(name)) for name in ("train", "validation", "test")}
    if as_json:
        sizes = {"images": len(opened.files), "size": opened.size, "splits": splits}
        print_json({"store": str(store), **sizes, "sealed": opened.sealed})
    else:
        shown = ", ".join(f"{count:,} {name}" for name, count in splits.items())
        console().print(f"{store}: unchanged; {shown}", markup=False, soft_wrap=True)
        if not opened.sealed:
            message(
                "An older store: its attribute names and sizes are under no checksum; pack it again to have them so.",
                style="yellow",
            )
