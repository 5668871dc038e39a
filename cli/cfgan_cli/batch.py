"""``cfgan batch``: prove a batch folder complete and unchanged, sign it, or close one that was stopped."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan_cli.batch_sign import Trust, sign, signature_figures, signatures_of
from cfgan_cli.options import AsJson
from cfgan_cli.output import EXIT_FAILED, EXIT_SHORT, console, exit_codes, print_json, show_problems

if TYPE_CHECKING:
    from cfgan.generate.signatures import Signatures


app = typer.Typer(help="Batch folders: check, sign, finish.", no_args_is_help=True)
app.command("sign")(sign)


@app.command("check")
def check(
    folder: Annotated[str, typer.Argument(help="A batch folder; or shards, in a folder or at an address.")],
    trust: Trust = None,
    as_json: AsJson = False,
) -> None:
    """Compare a batch folder with its checksums, manifest, summary and signatures, or shards with their index.

    Exits 1 if anything is amiss.

    Exits 3 if it is as it was made, but draws had run out before all faces were found.
    """
    with exit_codes():
        problems, about, signatures = _checked(folder, trust)
    faces, wanted = about["accepted"], about.get("wanted", about["accepted"])
    short = faces < wanted
    signed = f"; {signatures.sentence()}" if signatures and signatures.signed else ""
    if as_json:
        figures = {"good": not problems, "complete": not short, "faces": faces, "wanted": wanted}
        told = {"signatures": signature_figures(signatures)} if signatures else {}
        print_json({"folder": str(folder), **figures, **told, "problems": problems})
    elif problems:
        show_problems(problems)
    elif short:
        text = f"{folder}: unchanged, but draws ran out: {faces:,} of {wanted:,} faces{signed}"
        console().print(text, markup=False, soft_wrap=True)
    else:
        text = f"{folder}: complete and unchanged, {faces:,} faces{signed}"
        console().print(text, markup=False, soft_wrap=True)
    if problems or short:
        raise typer.Exit(EXIT_FAILED if problems else EXIT_SHORT)


def _checked(folder: str, trust: Path | None) -> tuple[list[str], dict[str, Any], Signatures | None]:
    """What is amiss, what a batch or an index says of itself, and the signatures.

    Raises InputError, FolderError, StorageError.
    """
    from cfgan.errors import FolderError, InputError

    if "://" in folder or any((Path(folder) / name).exists() for name in ("shards.json", "index.json")):
        from cfgan.generate.shards.check import check_shards, read_index
        from cfgan.generate.shards.store import open_shard_store

        if trust is not None:
            raise InputError(f"{folder} holds shards, and those are not signed.", field="--trust", value=trust)
        store = open_shard_store(folder)
        index = read_index(store)
        return check_shards(store, index=index), index, None
    from cfgan.generate.batch import read_batch
    from cfgan.generate.batch_check import check_batch

    problems = check_batch(Path(folder))
    about: dict[str, Any] = {"accepted": 0}
    with contextlib.suppress(FolderError):  # a damaged batch.json is among the problems already
        about = read_batch(Path(folder))
    signatures = None if problems else signatures_of(Path(folder), trust)
    return problems + (signatures.problems if signatures else []), about, signatures


@app.command("finish")
def finish(
    folder: Annotated[Path, typer.Argument(help="A batch folder that was stopped.")],
    bundle: Annotated[
        str | None, typer.Option(help="Folder of the bundle that it was made with, if that is not a shipped one.")
    ] = None,
) -> None:
    """Close a stopped batch with the faces that it has: writes its manifest, summary and checksums.

    It cannot go on afterwards. Exits 3, as it has fewer faces than were asked for; 0 if it is closed already.
    """
    with exit_codes():
        from cfgan.generate.batch import read_batch
        from cfgan.generate.job import finish_early
        from cfgan.io.journal import NAME, read_header
        from cfgan.model.bundle import open_bundle

        if not (folder / NAME).exists():
            read_batch(folder)
            console().print(f"{folder}: closed already", markup=False, soft_wrap=True)
            return
        named = bundle or str(dict(read_header(folder).get("bundle", {})).get("name"))
        summary = finish_early(open_bundle(named), folder)
    text = f"{folder}: closed with {summary.accepted:,} of {summary.wanted:,} faces"
    console().print(text, markup=False, soft_wrap=True)
    if not summary.complete:
        raise typer.Exit(EXIT_SHORT)
