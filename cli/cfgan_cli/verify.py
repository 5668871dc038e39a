"""``cfgan verify``: what a bundle's verifier or judge sees in any images, and how well that agrees with labels."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan.model.default import DEFAULT
from cfgan_cli.options import Align, AsJson, BundleOption, Device, EngineName, Faces, on, refuse_idle
from cfgan_cli.output import (
    EXIT_FAILED,
    Force,
    exit_codes,
    message,
    percent,
    print_json,
    progress_bar,
    stdout_bytes,
)
from cfgan_cli.verify_report import show_report

if TYPE_CHECKING:
    from cfgan.data.framing.faces import Framer
    from cfgan.data.image_files import Found
    from cfgan.evaluation.labelled import LabelScore
    from cfgan.model.bundle import Bundle
    from cfgan.model.calibration import Calibration
    from cfgan.verify.framing import Framing, FramingLook
    from cfgan.verify.images import Columns, Outcome
    from cfgan.verify.table import Table

_SHOWN = 20  # images that could not be read, named on the terminal


def verify(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(help="Images, folders of images, batch folders, tar and Parquet files with images."),
    ],
    bundle: BundleOption = DEFAULT,
    by: Annotated[str, typer.Option(help="Who reads them: verifier, or judge where the bundle has one.")] = "verifier",
    attrs: Annotated[
        list[str] | None,
        typer.Option(
            "--attrs",
            "-a",
            help="Only these columns, and whether an image shows all of them, such as Male,-Smiling. Repeatable.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="What is known: a table of file names and 0/1 columns (CSV, Parquet, JSON, list_attr_celeba.txt), or "
            "a batch's manifest.csv (what was asked for). Prints how well the reader agrees."
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Labels of these images, a table as for --labels, to learn thresholds from: ten images of each value "
            "at least. They are written to --calibration."
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="File of thresholds: written with --calibrate, else read and used."),
    ] = None,
    ignore_unknown: Annotated[
        bool,
        typer.Option(
            "--ignore-unknown", help="Of --labels and --calibrate: leave out columns that the bundle does not know."
        ),
    ] = False,
    crop: Annotated[
        str,
        typer.Option(
            help="How images are made square: center (largest central square), none (all of it, squeezed), or celeba "
            "(the box of its aligned 178 x 218 images; others are errors)."
        ),
    ] = "center",
    align: Align = False,
    faces: Faces = "largest",
    framing: Annotated[
        bool, typer.Option(help="Look at some of the images for whether they are framed as the reader learnt.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Table of all readings: .csv, .json, .jsonl or .parquet.")
    ] = None,
    force: Force = False,
    recursive: Annotated[bool, typer.Option(help="Also read subfolders.")] = True,
    engine: EngineName = "auto",
    device: Device = "auto",
    batch: Annotated[
        int | None,
        typer.Option(min=1, max=4096, help="Images classified at a time; by default 32 on a CPU, 256 on a GPU."),
    ] = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only data and errors.")] = False,
) -> None:
    """Read the attributes of any images, generated here or not.

    Without --out and --labels a CSV table goes to stdout: file, calibrated probability of every
    attribute, whether it is seen (at the reader's threshold of best balanced accuracy), error.

    Without --align, faces should fill the picture as in CelebA's aligned images; a remark says when they do not.

    Exits 1 if an image could not be read (the others are in the table all the same), 2 if none could.
    """
    with exit_codes():
        device = on(engine, device)
        from cfgan.data.decode import check_crop
        from cfgan.data.image_files import find_images
        from cfgan.evaluation.labelled import LabelScore
        from cfgan.model.bundle import open_bundle
        from cfgan.verify.framing import FramingLook
        from cfgan.verify.images import choose_columns, open_reader, verify_images
        from cfgan.verify.user_calibration import CalibrationFit, calibration_file
        from cfgan_cli.calibration import calibration_figures, show_calibration

        _check_output(out, labels or calibrate, force)
        _check_calibration(calibrate, calibration, labels, force)
        check_crop(crop)
        opened = open_bundle(bundle)
        frame = "align" if align else crop
        own = None if calibrate is not None else _own(calibration, opened, by, frame)
        columns = choose_columns(opened, by, ",".join(item.removeprefix("=") for item in attrs) if attrs else None, own)
        known = _labels(labels, calibrate, opened, ignore_unknown)
        found = find_images(paths, recursive=recursive, archives=True)
        names = [file.name for file in found.files]
        fit = None if calibrate is None else CalibrationFit(opened, columns, known, names, frame)
        score = LabelScore(opened, columns, known, names) if labels is not None else None
        if not align:
            refuse_idle(context, "without --align", "faces")
        framer = _framer(align, faces, crop)
        look = FramingLook(len(found.files)) if framing and framer is None and opened.of_faces else None
        reader = open_reader(opened, by, device, own)
        about = _about(opened, columns, frame)
        # What Pillow warns of is either an error here, and named, or of no consequence for the pixels.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        to_stdout = out is None and calibrate is None and (as_json or labels is None)
        hidden = quiet or as_json or (to_stdout and sys.stdout.isatty())
        with (
            _table(out, force, columns, as_json, to_stdout) as table,
            progress_bar(quiet=hidden, unit="images") as progress,
        ):
            if table:
                table.begin(about)
            outcome = verify_images(
                reader,
                opened.size,
                found.files,
                columns,
                [sink for sink in (table, score, fit) if sink is not None],
                crop=crop,
                framer=framer,
                faces=faces,
                framing=look,
                batch=batch,
                progress=progress,
            )
            _require_any(outcome)
            framed = _framing(look)
            result = _result(outcome, columns, found, score, framed)
            if fit is not None and calibration is not None:
                learnt = fit.learnt()
                calibration_file(calibration, force=force).write(learnt.to_bytes())
                result["calibration"] = calibration_figures(learnt)
            if table:
                table.end(result)
        if as_json and not to_stdout:
            print_json({**about, **({"out": str(out)} if out is not None else {}), **result})
        elif fit is not None and calibration is not None:
            show_calibration(learnt, calibration)
        elif score is not None and not as_json:
            show_report(result["report"], columns.reader, opened.name)
        if not quiet and not as_json:
            _show_notes(outcome, columns, found, opened, out)
        if framed is not None and not as_json and not quiet:
            for remark in framed.remarks():
                message(f"{remark}: the {columns.reader} did not learn on such; try --align", style="yellow")
    _name_failed(outcome, in_table=out is not None or to_stdout)
    if outcome.failed:
        raise typer.Exit(EXIT_FAILED)


def _framer(align: bool, faces: str, crop: str) -> Framer | None:
    from cfgan.data.framing.faces import Framer, check_faces
    from cfgan.data.framing.sources import ONE_FACE
    from cfgan.errors import InputError

    check_faces(faces, ONE_FACE)
    if not align:
        return None
    if crop != "center":
        raise InputError("cannot be combined with --align, which has a frame of its own.", field="--crop", value=crop)
    return Framer()


def _framing(look: FramingLook | None) -> Framing | None:
    """How the images are framed; None where that is not asked or dlib is missing."""
    from cfgan.errors import ConfigError

    try:
        return None if look is None else look.result()
    except ConfigError:  # an extra: verifying does not need it
        return None


def _check_output(out: Path | None, labels: Path | None, force: bool) -> None:
    from cfgan.verify.table import table_file

    if out is None:
        return
    table_file(out, force=force)
    _refuse_labels(out, labels, "--out")


def _labels(labels: Path | None, calibrate: Path | None, bundle: Bundle, ignore_unknown: bool) -> Any:
    from cfgan.data.table import read_labels
    from cfgan.errors import InputError

    for path, field in ((labels, "--labels"), (calibrate, "--calibrate")):
        if path is not None:
            return read_labels(path, vocabulary=bundle.vocabulary, ignore_unknown=ignore_unknown, field=field)
    if ignore_unknown:
        raise InputError("needs --labels or --calibrate.", field="--ignore-unknown")
    return None


def _check_calibration(calibrate: Path | None, calibration: Path | None, labels: Path | None, force: bool) -> None:
    from cfgan.errors import InputError
    from cfgan.verify.user_calibration import calibration_file

    if calibrate is None:
        return
    if calibration is None:
        raise InputError("name the file to write.", field="--calibration")
    if labels is not None:
        raise InputError(
            "cannot be combined with --labels: images that thresholds were learnt on say nothing of how good they are.",
            field="--calibrate",
            value=calibrate,
        )
    calibration_file(calibration, force=force)
    _refuse_labels(calibration, calibrate, "--calibration")


def _refuse_labels(path: Path, labels: Path | None, field: str) -> None:
    """Raise InputError where a file to write is the labels'."""
    from cfgan.errors import InputError

    if labels is not None and path.exists() and labels.exists() and path.samefile(labels):
        raise InputError(f"{path} holds the labels.", field=field, value=path)


def _own(path: Path | None, bundle: Bundle, by: str, framing: str) -> Calibration | None:
    """The reader's calibration with a user's own in its place."""
    from cfgan.verify.user_calibration import read_user_calibration

    if path is None:
        return None
    found = read_user_calibration(path, bundle.vocabulary)
    found.require(bundle, by, framing, path=path)
    return found.applied(bundle.classifiers[by].calibration, bundle.vocabulary)


@contextlib.contextmanager
def _table(out: Path | None, force: bool, columns: Columns, as_json: bool, to_stdout: bool) -> Iterator[Table | None]:
    """The table in its file, on stdout, or none at all where only a report is wanted."""
    from cfgan.verify.table import CsvTable, JsonTable, open_table

    if out is not None:
        with open_table(out, columns, force=force) as table:
            yield table
    elif to_stdout:
        handle = stdout_bytes()
        yield (JsonTable if as_json else CsvTable)(handle, columns)
        handle.flush()
    else:
        yield None


def _about(bundle: Bundle, columns: Columns, crop: str) -> dict[str, Any]:
    """What was read with what: stands above the images in JSON."""
    from cfgan.verify.table import FORMAT

    about: dict[str, Any] = {
        "format": FORMAT,
        "bundle": {"name": bundle.name, "digest": bundle.digest},
        "by": columns.reader,
        "crop": crop,
        "thresholds": {
            name: round(float(t), 6) for name, t in zip(columns.names, columns.threshold.tolist(), strict=True)
        },
    }
    if columns.wanted is not None:
        about["request"] = {
            name: 1 if wanted else -1 for name, wanted in zip(columns.names, columns.wanted, strict=True)
        }
    return about


def _result(
    outcome: Outcome, columns: Columns, found: Found, score: LabelScore | None, framing: Framing | None
) -> dict[str, Any]:
    """What came of it: stands below the images in JSON."""
    from cfgan.evaluation.accuracy import plain

    result: dict[str, Any] = {
        "read": outcome.read,
        "failed": [{"file": name, "error": reason} for name, reason in outcome.failed],
        "seen": dict(zip(columns.names, outcome.seen.tolist(), strict=True)),
        "ignored": dict(found.ignored),
        "repeated": found.repeated,
        "seconds": round(outcome.seconds, 3),
        "framing": None if framing is None else framing.to_dict(),
    }
    if outcome.meets is not None:
        result["meets"] = outcome.meets
    if score is not None:
        result["report"] = plain(score.report())
    return result


def _require_any(outcome: Outcome) -> None:
    from cfgan.errors import DataError

    if not outcome.read:
        _name_failed(outcome, in_table=False)
        raise DataError(f"none of the {len(outcome.failed):,} images could be read.", field="PATHS")


def _name_failed(outcome: Outcome, *, in_table: bool) -> None:
    for name, reason in outcome.failed[:_SHOWN]:
        message(f"{name}: {reason}", style="red")
    if (more := len(outcome.failed) - _SHOWN) > 0:
        message(f"and {more:,} more{', all in the table' if in_table else '; --out FILE lists them'}", style="red")


def _show_notes(outcome: Outcome, columns: Columns, found: Found, bundle: Bundle, out: Path | None) -> None:
    from cfgan.data.image_files import listed_counts

    rate = outcome.read / outcome.seconds if outcome.seconds else 0
    failed = f", {len(outcome.failed):,} could not be read" if outcome.failed else ""
    lines = [
        f"{outcome.read:,} images read by the {columns.reader} of {bundle.name} in {outcome.seconds:.1f} s "
        f"({rate:,.0f} a second){failed}"
    ]
    if outcome.meets is not None and columns.wanted is not None:
        request = ",".join(name if w else f"-{name}" for name, w in zip(columns.names, columns.wanted, strict=True))
        lines.append(f"{outcome.meets:,} of them show {request} ({percent(outcome.meets / outcome.read)})")
    if found.ignored:
        lines.append(f"Left out: {listed_counts(found.ignored)}")
    if found.repeated:
        lines.append(f"{found.repeated:,} given more than once, read once")
    if out is not None:
        lines.append(str(out))
    for line in lines:
        message(line)
