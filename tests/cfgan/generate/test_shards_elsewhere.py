"""Shards in an S3 bucket, and made by Ray: both optional, and tried where their packages are installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cfgan.attributes.spec import Plan, make_plan
from cfgan.errors import StorageError
from cfgan.generate.shards.check import check_shards
from cfgan.generate.shards.ray_workers import ray_actors
from cfgan.generate.shards.run import generate_shards
from cfgan.generate.shards.store import FolderStore, open_shard_store
from cfgan.generate.shards.workers import processes
from cfgan.model.bundle import Bundle

pytestmark = pytest.mark.slow


@pytest.fixture
def plan(tiny_bundle: Bundle) -> Plan:
    return make_plan({"attributes": "Red,-Striped", "count": 60, "seed": 3}, tiny_bundle.vocabulary)


@pytest.fixture
def calm(tiny_bundle: Bundle, plan: Plan, tmp_path: Path) -> dict[str, bytes]:
    """The files as one process makes them in a folder."""
    generate_shards(tiny_bundle, plan, FolderStore(tmp_path / "calm"), draws=32)
    return {path.name: path.read_bytes() for path in (tmp_path / "calm").iterdir()}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that speaks S3, on this machine, with a bucket."""
    pytest.importorskip("s3fs")
    server_of = pytest.importorskip("moto.server")
    import boto3
    import fsspec

    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    boto3.client("s3").create_bucket(Bucket="faces")
    yield "s3://faces/red"
    server.stop()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_bucket_holds_the_same_bytes(
    tiny_bundle: Bundle, plan: Plan, calm: dict[str, bytes], bucket: str, tmp_path: Path
) -> None:
    made = generate_shards(tiny_bundle, plan, open_shard_store(bucket), draws=32, workers=processes(2))
    store = open_shard_store(bucket)
    assert made.complete and {name: store.read(name) for name in store.sizes()} == calm
    assert check_shards(store) == []
    with pytest.raises(StorageError):
        generate_shards(tiny_bundle, plan, open_shard_store("s3://nosuchbucket/red"), draws=32)


@pytest.mark.timeout(300)
def test_actors_of_ray_make_the_same_bytes(
    tiny_bundle: Bundle, plan: Plan, calm: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")])))
    told: list[str] = []
    out = FolderStore(tmp_path / "ray")
    made = generate_shards(tiny_bundle, plan, out, draws=32, workers=ray_actors("local", 2, told.append))
    assert made.complete and told[0].startswith("Waiting for Ray")
    assert {path.name: path.read_bytes() for path in out.folder.iterdir()} == calm
