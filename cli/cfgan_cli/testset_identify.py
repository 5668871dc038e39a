"""``cfgan testset identify``: one face against many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cfgan_cli.options import AsJson, Quiet, refuse_idle
from cfgan_cli.output import Force, console, exit_codes, message, print_json
from cfgan_cli.tables import print_table


def identify(
    context: typer.Context,
    testset: Annotated[Path, typer.Argument(help="A test set with comparisons.", metavar="DIR")],
    scores: Annotated[
        Path | None,
        typer.Argument(
            help="A matrix (.npy), probes by enrolled, or CSV or Parquet: probe, candidate, score. Without it the "
            "protocol is written to --out.",
            metavar="[SCORES]",
        ),
    ] = None,
    at: Annotated[
        list[float] | None,
        typer.Option(
            help="FPIR that thresholds are chosen for. Repeatable; by default 0.01 and 0.1.", show_default=False
        ),
    ] = None,
    rank: Annotated[
        list[int] | None,
        typer.Option(help="Candidates that are looked at. Repeatable; by default 1, 5, 20.", show_default=False),
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option(help="People enrolled. Repeatable; by default halves of all, down to ten.", show_default=False),
    ] = None,
    distance: Annotated[bool, typer.Option("--distance", help="Scores are distances: lower is more alike.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Who is in the smaller galleries.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the protocol: new or empty; with SCORES a JSON file.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Open-set identification, 1:N: FPIR and FNIR by size of the gallery, rank and threshold.

    First write the protocol: enrolled.csv and probes.csv, probes with and without an enrolled mate. Then
    score what your system returned for each probe (ISO/IEC 19795-1).
    """
    with exit_codes():
        from cfgan.errors import InputError
        from cfgan.io.folders import starts_with
        from cfgan.io.outputs import OutputFile
        from cfgan.testsets.folder import open_testset
        from cfgan.testsets.scores.candidates import read_candidates
        from cfgan.testsets.scores.identification import (
            ENROLLED,
            FORMAT,
            PROBES,
            about_file,
            identification_protocol,
            score_identification,
            write_protocol,
        )

        protocol = identification_protocol(open_testset(testset))
        mated = int((protocol.mate >= 0).sum())
        if scores is None:
            if out is None:
                raise InputError("name SCORES, or a folder for the protocol.", field="--out")
            refuse_idle(context, "without SCORES", "at", "rank", "size", "seed", "distance", "force")
            write_protocol(out, protocol)
            if as_json:
                print_json({"enrolled": len(protocol.enrolled), "probes": len(protocol.probes), "mated": mated})
            elif not quiet:
                console().print(
                    f"{out}: {len(protocol.enrolled):,} enrolled ({ENROLLED}), {mated:,} probes with a mate and "
                    f"{len(protocol.probes) - mated:,} without ({PROBES})",
                    markup=False,
                    soft_wrap=True,
                )
            return
        begins = f'{{\n "format": "{FORMAT}"'.encode()
        target = OutputFile(out, lambda path: starts_with(path, begins), force=force) if out is not None else None
        data = score_identification(
            protocol,
            read_candidates(scores, protocol, distance=distance),
            rates=tuple(at) if at else (0.01, 0.1),
            ranks=tuple(rank) if rank else (1, 5, 20),
            sizes=tuple(size) if size else (),
            seed=seed,
        )
        data["scores"] = {**about_file(scores), "direction": "distance" if distance else "similarity"}
        if distance:
            for row in data["rows"]:
                row["threshold"] = None if row["threshold"] is None else -row["threshold"]
        if target is not None:
            target.write((json.dumps(data, indent=1, allow_nan=False) + "\n").encode())
    if as_json:
        print_json(data)
    elif not quiet:
        _show(data)


def _show(data: Mapping[str, Any]) -> None:
    from rich.table import Table

    from cfgan.reports.score.words import exact, share, span

    table = Table(box=None, pad_edge=False)
    for title in ("enrolled", "rank", "threshold", "FPIR", "95 %", "FNIR", "95 %", "missed", "of"):
        table.add_column(title, justify="right")
    for row in data["rows"]:
        threshold = "none" if row["threshold"] is None else exact(row["threshold"])
        fpir = ("-", "-") if row["fpir"] is None else (share(row["fpir"]), span(row["fpir_interval"]))
        fnir = ("-", "-") if row["fnir"] is None else (share(row["fnir"]), span(row["fnir_interval"]))
        counts = f"{row['missed']:,}", f"{row['mated']:,}"
        table.add_row(f"{row['enrolled']:,}", str(row["rank"]), threshold, *fpir, *fnir, *counts)
    print_table(table, keys=(0, 1))
    if data["without_candidates"]:
        console().print(f"{data['without_candidates']:,} probes have no candidate at all.", markup=False)
    console().print(
        f"{data['probes']['nonmated']:,} probes of {data['people']['nonmated']:,} people without a mate: no FPIR under "
        f"{share(data['smallest_fpir'])} can be shown (rule of three).",
        markup=False,
        soft_wrap=True,
    )
    for note in data["notes"]:
        message(note)
