"""``cfgan data stats``: what is in a data set."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan_cli.framing import aligned
from cfgan_cli.options import Align, AsJson, Faces, Quiet, Workers, refuse_idle
from cfgan_cli.output import EXIT_FAILED, console, exit_codes, percent, print_text, progress_bar
from cfgan_cli.source_options import (
    LeftOutFile,
    ReplaceLeftOut,
    Said,
    Strict,
    check_left_out_file,
    tell_left_out,
    with_source_options,
)
from cfgan_cli.tables import print_table

if TYPE_CHECKING:
    from rich.table import Table

_RELATIONS, _PAIRS = 12, 6  # shown on the terminal
_PHRASES = {"exclusive": "{} never with {}", "implies": "{} always with {}", "one_of": "{} or else {}"}


@with_source_options
def stats(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(help="What `data import` takes, a packed store, or a label table alone."),
    ],
    *,
    said: Said,
    identity: Annotated[
        Path | None,
        typer.Option(help="File of lines 'image person', as identity_CelebA.txt: finds people in two splits."),
    ] = None,
    images: Annotated[bool, typer.Option(help="Also open the images, where there are any.")] = True,
    combinations: Annotated[str, typer.Option(help="Sizes of combinations whose rarest are listed.")] = "2,3",
    tolerance: Annotated[
        float, typer.Option(help="Exceptions that an exclusive or implied pair may have: share of the rarer value.")
    ] = 0.01,
    distance: Annotated[int, typer.Option(help="Bits of 256 that near duplicates differ in at most.")] = 16,
    align: Align = False,
    faces: Faces = "largest",
    strict: Strict = False,
    left_out: LeftOutFile = None,
    force: ReplaceLeftOut = False,
    workers: Workers = 2,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the report: new, empty, or an older report.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Look at a data set: how common each attribute is, what goes together, what is broken or there twice.

    With --out it writes report.html, stats.json and CSV tables, all or nothing. The page holds mean
    images: where images show people, keep it to yourself.
    """
    with exit_codes():
        from cfgan.data.source import open_source
        from cfgan.errors import InputError
        from cfgan.reports.data.report import Settings, build_data_report

        settings = Settings(
            images=images,
            sizes=_sizes(combinations),
            tolerance=tolerance,
            distance=distance,
            workers=workers,
        )
        settings.check()
        if out is not None:
            _check_out(out, source)
        options = replace(said.read(), identity=identity)
        check_left_out_file(left_out, force)
        if options.labels is not None and not Path(source).exists():  # before the table beside it is blamed
            raise InputError(f"there is no file and no folder {str(source)!r}.", field="SOURCE", value=source)
        opened = open_source(source, options)
        if not align:
            refuse_idle(context, "without --align", "faces")
        elif not images:
            refuse_idle(context, "with --no-images", "align")
        else:
            opened = aligned(opened, faces)
        incomplete = tell_left_out(opened.left_out, left_out, force, quiet=quiet)
        # What Pillow warns of is either an error here, and named, or of no consequence for the pixels.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        with progress_bar(quiet=quiet or as_json, unit="") as progress:
            report = build_data_report(opened, settings, progress=progress)
        if out is not None:
            from cfgan.io.files import real_path
            from cfgan.reports.data.page import data_files
            from cfgan.reports.folder import replace_report

            replace_report(real_path(out), data_files(report))
        if as_json:
            from cfgan.reports.data.page import stats_json

            print_text(stats_json(report).decode("utf-8"))
        elif not quiet:
            _show(report.data)
            if out is not None:
                console().print(f"\n{out / 'report.html'}", markup=False, soft_wrap=True)
    if strict and incomplete:
        raise typer.Exit(EXIT_FAILED)


def _sizes(text: str) -> tuple[int, ...]:
    from cfgan.errors import InputError

    try:
        return tuple(sorted({int(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        raise InputError(
            f"{text!r}: whole numbers with commas are expected, such as 2,3.", field="--combinations", value=text
        ) from None


def _check_out(out: Path, source: Path) -> None:
    from cfgan.errors import InputError
    from cfgan.io.files import real_path
    from cfgan.reports.folder import check_out

    if source.is_dir() and real_path(out).is_relative_to(real_path(source)):
        raise InputError(f"{out} lies inside the data set {source}.", field="--out", value=out)
    check_out(out)


def _show(data: dict[str, Any]) -> None:
    out = console()
    print_table(_attributes(data))
    lines = [""]
    found = data["relations"]["found"]
    if found:
        lines.append(f"Exclusive and implied: {len(found):,} of {data['relations']['tested']:,} cells")
        for row in found[:_RELATIONS]:
            phrase = _PHRASES[row["kind"]].format(row["first"], row["second"])
            lines.append(f"  {phrase}: {row['exceptions']:,} otherwise, {row['expected']:,.0f} expected by chance")
    strongest = [f"{row['first']} {row['second']} {row['phi']:+.2f}" for row in data["association"]["strongest"]]
    if strongest:
        lines.append(f"Strongest phi: {'; '.join(strongest[:_PAIRS])}")
    for entry in data["combinations"]:
        rarest = [f"{' '.join(row['values'])} {row['count']:,}" for row in entry["rarest"][:_PAIRS]]
        listed = "; ".join(rarest) if entry["counted"] else "too many to count"
        lines.append(f"Rarest of {entry['size']}: {listed}")
    whole = data["whole"]
    lines.append(f"Whole rows: {whole['distinct']:,} different among {whole['rows']:,}, {whole['once']:,} once")
    lines += _images(data)
    if data["findings"]:
        lines += ["", *(f"! {line}" for line in data["findings"])]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def _attributes(data: dict[str, Any]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    titles = ["attribute", "share", "95 %", "yes", "no", "imbalance"]
    missing = any(row["missing"] or row["undecided"] for row in data["attributes"])
    splits = list(data["source"]["splits"] or {})
    for title in [*titles, *(["missing"] if missing else []), *splits]:
        table.add_column(title, justify="left" if title == "attribute" else "right", no_wrap=True)
    for row in sorted(data["attributes"], key=lambda row: -1.0 if row["rate"] is None else -row["rate"]):
        low, high = row["interval"]
        table.add_row(
            escape(row["name"]),
            percent(row["rate"]),
            "-" if low is None else f"{100 * low:.1f} to {100 * high:.1f}",
            f"{row['yes']:,}",
            f"{row['no']:,}",
            "one value" if row["imbalance"] is None else f"{row['imbalance']:.1f} : 1",
            *([f"{row['missing'] + row['undecided']:,}"] if missing else []),
            *(percent(row["splits"][name]["rate"]) for name in splits),
        )
    return table


def _images(data: dict[str, Any]) -> list[str]:
    images, duplicates = data["images"], data["duplicates"]
    if images is None:
        return []
    sizes = [f"{row['width']} x {row['height']} ({row['images']:,})" for row in images["sizes"]["commonest"][:3]]
    more = f" and {images['sizes']['distinct'] - 3:,} more" if images["sizes"]["distinct"] > 3 else ""
    formats = ", ".join(f"{n:,} {name}" for name, n in images["formats"].items())
    lines = [f"Images: {images['readable']:,} of {images['count']:,} read ({formats}); {', '.join(sizes)}{more}"]
    parts = [
        f"{what} {duplicates[kind]['groups']:,}"
        for kind, what in (("file", "same bytes"), ("pixels", "same pixels"), ("near", "nearly the same"))
    ]
    return [*lines, f"Groups of duplicates: {', '.join(parts)}"]
