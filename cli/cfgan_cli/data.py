"""``cfgan data``: pack images and labels for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfgan_cli import data_stats
from cfgan_cli.data_align import align_data
from cfgan_cli.data_draw import draw_data
from cfgan_cli.data_import import import_data
from cfgan_cli.options import AsJson, Quiet, SkipBad, StoreOut, Workers
from cfgan_cli.output import console, exit_codes, message, name_left_out, print_json, progress_bar

app = typer.Typer(help="Data sets: look at, import, align, draw, pack, check.", no_args_is_help=True)
app.command("stats")(data_stats.stats)
app.command("import")(import_data)
app.command("align")(align_data)
app.command("draw")(draw_data)


@app.command("pack")
def pack(
    celeba: Annotated[Path, typer.Argument(help="A CelebA folder in the official layout, complete or partial.")],
    out: StoreOut,
    size: Annotated[int, typer.Option(help="Side of the packed images in pixels.")] = 64,
    skip_bad: SkipBad = False,
    workers: Workers = 2,
    quiet: Quiet = False,
) -> None:
    """Check every image, crop, resize and pack them into one store. Run again to resume."""
    with exit_codes():
        from cfgan.data.source import open_source
        from cfgan.data.sources.base import Options
        from cfgan.data.store import pack as pack_store

        opened = open_source(celeba, Options("celeba", field="CELEBA"))
        with progress_bar(quiet=quiet, unit="images") as progress:
            store, bad = pack_store(
                opened.labelled(),
                out,
                size,
                skip_bad=skip_bad,
                workers=workers,
                progress=progress,
            )
    name_left_out(opened.left_out)
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
    as_json: AsJson = False,
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
