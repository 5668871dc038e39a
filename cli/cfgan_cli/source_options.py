"""What a person may say of a data set: the same for every command that opens one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan_cli.output import message

if TYPE_CHECKING:
    from cfgan.data.left_out import LeftOut
    from cfgan.data.sources.base import Options

Layout = Annotated[
    str,
    typer.Option(
        help="How a folder is laid out. auto: look; celeba, table (with --labels), imagefolder (Hugging Face's), "
        "shards, classes (a folder for each), stylegan (dataset.json), pattern (with --pattern)."
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="A folder's label table: CSV, TSV, Parquet, JSON. Default: labels.csv, metadata.csv and the like in it."
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        help="Labels stand in names: '{age}_{gender}_*', or with folders '{sex}/{hair}/*'. Each name in braces is a "
        "set of classes; {person} and {split} are known."
    ),
]
Bins = Annotated[
    list[str] | None,
    typer.Option(help="Read numbers as classes, such as age=18,40,60: below 18, 18 to 40, ... Repeatable."),
]
FileColumn = Annotated[str | None, typer.Option(help="Its column of file names, relative to the folder.")]
LabelColumns = Annotated[
    str | None, typer.Option(help="Its columns of labels, such as Red,Round, or '' for none; else all that are left.")
]
ClassColumn = Annotated[
    list[str] | None, typer.Option(help="A column whose values are classes, one attribute each. Repeatable.")
]
Ignore = Annotated[str | None, typer.Option(help="Columns to leave out, such as photographer,camera.")]
Duplicates = Annotated[
    str, typer.Option(help="Of a file that is listed several times: first, last, majority (by label), refuse.")
]
FoldCase = Annotated[bool, typer.Option("--fold-case", help="Classes that differ in capitals alone are one.")]
SplitColumn = Annotated[
    str | None, typer.Option(help="A column of train, validation, test. Default: split or partition.")
]
PersonColumn = Annotated[
    str | None,
    typer.Option(
        "--group-column", "--person-column", help="A column that names what must stay in one split, a person say."
    ),
]
Values = Annotated[
    str, typer.Option(help="What numbers mean: auto, zero-one, signed (-1..1), signed-unknown (0 is unknown).")
]
Root = Annotated[Path | None, typer.Option(help="Of torchvision: the folder that its class reads.")]
Download = Annotated[bool, typer.Option("--download", help="Let torchvision fetch what is not there.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 1 if anything was left out unasked.")]
LeftOutFile = Annotated[
    Path | None,
    typer.Option("--left-out", help="CSV file to list all that was left out, with the reason."),
]
ReplaceLeftOut = Annotated[bool, typer.Option("--force", help="Replace the file at --left-out, whatever it is.")]


def _shared(
    layout: Layout = "auto",
    labels: Labels = None,
    pattern: Pattern = None,
    bins: Bins = None,
    file_column: FileColumn = None,
    columns: LabelColumns = None,
    class_column: ClassColumn = None,
    ignore: Ignore = None,
    duplicates: Duplicates = "refuse",
    fold_case: FoldCase = False,
    split_column: SplitColumn = None,
    person_column: PersonColumn = None,
    values: Values = "auto",
    root: Root = None,
    download: Download = False,
) -> Any:  # Options, which no start-up loads
    """What was said of a source. Raises InputError."""
    from cfgan.data.read.bins import parse_bins
    from cfgan.data.read.columns import Columns
    from cfgan.data.read.duplicates import check_duplicates
    from cfgan.data.sources.base import Options

    check_duplicates(duplicates)
    named = Columns(
        None if columns is None else _listed(columns),
        tuple(class_column or ()),
        file_column,
        split_column,
        person_column,
        values,
        _listed(ignore or ""),
        duplicates,
        parse_bins(bins or ()),
        fold_case,
    )
    return Options(layout, labels, named, pattern, root=root, download=download)


class Said:
    """The options of a source as a person gave them; read inside the command, where what is wrong is told."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given

    def read(self) -> Options:
        """What was said of the source. Raises InputError."""
        options: Options = _shared(**self._given)
        return options


def with_source_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command in which the parameter ``said`` stands for all options of a source, in this place of its help."""
    shared = inspect.signature(_shared, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True)
    listed: list[inspect.Parameter] = []
    for name, parameter in own.parameters.items():
        listed += shared.values() if name == "said" else [parameter]
    listed = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in listed]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        command(said=Said({name: given.pop(name) for name in shared}), **given)

    called.__signature__ = own.replace(parameters=listed)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in listed}
    return called


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def check_left_out_file(path: Path | None, force: bool) -> None:
    """Raise InputError where the file of what was left out cannot be written, before the work begins."""
    from cfgan.data.left_out import left_out_file

    if path is not None:
        left_out_file(path, force=force)


def tell_left_out(left_out: LeftOut, path: Path | None, force: bool, *, quiet: bool = False) -> bool:
    """Name what was left out, the first few on stderr, all in a file. Returns whether anything was unasked."""
    from cfgan.data.left_out import left_out_csv, left_out_file

    for line in () if quiet else left_out.lines():
        message(f"{line}.", style="yellow")
    if path is not None:
        left_out_file(path, force=force).write(left_out_csv(left_out))
    return left_out.any_unasked()
