"""Shards made by the actors of a Ray cluster (https://docs.ray.io, Moritz et al., OSDI 2018)."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from cfgan.errors import ConfigError, InputError
from cfgan.generate.shards.content import Shard, ShardRecord
from cfgan.generate.shards.workers import OpenWorkers, ShardJob, ShardMaker, Workers
from cfgan.io.extras import require_package
from cfgan.io.reading import said


class _Actor:
    """Lives on a node: opens the bundle once, then makes one shard at a time."""

    def __init__(self, job: ShardJob) -> None:
        self._maker = ShardMaker(job)

    def make(self, shard: Shard) -> ShardRecord:
        return self._maker.make(shard, lambda: False)


class _Actors:
    def __init__(self, ray: Any, actors: list[Any]) -> None:
        self.slots, self._ray, self._free = len(actors), ray, actors

    def submit(self, shard: Shard) -> Future[ShardRecord]:
        actor = self._free.pop()
        future: Future[ShardRecord] = actor.make.remote(shard).future()
        future.add_done_callback(lambda _: self._free.append(actor))
        return future

    def restart(self) -> None:
        pass  # Ray restarts actors, and their tasks


def ray_actors(address: str, count: int | None, tell: Callable[[str], None]) -> OpenWorkers:
    """Actors of a cluster.

    Args:
        address: of the cluster, "auto" for the one that this machine belongs to, or "local" for a new one on it.
        count: of actors, a core each; None: as many as the cluster has cores.
        tell: is told what is waited for.

    Raises:
        ConfigError: Ray is not installed.
        InputError: the cluster does not answer.
    """
    require_package("ray", "ray", "this", field="--ray", value=address, error=ConfigError)

    @contextlib.contextmanager
    def opened(job: ShardJob, stopped: Callable[[], bool]) -> Iterator[Workers]:
        ray: Any = importlib.import_module("ray")
        tell("Waiting for Ray; a cluster of its own takes up to a minute to start on a busy machine.")
        try:
            ray.init(address=address, logging_level="ERROR", log_to_driver=False, configure_logging=False)
        except Exception as error:  # Ray raises anything when nobody answers
            raise InputError(f"{address!r} does not answer ({said(error)}).", field="--ray", value=address) from error
        try:
            cores = int(ray.cluster_resources().get("CPU", 1))
            kind = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Actor)
            yield _Actors(ray, [kind.remote(job) for _ in range(min(count or cores, cores))])
        finally:
            ray.shutdown()

    return opened
