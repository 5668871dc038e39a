"""Options that several commands have, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BundleArgument = Annotated[str, typer.Argument(help="A shipped bundle's name, or a folder.")]
BundleOption = Annotated[str, typer.Option(help="A shipped bundle's name, or a folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
EngineName = Annotated[
    str, typer.Option("--engine", help="What computes: auto, onnxruntime or torch. Bytes are the same within one.")
]


def on(engine: str, device: str) -> str:
    """Engine and device as the library takes them, in one."""
    return device if engine == "auto" else f"{engine}:{device}"


def typed(context: typer.Context, parameter: str) -> bool:
    """Whether a person gave an option, whatever its value; not where it comes from the environment or a default."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def refuse_idle(context: typer.Context, needs: str, *parameters: str) -> None:
    """Refuse options that do nothing beside the others: whoever types them expects something of them.

    Args:
        context: of the running command.
        needs: why they do nothing: "without --data", "with --no-faces".
        parameters: of the command, by name; what comes from the environment or a default is let pass.

    Raises:
        InputError: one of them was typed.
    """
    from cfgan.errors import InputError

    known = {parameter.name: parameter for parameter in context.command.params}
    for name in parameters:
        if typed(context, name):
            value = context.params[name]
            off = getattr(known[name], "secondary_opts", [])
            field = off[0] if value is False and off else known[name].opts[0]
            raise InputError(f"does nothing {needs}.", field=field, value=value)


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")]
QuietButWarnings = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors and warnings.")]
Silent = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no text.")]

ReportOut = Annotated[Path, typer.Option("--out", "-o", help="Folder of the report: new, empty, or an older report.")]
StoreOut = Annotated[Path, typer.Option("--out", "-o", help="The store's folder.")]

BelievableOnly = Annotated[
    bool, typer.Option("--strict", help="Refuse a bundle whose draws do not look real, instead of warning.")
]

DrawSeed = Annotated[int | None, typer.Option(help="Same seed, same faces. Default: 0.")]
MaxDraws = Annotated[
    int | None, typer.Option(help="Draws after which a request gives up. Default: 50 a face, 1,000 at least.")
]

SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad images out and list them in skipped.txt.")]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Decoding threads.")]

Align = Annotated[
    bool, typer.Option("--align", help="Find the face of each image and bring it into CelebA's frame first.")
]
Faces = Annotated[
    str, typer.Option("--faces", help="With --align, where an image shows several: largest, or refuse it.")
]
