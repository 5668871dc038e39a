"""Opening external classifiers for a command, and saying which are missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgan_cli.output import message

if TYPE_CHECKING:
    from cfgan.external.classifier import ExternalClassifier

FaceApi = Annotated[
    Path | None,
    typer.Option(
        "--face-api", envvar="CFGAN_FACE_API", help="An unpacked npm package with two more external classifiers."
    ),
]
"""The option that names the folder of ``@vladmandic/face-api``."""

ExternalClassifiers = Annotated[
    bool, typer.Option("--external", help="External classifiers look too; needs the extra 'external'.")
]
Witness = Annotated[bool, typer.Option("--witness", help="Older name of --external.", hidden=True)]


def open_if(wanted: bool, face_api: Path | None) -> tuple[list[ExternalClassifier] | None, list[str]]:
    """The external classifiers, and a sentence about each that is missing, told on stderr too; None where not wanted.

    Raises:
        InputError: the folder is not the package.
    """
    if not wanted:
        return None, []
    from cfgan.external.opening import open_external_classifiers

    opened, missing = open_external_classifiers(face_api)
    for sentence in missing:
        message(sentence, style="yellow")
    return opened, missing
