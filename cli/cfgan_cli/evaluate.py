"""``cfgan evaluate``: how far a bundle's unfiltered faces are what was asked for."""

from __future__ import annotations

from typing import Annotated

import typer

from cfgan_cli.output import console, exit_codes, percent, print_json, progress_bar


def evaluate(
    bundle: Annotated[str, typer.Argument(help="A shipped bundle's name, or a folder.")] = "celeba64",
    draws: Annotated[int, typer.Option("--draws", "-n", min=100, help="Draws to measure.")] = 2720,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Measure unfiltered attribute accuracy on requests drawn from the prior, by the bundle's verifier.

    Nothing is filtered, but the verifier is also the gate of `cfgan generate`: these figures say how often a draw
    passes it, not how good the verifier is. The model card has its figures on real faces.
    """
    with exit_codes():
        from cfgan.bundle import open_bundle
        from cfgan.evaluation.accuracy import plain, unfiltered_accuracy

        opened = open_bundle(bundle)
        with progress_bar(quiet=quiet or as_json, unit="draws") as update:
            table = unfiltered_accuracy(
                opened, draws, seed, progress=lambda done, total: update("drawing", done, total, "")
            )
        if as_json:
            print_json({"bundle": opened.name, "digest": opened.digest, "draws": draws, "seed": seed, **plain(table)})
            return
        from rich.table import Table

        shown = Table(box=None, pad_edge=False)
        for title in ("attribute", "asked for", "seen when asked for", "95 %", "unseen when not", "95 %", "balanced"):
            shown.add_column(title, justify="left" if title == "attribute" else "right")
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
        console().print(shown)
        console().print(
            f"\nmean agreement {percent(table['agreement'])}, mean balanced {percent(table['balanced'])}, "
            f"{draws:,} unfiltered draws, by the bundle's verifier at its thresholds"
        )


def _interval(pair: list[float]) -> str:
    return "-" if pair[0] != pair[0] else f"{100 * pair[0]:.0f}-{100 * pair[1]:.0f}"
