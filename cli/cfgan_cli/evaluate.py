"""``cfgan evaluate``: how good a bundle's faces are, and how often unfiltered ones show what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan.io.progress import Progress
from cfgan.model.default import DEFAULT
from cfgan_cli.external import ExternalClassifiers, FaceApi, Witness, open_if
from cfgan_cli.options import AsJson, BundleArgument, Device, EngineName, on, refuse_idle
from cfgan_cli.output import Force, console, exit_codes, message, percent, print_json, progress_bar
from cfgan_cli.realism import Nsfwjs, open_outside, show_fidelity, show_realism
from cfgan_cli.tables import new_table, print_table

if TYPE_CHECKING:
    from cfgan.model.bundle import Bundle


_OF_DATA = (
    *("split", "extractor", "inception_weights", "attrs", "each", "detector", "privacy_images"),
    *("external", "witness", "face_api", "nsfwjs", "realism"),
)
"""Parameters that say how a bundle is measured against real images."""


def evaluate(
    context: typer.Context,
    bundle: BundleArgument = DEFAULT,
    data: Annotated[
        Path | None, typer.Option("--data", help="A packed store of real images: measure everything against them.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of --data: validation, test or train.")] = "validation",
    extractor: Annotated[
        list[str] | None,
        typer.Option(help="Features for fidelity: {extractors}. Repeatable."),
    ] = None,
    inception_weights: Annotated[
        Path | None, typer.Option("--inception-weights", help="The published file, for the extractor inception.")
    ] = None,
    attrs: Annotated[
        list[str] | None, typer.Option("--attrs", help="A whole request to measure, such as Male,Smiling. Repeatable.")
    ] = None,
    each: Annotated[int, typer.Option(min=2, help="Draws for and against each attribute alone.")] = 34,
    detector: Annotated[
        bool | None,
        typer.Option(
            help="Count in how many draws a face detector finds a face. Default: where the bundle is of faces."
        ),
    ] = None,
    privacy_images: Annotated[
        int,
        typer.Option(min=0, help="Of --data: training images (and as many draws) compared by face embedding; 0: none."),
    ] = 3000,
    external: ExternalClassifiers = False,
    witness: Witness = False,
    face_api: FaceApi = None,
    nsfwjs: Nsfwjs = None,
    realism: Annotated[
        bool, typer.Option(help="Of --data: realism over networks that took no part; see --nsfwjs.")
    ] = True,
    draws: Annotated[int, typer.Option("--draws", "-n", min=100, help="Draws to measure.")] = 2720,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same draws.")] = 0,
    engine: EngineName = "auto",
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write everything as one JSON file.")] = None,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Measure a bundle. Nothing is filtered.

    Without --data: how often requests drawn from the prior are met, by the bundle's verifier. With --data: realism over
    networks that took no part (KID, Fréchet distance, a linear probe, faces found, eyes, mouth and background alone),
    fidelity over named features, requests as in the data, balanced and rare, by verifier and judge beside their own
    rates on real faces, and diversity.
    """
    with exit_codes():
        device = on(engine, device)
        if data is None:
            refuse_idle(context, "without --data", *_OF_DATA)
        if not (external or witness):
            refuse_idle(context, "without --external", "face_api")
        if not realism:
            refuse_idle(context, "with --no-realism", "nsfwjs")
        from cfgan.evaluation.accuracy import plain
        from cfgan.evaluation.result import result_file, write_result
        from cfgan.model.bundle import open_bundle

        target = None if out is None else result_file(out, force=force)
        opened = open_bundle(bundle)
        look_for_faces = opened.of_faces if detector is None else detector
        with progress_bar(quiet=quiet or as_json, unit="draws") as progress:
            if data is None:
                result = _by_verifier(opened, draws, seed, device, progress)
            else:
                result = _against(
                    opened,
                    data,
                    {"draws": draws, "each": each, "split": split, "seed": seed, "privacy_images": privacy_images},
                    extractor or ["judge" if "judge" in opened.config else "verifier"],
                    inception_weights,
                    attrs,
                    lambda: {
                        **_lookers(
                            look_for_faces, privacy_images if opened.of_faces else 0, external or witness, face_api
                        ),
                        "outside": open_outside(realism, nsfwjs, device),
                    },
                    device,
                    progress,
                )
        if target is not None:
            write_result(target, plain(result))
        if as_json:
            print_json(plain(result))
        elif data is None:
            _show_accuracy(result)
        else:
            _show_card(result)


def _by_verifier(bundle: Bundle, draws: int, seed: int, device: str, progress: Progress) -> dict[str, Any]:
    from cfgan.evaluation.accuracy import unfiltered_accuracy
    from cfgan.evaluation.result import FORMAT

    table = unfiltered_accuracy(bundle, draws, seed, device=device, progress=progress)
    return {"format": FORMAT, "bundle": bundle.name, "digest": bundle.digest, "draws": draws, "seed": seed, **table}


def _against(
    bundle: Bundle,
    data: Path,
    counts: Mapping[str, Any],
    extractors: list[str],
    inception_weights: Path | None,
    attrs: list[str] | None,
    lookers: Callable[[], dict[str, Any]],
    device: str,
    progress: Progress,
) -> dict[str, Any]:
    from cfgan.attributes.request import parse_request
    from cfgan.data.labelled_images import SPLITS
    from cfgan.data.store import open_store
    from cfgan.errors import InputError, nearest

    if counts["split"] not in SPLITS:
        raise InputError(
            f"there is no split {counts['split']!r}.",
            field="--split",
            value=counts["split"],
            nearest=nearest(counts["split"], SPLITS),
        )
    requests = [parse_request(text, bundle.vocabulary, field="--attrs") for text in attrs or ()]
    store = open_store(data)

    from cfgan.evaluation.card import Plan, default_requests, measure
    from cfgan.evaluation.extractor_names import extractors_for
    from cfgan.model.engines import torch_device

    plan = Plan(**counts, requests=tuple(requests) or default_requests(bundle))
    opened = extractors_for(bundle, extractors, torch_device(device), inception_weights)
    return measure(bundle, store, plan, opened, **lookers(), device=device, progress=progress)


def _lookers(detector: bool, privacy_images: int, external: bool, face_api: Path | None) -> dict[str, Any]:
    """What looks at the faces beside the bundle's own classifiers, as arguments of ``measure``."""
    from cfgan.errors import ConfigError
    from cfgan.evaluation.identity import IdentityExtractor
    from cfgan.external.detector import FaceDetector

    found: dict[str, Any] = {"detector": FaceDetector() if detector else None}
    if privacy_images:
        try:
            found["identity"] = IdentityExtractor()
        except ConfigError as error:
            message(f"No comparison with training images by face embedding: {error}", style="yellow")
    return {**found, "external_classifiers": open_if(external, face_api)[0] or ()}


def _show_accuracy(table: Mapping[str, Any]) -> None:
    shown = new_table("attribute", "asked for", "seen when asked for", "95 %", "unseen when not", "95 %", "balanced")
    for name, row in table["attributes"].items():
        shown.add_row(
            name,
            f"{row['asked']:,}",
            percent(row["yes"]),
            _interval(row["yes_interval"]),
            percent(row["no"]),
            _interval(row["no_interval"]),
            percent(row["balanced"]),
        )
    print_table(shown)
    console().print(
        f"\nmean agreement {percent(table['agreement'])}, mean balanced {percent(table['balanced'])}, "
        f"{table['draws']:,} unfiltered draws, by the bundle's verifier at its thresholds"
    )


def _show_card(card: Mapping[str, Any]) -> None:
    """Realism, fidelity, then what each reader says; rates on real faces stand beside those on generated ones."""
    out = console()
    show_realism(card)
    show_fidelity(card)
    if "diversity" in card:
        row = card["diversity"]
        out.print(
            f"diversity inside a single-attribute request, against real faces with that label: "
            f"{percent(row['ratio'])} on average, least {percent(row['least']['ratio'])} ({row['least']['attribute']})"
        )
    for key in ("memorisation", "privacy"):
        if row := card.get(key):
            low, high = map(percent, row["interval"])
            out.print(
                f"nearer to one of {row['training_images']:,} training images, by {row['extractor']}, than all but "
                f"{row['nearer']:,} of {row['n_held_out']:,} held-out real faces are: {percent(row['share_closer'])} "
                f"({low} to {high}) of {row['n']:,} draws ({100 * row['expected']:.2g} % is expected of faces that are "
                "no copies)"
            )
    for name, row in card.get("witnesses", {}).items():
        parts = [
            f"{percent(row[word]['rate'])} ({_interval(row[word]['interval'])}; real {percent(row[word]['ceiling'])})"
            for word in ("yes", "no")
        ]
        out.print(
            f"external classifier {name}: {row['attribute']} seen in {parts[0]} of {row['yes']['n']:,} draws that were "
            f"to have it, unseen in {parts[1]} of {row['no']['n']:,} others; no face found in {row['unsaid']:,}"
        )
    readers = list(card["accuracy"])
    for title, key in (("requests as in the data: mean agreement", "agreement"), ("mean balanced", "balanced")):
        ceiling = "ceiling" if key == "agreement" else "balanced_ceiling"
        parts = [
            f"{reader} {percent(card['accuracy'][reader]['prior'][key])} "
            f"(real {percent(card['accuracy'][reader]['prior'][ceiling])})"
            for reader in readers
        ]
        out.print(f"{title}: {', '.join(parts)}")
    for reader in readers:
        row = card["accuracy"][reader]["rare"]["exact"]
        out.print(
            f"rare pairs, both seen, by the {reader}: {percent(row['rate'])} ({_interval(row['interval'])}) "
            f"of {row['n']:,} draws"
        )
    columns = [f"{reader} {word}" for reader in readers for word in ("draws", "real")]
    shown = new_table("\nwhole request, all seen", *(f"\n{column}" for column in columns))
    for text in next(iter(card["accuracy"].values()))["requests"]:
        cells = []
        for reader in readers:
            row = card["accuracy"][reader]["requests"][text]
            cells += [
                f"{percent(row['rate'])} ({_interval(row['interval'])})",
                f"{percent(row['ceiling'])} of {row['real']}",
            ]
        shown.add_row(text, *cells)
    if shown.row_count:
        print_table(shown)
    titles = (f"\n{reader} {word}" for reader in readers for word in ("seen", "(real)", "unseen", "(real)"))
    shown = new_table("\none attribute", *titles)
    for name in next(iter(card["accuracy"].values()))["single"]:
        cells = []
        for reader in readers:
            row = card["accuracy"][reader]["single"][name]
            for word in ("yes", "no"):
                cells += [percent(row[word]["rate"]), f"({percent(row[word]['ceiling'])})"]
        shown.add_row(name, *cells)
    print_table(shown)


def _interval(pair: list[float]) -> str:
    return "-" if pair[0] != pair[0] else f"{100 * pair[0]:.0f}-{100 * pair[1]:.0f}"
