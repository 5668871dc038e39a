"""``cfgan bundle``: build, look at and prove bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cfgan.model.default import DEFAULT
from cfgan_cli.bundle_hub import pull, push
from cfgan_cli.external import FaceApi
from cfgan_cli.options import AsJson, BundleArgument, Quiet, refuse_idle
from cfgan_cli.output import console, exit_codes, message, print_json, print_text, progress_bar
from cfgan_cli.realism import Nsfwjs
from cfgan_cli.tables import new_table, print_table

app = typer.Typer(help="Bundles: info, list, check, build, add-graphs, add-encoder, pull, push.", no_args_is_help=True)
app.command("pull")(pull)
app.command("push")(push)


@app.command("info")
def info(
    bundle: BundleArgument = DEFAULT,
    card: Annotated[bool, typer.Option("--card", help="Print the whole model card (Markdown).")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a bundle is."""
    with exit_codes():
        from cfgan.model.bundle import open_bundle

        opened = open_bundle(bundle)
        if card:
            print_text(opened.file("README.md").read_text(encoding="utf-8") + "\n")
            return
        about = {
            "name": opened.name,
            "digest": opened.digest,
            "size": opened.size,
            "attributes": len(opened.vocabulary),
            "family": opened.config["generator"]["family"],
            "trained_on_images": opened.config.get("training", {}).get("images"),
            "encoder": "encoder" in opened.config,
            "licence": opened.config.get("licence"),
            "bytes": sum((opened.path / name).stat().st_size for name in opened.sums),
        }
        if as_json:
            print_json(about)
            return
        for key, value in about.items():
            value = ("no", "yes")[value] if isinstance(value, bool) else value
            console().print(f"{key:18} {value:,}" if isinstance(value, int) else f"{key:18} {value}", markup=False)


@app.command("list")
def list_bundles(as_json: AsJson = False) -> None:
    """List the shipped bundles, and those fetched from the Hub: name, side, attributes, size on disk, licence."""
    with exit_codes():
        from cfgan.model.bundle import open_bundle, shipped_bundles
        from cfgan.model.hub import fetched

        named = {**shipped_bundles(), **fetched()}
        opened = {name: open_bundle(path) for name, path in named.items()}
        rows: list[dict[str, Any]] = [
            {
                "name": name,
                "side": bundle.size,
                "attributes": len(bundle.vocabulary),
                "bytes": sum((bundle.path / name).stat().st_size for name in bundle.sums),
                "licence": str(bundle.config.get("licence", "")),
                "digest": bundle.digest,
            }
            for name, bundle in opened.items()
        ]
        if as_json:
            print_json(rows)
            return
        table = new_table("name", "side", "attributes", "MB", "licence", left=("licence",))
        for row in rows:
            size = f"{row['bytes'] / 1e6:.0f}"
            table.add_row(row["name"], f"{row['side']} px", str(row["attributes"]), size, row["licence"])
        print_table(table)


@app.command("verify", hidden=True)  # what it was called first
@app.command("check")
def check(bundle: BundleArgument = DEFAULT) -> None:
    """Compare every file of a bundle with its checksum and load all its networks.

    Without torch those are loaded that draw and read; what only training needs is compared with its checksum.
    """
    with exit_codes():
        from importlib.util import find_spec

        from cfgan.model.bundle import open_bundle
        from cfgan.model.engines import has_graphs, open_engine

        opened = open_bundle(bundle)
        opened.verify()
        opened.prior()
        if has_graphs(opened) or find_spec("torch") is None:
            engine = open_engine(opened, "onnxruntime:cpu")
            engine.generator()
            for role in opened.classifiers:
                engine.classifier(role)
        if find_spec("torch") is not None:
            for load in (opened.generator, opened.discriminator, opened.guide, opened.heads, opened.encoder):
                load()
            for classifier in opened.classifiers.values():
                classifier.load()
        console().print(f"{opened.path}: complete and unchanged, {opened.digest}", markup=False, soft_wrap=True)


@app.command("add-graphs")
def add_graphs(
    bundle: BundleArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the copy; an earlier copy in it is replaced.")],
) -> None:
    """Copy a bundle and add ONNX graphs, with which it draws and reads faces without torch.

    Bundles that this version builds have them. The networks stay as they are; the bundle's digest changes.
    """
    with exit_codes():
        from cfgan.assemble.copies import with_graphs
        from cfgan.model.bundle import open_bundle

        made = with_graphs(open_bundle(bundle), out)
        console().print(f"{made.path}: {made.digest}", markup=False, soft_wrap=True)


@app.command("add-encoder")
def add_encoder(
    bundle: BundleArgument,
    encoder: Annotated[Path, typer.Option(help="Run folder of `cfgan train encoder` for this bundle.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the copy; an earlier copy in it is replaced.")],
) -> None:
    """Copy a bundle and add an encoder, from which `cfgan project` begins.

    The networks stay as they are; the bundle's digest changes.
    """
    with exit_codes():
        from cfgan.assemble.encoder import with_encoder
        from cfgan.model.bundle import open_bundle

        made = with_encoder(open_bundle(bundle), encoder, out)
        console().print(f"{made.path}: {made.digest}", markup=False, soft_wrap=True)


@app.command("build")
def build(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle's folder; a bundle in it is replaced.")],
    gan: Annotated[Path, typer.Option(help="Run folder of `cfgan train gan`.")],
    verifier: Annotated[Path | None, typer.Option(help="Run folder of `cfgan train verifier`.")] = None,
    judge: Annotated[Path | None, typer.Option(help="Run folder of `cfgan train judge`.")] = None,
    prior: Annotated[Path | None, typer.Option(help="File of `cfgan train prior`.")] = None,
    guide: Annotated[
        Path | None, typer.Option(help="Run folder of the classifier that pulled the generator, to go on from.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="A bundle from which everything is taken that is not given here and that fits the run."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The bundle's name.")] = None,
    data: Annotated[str | None, typer.Option(help="What it was trained on, for the card.")] = None,
    licence: Annotated[str | None, typer.Option(help="Under what terms the weights may be used, for the card.")] = None,
    faces: Annotated[
        bool | None,
        typer.Option(help="Whether the images are faces. Default: as in --keep, else yes.", show_default=False),
    ] = None,
    measure_on: Annotated[
        Path | None, typer.Option(help="A packed store: the card gets everything `cfgan evaluate --data` measures.")
    ] = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option(help="A Markdown file to put at the end of the card, such as an ablation. Repeatable."),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(help="Draw latents from a normal cut off at so many standard deviations. Default: as in --keep."),
    ] = None,
    own_latents: Annotated[
        bool | None,
        typer.Option(
            "--own-latents/--same-latents",
            help="Whether each request has latents of its own. Default: as in --keep, else yes.",
            show_default=False,
        ),
    ] = None,
    gate: Annotated[
        str | None,
        typer.Option(
            help="What the verifier must be sure of: request (the whole) or value (each by itself). "
            "Default: as in --keep."
        ),
    ] = None,
    heads: Annotated[
        bool,
        typer.Option(
            "--heads/--no-heads",
            help="Whether to keep the discriminator's heads over frozen features; without them the bundle is smaller, "
            "and training that goes on from it begins them anew.",
        ),
    ] = True,
    average: Annotated[
        int | None,
        typer.Option(
            help="Half-life, in images, of the further weight average (`ema_more`) that becomes the generator. "
            "Default: the run's first.",
            show_default=False,
        ),
    ] = None,
    face_api: FaceApi = None,
    nsfwjs: Nsfwjs = None,
    privacy_images: Annotated[
        int,
        typer.Option(
            min=0, help="Training images (and as many held-out and drawn ones) compared by face embedding; 0: none."
        ),
    ] = 3000,
    draws: Annotated[int, typer.Option(min=100, help="Draws behind the card's figures on generated faces.")] = 2720,
    quiet: Quiet = False,
) -> None:
    """Put trained parts together, measure them and write the model card."""
    with exit_codes():
        from cfgan.assemble.build import build_bundle
        from cfgan.assemble.parts import Parts, gate_rule, latent_rule, not_kept
        from cfgan.data.store import open_store
        from cfgan.model.bundle import open_bundle, require_bundle_or_unused

        if measure_on is None:
            refuse_idle(context, "without --measure-on", "face_api", "nsfwjs", "privacy_images")
        if faces is False:
            refuse_idle(context, "with --no-faces", "face_api", "privacy_images")
        require_bundle_or_unused(out)
        kept = open_bundle(keep) if keep is not None else None
        store = open_store(measure_on) if measure_on is not None else None
        rules = latent_rule(kept, truncation, own_latents), gate_rule(kept, gate)
        parts = Parts(
            gan, verifier, judge, prior, kept, name, data, licence, store, guide, faces, *rules, heads, average
        )
        if kept is not None and (left := not_kept(parts)):
            for part, why in left.items():
                text = f"Warning: the {part} of {kept.name} {why} and is not kept."
                message(text, style="yellow")
        with progress_bar(quiet=quiet, unit="draws") as progress:
            built = build_bundle(
                out,
                parts,
                draws=draws,
                attached=attach or (),
                face_api=face_api,
                nsfwjs=nsfwjs,
                privacy_images=privacy_images,
                progress=progress,
            )
        if not quiet:
            console().print(f"{built.path}: {built.digest}", markup=False, soft_wrap=True)
