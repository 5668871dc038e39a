"""``cfgan data import``: any labelled images into a packed store."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from cfgan_cli.framing import aligned
from cfgan_cli.options import Align, Faces, Quiet, SkipBad, StoreOut, Workers, refuse_idle
from cfgan_cli.output import EXIT_FAILED, console, exit_codes, message, progress_bar
from cfgan_cli.source_options import (
    LeftOutFile,
    ReplaceLeftOut,
    Said,
    Strict,
    check_left_out_file,
    tell_left_out,
    with_source_options,
)


@with_source_options
def import_data(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="A folder of images, sklearn:digits, or torchvision:NAME such as torchvision:MNIST.")
    ],
    *,
    out: StoreOut,
    size: Annotated[int, typer.Option(help="Side of the packed images in pixels: 32, 64 or 128.")] = 64,
    said: Said,
    validation: Annotated[float, typer.Option(help="Share of images held out where the source does not say.")] = 0.1,
    test: Annotated[float, typer.Option(help="The same for the test split; both go by the file name alone.")] = 0.1,
    stratify: Annotated[
        bool,
        typer.Option(
            "--stratify",
            help="Hold out by label instead, with the images of a person and near duplicates in one split.",
        ),
    ] = False,
    align: Align = False,
    faces: Faces = "largest",
    skip_bad: SkipBad = False,
    strict: Strict = False,
    left_out: LeftOutFile = None,
    force: ReplaceLeftOut = False,
    workers: Workers = 2,
    quiet: Quiet = False,
) -> None:
    """Pack any labelled images, greyscale or colour, into one store. Empty cells are unknown labels, never "no".

    Run again to resume.
    """
    with exit_codes():
        from cfgan.data.left_out import LeftOut
        from cfgan.data.read.splits import Shares
        from cfgan.data.source import open_source
        from cfgan.data.store import pack, why_skipped

        shares = Shares(validation, test)
        options = replace(said.read(), shares=shares)
        check_left_out_file(left_out, force)
        opened = open_source(source, options)
        if align:
            opened = aligned(opened, faces)
        else:
            refuse_idle(context, "without --align", "faces")
        together = options.columns.person is not None
        with progress_bar(quiet=quiet, unit="images") as progress:
            if stratify:
                from cfgan.data.stratified import stratified

                table = stratified(opened, shares, together=together, workers=workers, progress=progress)
            else:
                table = opened.labelled(shares, together=together)
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
        bad_images = LeftOut(images=why_skipped(table, store, bad))
        # A row without an image is a bad image too, and named once.
        rows = {name: why for name, why in opened.left_out.rows.items() if name not in bad_images.images}
        incomplete = tell_left_out(replace(opened.left_out, rows=rows) | bad_images, left_out, force)
        if opened.lacks_validation and (held := len(store.rows("validation"))):
            text = f"No image is marked for validation: {held:,} of the training images are held out for it"
            message(f"{text} (--validation 0: none).", style="yellow")
        for line in store.hard_to_prove():
            message(f"{line}.", style="yellow")
    if not quiet:
        text = f"{out}: {len(store.files):,} images of {store.size} x {store.size} ({splits}), "
        text += f"{len(store.vocabulary)} attributes"
        text += f", {unknown:,} of {store.labels.size:,} labels unknown" if unknown else ""
        console().print(text, markup=False, soft_wrap=True)
    if strict and incomplete:
        raise typer.Exit(EXIT_FAILED)
