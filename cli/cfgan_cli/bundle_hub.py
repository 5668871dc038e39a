"""``cfgan bundle pull`` and ``push``: bundles on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfgan_cli.options import BundleArgument
from cfgan_cli.output import console, exit_codes


def pull(
    address: Annotated[str, typer.Argument(help="owner/name@revision on the Hub: a branch, a tag or a commit.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New folder for it. Default: the cache, from which it is used.")
    ] = None,
) -> None:
    """Fetch a bundle from the Hugging Face Hub, check it, and say its commit and digest.

    Wherever a bundle is asked for, its address can be given as well. Needs cfgan[hub].
    """
    with exit_codes():
        from cfgan.model.bundle import open_bundle
        from cfgan.model.hub import fetch

        opened = open_bundle(fetch(address, out))
        opened.verify()
        console().print(f"{opened.path}: {opened.name}, {opened.digest}", markup=False, soft_wrap=True)


def push(
    bundle: BundleArgument,
    repository: Annotated[str, typer.Argument(help="owner/name on the Hub; made if there is none.")],
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody see a repository that is made; else its owner alone.")
    ] = False,
) -> None:
    """Upload a bundle to the Hugging Face Hub, as you are logged in there (`hf auth login`, or HF_TOKEN).

    Its card begins with the head that the Hub reads. Mind the licence of what it was trained on. Needs cfgan[hub].
    """
    with exit_codes():
        from cfgan.model.bundle import open_bundle
        from cfgan.model.hub import MANIFEST, upload

        opened = open_bundle(bundle)
        opened.verify()
        address = upload(opened.path, [*opened.sums, MANIFEST], repository, private=not public)
        console().print(f"{address}: {opened.name}, {opened.digest}", markup=False, soft_wrap=True)
