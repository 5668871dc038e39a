"""Shards as Python sees them: what is too large for a folder of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfgan.api.model import Model, ran_out, warn
from cfgan.api.plans import Request, plan_of, settings_of
from cfgan.api.words import in_python
from cfgan.io.progress import Progress

if TYPE_CHECKING:
    from cfgan.generate.shards.summary import ShardSummary


@in_python(attrs="request", shards="kind", shard_draws="draws")
def write_shards(
    model: Model,
    request: Request | None = None,
    *,
    out: str | Path,
    count: int | None = None,
    spec: str | Path | Mapping[str, Any] | None = None,
    seed: int | None = None,
    kind: str = "tar",
    draws: int | None = None,
    processes: int = 1,
    ray: str | None = None,
    progress: Progress | None = None,
) -> ShardSummary:
    """Make many faces as tar (WebDataset) or Parquet shards, in a folder or a bucket; the same call goes on.

    The faces are those of :meth:`cfgan.Model.generate` with the same request and seed, and the files are the same bytes
    whoever makes them. With ``processes`` above 1 a script needs its ``if __name__ == "__main__":``.

    Args:
        model: what draws.
        request: as for :meth:`cfgan.Model.generate`.
        out: a folder, or an address such as ``s3://bucket/faces``.
        count: faces wanted; 32 by default.
        spec: instead of a request, a spec file, the name of a shipped one, or what such a file holds.
        seed: 0 by default.
        kind: "tar" or "parquet".
        draws: a shard, a multiple of 32; 4,096 by default.
        processes: that make shards; with ``ray``, actors.
        ray: address of a Ray cluster, "auto", or "local".
        progress: called with stage, done, total and a remark.

    Returns:
        What came of it: ``accepted``, ``wanted``, ``draws``, ``shards``, ``complete``, ``cells``.

    Raises:
        InputError: request, spec, setting or place cannot be used.
        ConfigError: an extra is missing.
        StorageError: the disk or the bucket refused; what is stored stays.
        StoppedError: Ctrl-C; the same call goes on from there.

    Example:
        >>> made = cfgan.write_shards(model, "Red,-Cat", out="shards", count=40, draws=32)
        >>> made.accepted, made.complete
        (40, True)
    """
    from cfgan.generate.shards.ray_workers import ray_actors
    from cfgan.generate.shards.run import DRAWS, generate_shards
    from cfgan.generate.shards.store import open_shard_store
    from cfgan.generate.shards.workers import processes as several

    settings = settings_of(count, seed, None, None, None, None, None, True, None, None)
    plan = plan_of(model.bundle.vocabulary, model.bundle.latents, request, spec, settings)
    if ray is not None:
        workers = ray_actors(ray, processes if processes > 1 else None, lambda _: None)
    else:
        workers = several(max(1, processes))
    store = open_shard_store(out)
    made = generate_shards(
        model.bundle,
        plan,
        store,
        kind=kind,
        draws=DRAWS if draws is None else draws,
        device=model.device,
        workers=workers,
        progress=progress,
    )
    if not made.complete:
        warn([ran_out(made.accepted, made.wanted, made.draws)], level=4)
    return made
