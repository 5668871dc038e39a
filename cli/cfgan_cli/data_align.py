"""``cfgan data align``: faces found in photographs and brought into the frame that the shipped model learnt on."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgan_cli.options import AsJson, Quiet, Workers
from cfgan_cli.output import EXIT_FAILED, console, exit_codes, message, print_json, progress_bar

if TYPE_CHECKING:
    from cfgan.data.framing.folder import Aligned


def align_data(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A folder of photographs, or one.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the faces: new, empty, or this same alignment.")
    ],
    faces: Annotated[
        str,
        typer.Option(help="Of a picture that shows several: largest, all (an image each), or refuse (none of it)."),
    ] = "largest",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if a picture gave no face.")] = False,
    recursive: Annotated[bool, typer.Option(help="Also read subfolders.")] = True,
    workers: Workers = 2,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find faces and bring them into CelebA's frame: 178 x 218 pixels, eyes and mouth where CelebA has them.

    Images keep the names of their pictures, so that label tables still fit. OUT/faces.csv says of every
    picture what was found: box, five points, roll, size, sharpness, or why there is none. Run again to resume.
    """
    with exit_codes():
        from cfgan.data.framing.folder import align_folder
        from cfgan.io.files import user_path

        # What Pillow warns of is either an error here, and named, or of no consequence for the pixels.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        source, out = user_path(source, field="IN"), user_path(out, field="OUT")
        with progress_bar(quiet=quiet or as_json, unit="pictures") as progress:
            result = align_folder(source, out, faces=faces, workers=workers, recursive=recursive, progress=progress)
    if as_json:
        tally = result.tally
        figures = {"pictures": tally.pictures, "files": tally.files, "several": tally.several}
        left_out = {"reasons": tally.reasons, "ignored": dict(result.ignored)}
        print_json({"out": str(out), **figures, **left_out, "repeated": result.repeated})
    elif not quiet:
        _show(result, faces)
    if strict and result.tally.reasons:
        raise typer.Exit(EXIT_FAILED)


def _show(result: Aligned, faces: str) -> None:
    from cfgan.data.image_files import listed_counts
    from cfgan.data.left_out import listed

    tally = result.tally
    by_reason = Counter(tally.reasons.values())
    for reason, count in by_reason.most_common():
        names = [name for name, why in tally.reasons.items() if why == reason]
        message(f"{count:,} left out ({reason.rstrip('.')}): {listed(names)}", style="yellow")
    if tally.several and faces == "largest":
        message(f"{tally.several:,} show several faces; the largest was taken (--faces)", style="yellow")
    if result.ignored:
        message(f"Not looked at: {listed_counts(result.ignored)}")
    before = "It was finished before. " if result.repeated else ""
    console().print(
        f"{before}{result.out}: {tally.files:,} faces of {tally.pictures:,} pictures, faces.csv",
        markup=False,
        soft_wrap=True,
    )
