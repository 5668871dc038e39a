"""``cfgan batch sign``, and what ``batch check`` says of signatures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan_cli.options import Quiet
from cfgan_cli.output import console, exit_codes, message, progress_bar

if TYPE_CHECKING:
    from cfgan.generate.signatures import Signatures

Trust = Annotated[
    Path | None,
    typer.Option(
        "--trust", help="PEM file of certificates: every image must be signed by one of them, or by whom they certify."
    ),
]


def sign(
    folder: Annotated[Path, typer.Argument(help="A finished batch folder; it stays as it is.")],
    certificate: Annotated[Path, typer.Option(help="PEM file of your certificate, and after it those of its issuers.")],
    key: Annotated[Path, typer.Option(help="PEM file of its private key, without a passphrase.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the signed copy; an older one of the same batch is replaced.")
    ],
    timestamp: Annotated[
        str | None,
        typer.Option(help="http(s) address of a time stamp authority (RFC 3161). It is asked once a signature."),
    ] = None,
    detached: Annotated[
        bool,
        typer.Option(
            "--detached",
            help="One signature over the folder, in contact_sheet.c2pa, and images as they are: for large batches.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Copy a batch and sign the copy with your certificate: Content Credentials (C2PA) in every image.

    Needs the extra cfgan[c2pa]. `cfgan batch check` proves the signatures.
    """
    with exit_codes():
        from cfgan.generate.signing import sign_batch
        from cfgan.io.c2pa import Signer

        signer = Signer(certificate, key, timestamp)
        with progress_bar(quiet=quiet, unit="images") as progress:
            images = sign_batch(folder, out, signer, detached=detached, progress=progress)
    if not quiet:
        how = "signed as a whole" if detached else "signed"
        console().print(f"{out}: {images:,} images, {how} by {signer.name}", markup=False, soft_wrap=True)


def signatures_of(folder: Path, trust: Path | None) -> Signatures | None:
    """The signatures of a batch that is otherwise unchanged; None if there are none, or they cannot be read here."""
    from cfgan.errors import ConfigError
    from cfgan.generate.signatures import are_signatures_there, check_signatures

    if trust is None and not are_signatures_there(folder):
        return None
    try:
        return check_signatures(folder, trust)
    except ConfigError as error:
        if trust is not None:
            raise
        message(f"{folder} is signed; its signatures were not looked at. {error}", style="yellow")
        return None


def signature_figures(found: Signatures) -> dict[str, Any]:
    """For ``--json``."""
    return {key: value for key, value in asdict(found).items() if key not in ("problems", "faces")}
