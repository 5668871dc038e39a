"""The option that names outside networks, and the tables of realism and fidelity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan_cli.output import console, message, percent
from cfgan_cli.tables import new_table, print_table

if TYPE_CHECKING:
    from cfgan.evaluation.extractors import Extractor

Nsfwjs = Annotated[
    Path | None,
    typer.Option(
        "--nsfwjs",
        envvar="CFGAN_NSFWJS",
        help="The unpacked npm package nsfwjs@4.4.0, whose two networks take no part in any training: realism is "
        "measured over them. Without it: over EfficientNet-Lite0.",
    ),
]
"""The option that names the folder of ``nsfwjs``."""

_READERS = ("judge", "verifier")


def open_outside(wanted: bool, nsfwjs: Path | None, device: str) -> list[Extractor]:
    """The networks that realism is measured over; none, with a line on stderr, where what they need is missing.

    Raises:
        InputError: the folder is not the package.
    """
    if not wanted:
        return []
    from cfgan.errors import ConfigError
    from cfgan.evaluation.extractor_names import realism_extractors
    from cfgan.model.engines import torch_device

    try:
        return realism_extractors(nsfwjs, torch_device(device))
    except ConfigError as error:
        message(f"No realism over outside networks, which need --nsfwjs or the extra: {error}", style="yellow")
        return []


def show_realism(card: Mapping[str, Any]) -> None:
    """KID, Fréchet distance and probe over outside networks and of crops, each beside that of real images; faces."""
    realism = card["realism"]
    rows = [*realism["networks"].values(), *realism["crops"].values()]
    if rows:
        shown = new_table("realism over", "n", "KID x 1000", "(real)", "FD", "(real)", "probe AUC", "(real)", "")
        for row in rows:
            shown.add_row(
                row["extractor"],
                f"{row['n']:,}",
                f"{1000 * row['kid']:.2f} +- {1000 * row['kid_error']:.2f}",
                f"({_figure(1000 * row['kid_floor'])})",
                _figure(row["distance"]),
                f"({_figure(row['distance_floor'])})",
                _figure(row["probe_auc"], 3),
                f"({_figure(row['probe_auc_floor'], 3)})",
                "took part in training" if row["in_training"] else "",
            )
        print_table(shown)
    if found := realism.get("faces"):
        console().print(
            f"\n{found['name']} finds a face in {percent(found['faces'] / found['n'])} of {found['n']:,} draws, "
            f"in {percent(found['real_faces'] / found['n'])} of as many real images"
        )


def show_fidelity(card: Mapping[str, Any]) -> None:
    """Distances over named features; those of the bundle's classifiers apart, for they hardly see faults."""
    figures = card["fidelity"]
    for title, names in (
        ("fidelity over", [name for name in figures if name not in _READERS]),
        ("what the readers see", [name for name in figures if name in _READERS]),
    ):
        if not names:
            continue
        shown = new_table(
            f"\n{title}", *(f"\n{each}" for each in ("n", "distance", "(real)", "KID x 1000")),
            *(f"\n{each}" for each in ("precision", "recall", "coverage")),
        )  # fmt: skip
        for row in (figures[name] for name in names):
            shown.add_row(
                row["distance_name"],
                f"{row['n']:,}",
                f"{row['distance']:.2f}",
                f"({_figure(row['floor'])})",
                f"{1000 * row['kid']:.2f} +- {1000 * row['kid_error']:.2f}",
                *(percent(row[key]) for key in ("precision", "recall", "coverage")),
            )
        print_table(shown)


def _figure(value: float, digits: int = 2) -> str:
    return "-" if value != value else f"{value:.{digits}f}"
