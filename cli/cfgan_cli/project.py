"""``cfgan project``: a photo found again among what a bundle can draw, and edited there."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgan.model.default import DEFAULT
from cfgan_cli.options import AsJson, BundleOption, Quiet, refuse_idle
from cfgan_cli.output import console, exit_codes, message, print_json, progress_bar

if TYPE_CHECKING:
    from cfgan.generate.projection.result import Projection


def project(
    context: typer.Context,
    photo: Annotated[
        Path, typer.Argument(metavar="PHOTO", help="A photo of somebody who agreed: JPEG, PNG, WebP, BMP.")
    ],
    bundle: BundleOption = DEFAULT,
    edit: Annotated[
        list[str] | None,
        typer.Option("--edit", help="Change these attributes, such as Smiling,-Eyeglasses. Repeatable, an image each."),
    ] = None,
    align: Annotated[
        bool, typer.Option(help="Find the largest face and bring it into CelebA's frame first, as data align does.")
    ] = True,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="Of the optimisation. Default: 25 where the bundle has an encoder to begin from, else 100.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws that it begins from without an encoder.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the images: new, empty, or an older projection. Without it nothing is stored.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "cpu",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find a photo again among what the model can draw, change its attributes, and say whether the person is kept.

    The photo is aligned, read, and searched for: from an encoder's guess, or where the bundle has no encoder from the
    most alike of some draws, by optimising latent, condition and what enters each block. Needs cfgan[train], and
    cfgan[identity] to align and to measure identity.

    Only for photos of people who agreed. Neither the photo nor what is read in it is stored.
    """
    with exit_codes():
        from cfgan.generate.projection.project import project_photo, report
        from cfgan.io.files import user_path
        from cfgan.model.bundle import open_bundle

        # What Pillow warns of is either an error here, and named, or of no consequence for the pixels.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        opened, photo = open_bundle(bundle), user_path(photo, field="PHOTO")
        if "encoder" in opened.config:
            refuse_idle(context, f"with {opened.name}, whose encoder says where to begin", "seed")
        folder = None if out is None else user_path(out, field="--out")
        with progress_bar(quiet=quiet or as_json, unit="steps") as progress:
            found = project_photo(
                opened,
                photo,
                edit or [],
                align=align,
                steps=steps,
                seed=seed,
                out=folder,
                device=device,
                progress=progress,
            )
        if as_json:
            written = {} if folder is None else {"out": str(folder)}
            print_json({**report(opened, found, seed), "seconds": round(found.seconds, 2), **written})
        elif not quiet:
            _show(found, of_faces=opened.of_faces)


def _show(found: Projection, *, of_faces: bool) -> None:
    lines = [f"Projected in {found.seconds:.1f} s; pixels differ by {found.pixel_error:.1f} levels of 255 on average."]
    like = found.image.likeness
    if like is not None:
        lines.append(like.sentence())
    for image in found.edits:
        unseen = [name for name, seen in image.seen.items() if not seen]
        verdict = f"not shown as asked: {', '.join(unseen)}" if unseen else "shown as asked"
        said = [f"{verdict}, says the {found.by}"] if image.seen else []
        if image.likeness is not None:
            kept = "the person is kept" if image.likeness.kept else "the person is lost"
            said.append(f"identity distance {image.likeness.distance:.2f}, {kept}")
        lines.append(f"{image.request}: {'; '.join(said)}." if said else f"{image.request}: drawn.")
    if found.out is not None:
        lines.append(str(found.out))
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)
    if like is None and of_faces:
        message("Whether the person is kept was not measured: pip install 'cfgan[identity]'.", style="yellow")
