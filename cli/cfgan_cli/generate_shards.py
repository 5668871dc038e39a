"""``cfgan generate --shards``: who makes them, and what is said of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan_cli.output import console, message

if TYPE_CHECKING:
    from cfgan.attributes.spec import Plan
    from cfgan.generate.shards.summary import ShardSummary
    from cfgan.generate.shards.workers import OpenWorkers
    from cfgan.io.progress import Progress
    from cfgan.model.bundle import Bundle

Shards = Annotated[
    str | None,
    typer.Option(
        help="Write shards instead of a folder of images: tar (WebDataset) or parquet. --out may then be an address "
        "such as s3://bucket/faces.",
    ),
]
ShardDraws = Annotated[int | None, typer.Option(help="Draws a shard, a multiple of 32. Default: 4096.")]
Processes = Annotated[int | None, typer.Option(help="Processes that make shards, each with its share of the cores.")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="Instead, a Ray cluster: its address, auto, or local. --processes is then the number of actors.",
    ),
]


@dataclass(frozen=True)
class ShardOptions:
    """What was said of shards."""

    kind: str | None
    draws: int | None
    processes: int | None
    ray: str | None

    def check(self) -> bool:
        """Whether shards are wanted. Raises InputError for an option that only they have."""
        from cfgan.errors import InputError
        from cfgan.generate.shards.formats import require_format

        if self.kind is None:
            for option, value in (
                ("--shard-draws", self.draws),
                ("--processes", self.processes),
                ("--ray", self.ray),
            ):
                if value is not None:
                    raise InputError("needs --shards tar or --shards parquet.", field=option, value=value)
            return False
        require_format(self.kind)
        if self.processes is not None and self.processes < 1:
            raise InputError("at least 1 is needed.", field="--processes", value=self.processes, nearest=[1])
        return True

    def workers(self) -> OpenWorkers:
        """Who makes them. Raises ConfigError: Ray is wanted and not installed."""
        from cfgan.generate.shards.workers import processes

        if self.ray is not None:
            from cfgan.generate.shards.ray_workers import ray_actors

            return ray_actors(self.ray, self.processes, message)
        return processes(self.processes or 1)


def make_shards(
    bundle: Bundle,
    plan: Plan,
    out: str,
    options: ShardOptions,
    *,
    device: str,
    progress_bar: AbstractContextManager[Progress],
) -> ShardSummary:
    """Make the shards."""
    from cfgan.generate.shards.run import DRAWS, generate_shards
    from cfgan.generate.shards.store import open_shard_store

    with progress_bar as progress:
        return generate_shards(
            bundle,
            plan,
            open_shard_store(out),
            kind=options.kind or "tar",
            draws=DRAWS if options.draws is None else options.draws,
            device=device,
            workers=options.workers(),
            progress=progress,
        )


def shards_as_json(summary: ShardSummary) -> dict[str, Any]:
    """The same keys as of a batch folder, and the number of shards."""
    return {
        "out": summary.where,
        "accepted": summary.accepted,
        "wanted": summary.wanted,
        "complete": summary.complete,
        "draws": summary.draws,
        "shards": summary.shards,
        "seconds": round(summary.seconds, 3),
        "cells": summary.cells,
    }


def show_shards(summary: ShardSummary) -> None:
    """Say what came of it."""
    rate = summary.accepted / summary.seconds if summary.seconds else 0
    text = f"{summary.where}: {summary.accepted:,} faces from {summary.draws:,} draws in {summary.shards:,} shards "
    text += f"({summary.seconds:.0f} s, {rate:,.0f} faces a second)"
    console().print(text, soft_wrap=True, markup=False)
