"""``cfgan data import``: any labelled images into a packed store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfgan_cli.framing import aligned
from cfgan_cli.options import Align, Faces, Quiet, SkipBad, StoreOut, Workers
from cfgan_cli.output import console, exit_codes, message, name_left_out, progress_bar


def import_data(
    source: Annotated[
        str, typer.Argument(help="A folder of images, sklearn:digits, or torchvision:NAME such as torchvision:MNIST.")
    ],
    out: StoreOut,
    size: Annotated[int, typer.Option(help="Side of the packed images in pixels: 32, 64 or 128.")] = 64,
    layout: Annotated[
        str,
        typer.Option(help="Of a folder: auto, celeba, table (with --labels), imagefolder, classes (one folder each)."),
    ] = "auto",
    labels: Annotated[
        Path | None,
        typer.Option(help="Its label table: CSV, TSV, Parquet, JSON. Default: labels.csv or metadata.csv in it."),
    ] = None,
    file_column: Annotated[str | None, typer.Option(help="Its column of file names, relative to the folder.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Its columns of labels, such as Red,Round, or '' for none; else all that are left."),
    ] = None,
    class_column: Annotated[
        list[str] | None, typer.Option(help="A column whose values are classes, one attribute each. Repeatable.")
    ] = None,
    split_column: Annotated[str | None, typer.Option(help="A column of train, validation, test.")] = None,
    group_column: Annotated[
        str | None, typer.Option(help="A column that names what must stay in one split, a person say.")
    ] = None,
    values: Annotated[
        str, typer.Option(help="What numbers mean: auto, zero-one, signed (-1..1), signed-unknown (0 is unknown).")
    ] = "auto",
    validation: Annotated[float, typer.Option(help="Share of images held out where the source does not say.")] = 0.1,
    test: Annotated[float, typer.Option(help="The same for the test split; both go by the file name alone.")] = 0.1,
    root: Annotated[Path | None, typer.Option(help="Of torchvision: the folder that its class reads.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Let torchvision fetch what is not there.")] = False,
    align: Align = False,
    faces: Faces = "largest",
    skip_bad: SkipBad = False,
    workers: Workers = 2,
    quiet: Quiet = False,
) -> None:
    """Pack any labelled images, greyscale or colour, into one store. Empty cells are unknown labels, never "no".

    Run again to resume.
    """
    with exit_codes():
        from cfgan.data.read.columns import Columns
        from cfgan.data.read.splits import Shares
        from cfgan.data.source import open_source
        from cfgan.data.sources.base import Options
        from cfgan.data.store import pack

        chosen = None if columns is None else tuple(name.strip() for name in columns.split(",") if name.strip())
        named = Columns(chosen, tuple(class_column or ()), file_column, split_column, group_column, values)
        shares = Shares(validation, test)
        options = Options(layout, labels, named, shares=shares, root=root, download=download)
        opened = open_source(source, options)
        if align:
            opened = aligned(opened, faces)
        table = opened.labelled(shares, together=group_column is not None)
        with progress_bar(quiet=quiet, unit="images") as progress:
            store, bad = pack(
                table,
                out,
                size,
                skip_bad=skip_bad,
                workers=workers,
                progress=progress,
            )
        splits = ", ".join(f"{len(store.rows(name)):,} {name}" for name in ("train", "validation", "test"))
        unknown = int((store.labels != store.labels).sum())
    name_left_out(opened.left_out, "columns", "images", "folders")
    for line in bad:
        message(f"Left out: {line}", style="yellow")
    if not quiet:
        text = f"{out}: {len(store.files):,} images of {store.size} x {store.size} ({splits}), "
        text += f"{len(store.vocabulary)} attributes"
        text += f", {unknown:,} of {store.labels.size:,} labels unknown" if unknown else ""
        console().print(text, markup=False, soft_wrap=True)
