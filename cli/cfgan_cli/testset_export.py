"""``cfgan testset export``, ``check`` and ``info``: a finished test set in other formats, proved, and in figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cfgan_cli.options import AsJson, Quiet
from cfgan_cli.output import EXIT_FAILED, console, exit_codes, message, print_json, progress_bar, show_problems
from cfgan_cli.tables import print_table

_Testset = Annotated[Path, typer.Argument(help="A test set.", metavar="DIR")]


def export(
    testset: _Testset,
    kind: Annotated[str, typer.Option("--format", "-f", help="{formats}.", metavar="FORMAT")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The export's folder; an older export there is replaced.")],
    presumed_as_mated: Annotated[
        bool,
        typer.Option("--presumed-as-mated", help="lfw, insightface: give presumed mated pairs out as mated ones."),
    ] = False,
    balance: Annotated[
        bool,
        typer.Option(
            "--balance",
            help="lfw, insightface: leave pairs out, by a fixed draw, until every fold has as many mated as non-mated "
            "ones.",
        ),
    ] = False,
    gallery: Annotated[
        Path | None,
        typer.Option(
            help="lfw, insightface: the folder of enrolled people, PERSON/FILE, whose images are to be copied."
        ),
    ] = None,
    images: Annotated[str, typer.Option(help="lfw: jpg or png.")] = "jpg",
    size: Annotated[
        int | None,
        typer.Option(help="lfw, insightface: side of the images in pixels; by default 250 and 112."),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            help="lfw, insightface: a border around each face, 0 to 0.4 of the side. Detectors that look for faces in "
            "scenes find few that fill the image; with --size 256 --margin 0.25 they see 128 pixels of face."
        ),
    ] = 0.0,
    align: Annotated[
        int | None,
        typer.Option(
            help="lfw, insightface: side in pixels of faces that are aligned by five points, 112 for ArcFace and its "
            "family. Instead of --size and --margin."
        ),
    ] = None,
    quality: Annotated[int, typer.Option(help="lfw, insightface, celeba: quality of JPEG, 50 to 95.")] = 95,
    with_images: Annotated[bool, typer.Option("--with-images", help="parquet: put the images into the table.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a test set in a format that existing evaluators read: all of it or nothing.

    What a format cannot hold is refused, or said in the export's README.txt.
    """
    with exit_codes():
        from cfgan.testsets.export.formats import export_testset
        from cfgan.testsets.export.source import ExportOptions
        from cfgan.testsets.folder import open_testset

        options = ExportOptions(presumed_as_mated, balance, gallery, images, size, quality, with_images, margin, align)
        opened = open_testset(testset)
        with progress_bar(quiet=quiet or as_json, unit="images") as progress:
            about = export_testset(opened, kind, out, options, progress)
    if as_json:
        print_json({"out": str(out), **about})
    elif not quiet:
        counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in about["counts"].items())
        console().print(f"{out}: {kind}, {counts}", markup=False, soft_wrap=True)
        for note in about["notes"]:
            message(f"- {note}")


def check(testset: _Testset, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Compare a test set with its checksums, its tables and its protocol. Exits 1 if anything is amiss."""
    with exit_codes():
        from cfgan.testsets.check import check_testset

        with progress_bar(quiet=quiet or as_json, unit="files") as progress:
            problems = check_testset(testset, progress)
    if as_json:
        print_json({"testset": str(testset), "good": not problems, "problems": problems})
    elif problems:
        show_problems(problems)
    elif not quiet:
        console().print(f"{testset}: complete, unchanged and consistent", markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(EXIT_FAILED)


def info(testset: _Testset, as_json: AsJson = False) -> None:
    """Show what a test set holds."""
    with exit_codes():
        from cfgan.testsets.info import testset_info

        about = testset_info(testset)
    if as_json:
        print_json(about)
    else:
        _show(about)


def _show(about: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in about["counts"].items())
    for name, value in (
        ("test set", f"{about['testset']}: {about['design']}, {about['folds']} folds"),
        ("digest", about["digest"]),
        ("licence", about["licence"] or "not stated"),
        ("images", f"{about['images']:,} of {about['subjects']:,} subjects"),
        ("rows", counts),
    ):
        out.print(f"{name:<9}{value}", markup=False, soft_wrap=True)
    kinds = sorted({kind for row in about["strata"].values() for kind in row["kinds"]})
    titles = {"0": "non-mated", "1": "mated", "presumed": "presumed\nmated", "bona_fide": "bona fide"}
    shown = Table(box=None, pad_edge=False)
    shown.add_column("stratum", no_wrap=True)
    alike = any(row["mean_similarity"] is not None for row in about["strata"].values())
    for title in [*(titles.get(kind, kind) for kind in kinds), *(["mean\nsimilarity"] if alike else [])]:
        shown.add_column(title, justify="right")
    for name, row in about["strata"].items():
        cells = [f"{row['kinds'].get(kind, 0):,}" for kind in kinds]
        mean = row["mean_similarity"]
        shown.add_row(escape(name), *cells, *(["-" if mean is None else f"{mean:.3f}"] if alike else []))
    print_table(shown)
