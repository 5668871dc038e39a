from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import SMALL, small_store

from cfgan.data.store import PackedDataset
from cfgan.training.config import GanConfig, make_config
from cfgan.training.data import load_split
from cfgan.training.gan import train_gan
from cfgan.training.networks import gan_shape, make_networks
from cfgan.training.state import step_generator
from cfgan.training.step import Inputs, discriminator_loss, draw_inputs, generator_loss

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")

WORKER = """
import sys, json
from pathlib import Path
import torch
from cfgan.data.store import open_store
from cfgan.training.config import GanConfig, make_config
from cfgan.training.data import load_split
from cfgan.training.distributed import init_distributed
from cfgan.training.networks import gan_shape, make_networks
from cfgan.training.state import step_generator
from cfgan.training.step import average_gradients, discriminator_loss, draw_inputs, generator_loss

settings, store, out = json.loads(sys.argv[1]), open_store(Path(sys.argv[2])), Path(sys.argv[3])
with init_distributed("cpu") as group:
    torch.set_num_threads(1)
    config = make_config(GanConfig, settings)
    networks = make_networks(config, gan_shape(config, 3, 16), group.device)
    train = load_split(store, "train", group.device)
    rng = step_generator(config.seed, group.rank, 0)
    inputs = draw_inputs(train, torch.ones(len(train)), config, rng)
    fake = networks.generator(inputs.z, inputs.condition)
    found = {}
    for name, optimizer, loss in (
        ("d", networks.optimizer_d, lambda: discriminator_loss(networks, inputs, fake.detach(), config, 0, rng)),
        ("g", networks.optimizer_g, lambda: generator_loss(networks, inputs, fake, config, rng)),
    ):
        optimizer.zero_grad()
        loss()[0].backward()
        average_gradients(optimizer)
        found |= {f"{name}{i}": p.grad for i, p in enumerate(optimizer.param_groups[0]["params"])}
    found |= {f"running{i}": b for i, b in enumerate(networks.generator.buffers())}
    torch.save(found, out / f"rank{group.rank}.pt")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    return small_store(tmp_path_factory.mktemp("distributed"))


def start_two(arguments: list[str]) -> None:
    """Run a command as two processes that find each other, as torchrun does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    shared["GLOO_SOCKET_IFNAME"] = "lo"
    ranks = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={**shared, "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for rank in ("0", "1")
    ]
    errors = [process.communicate(timeout=240)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], errors


@pytest.mark.parametrize("family", ["dcgan", "residual"])
def test_gradients_of_two_processes_are_those_of_one_with_twice_the_batch(
    store: PackedDataset, tmp_path: Path, family: str
) -> None:
    settings = SMALL | {"augment": [], "family": family, "r1_gamma": 1.0, "r2_gamma": 1.0}
    start_two(["-c", WORKER, json.dumps(settings), str(store.path), str(tmp_path)])
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    torch.testing.assert_close(first, second, rtol=0, atol=0)  # the processes stay the same

    config = make_config(GanConfig, settings)
    networks = make_networks(config, gan_shape(config, 3, 16), CPU)
    train = load_split(store, "train", CPU)
    parts = [draw_inputs(train, torch.ones(len(train)), config, step_generator(config.seed, r, 0)) for r in (0, 1)]
    both = Inputs(*(torch.cat([getattr(p, key) for p in parts]) for key in ("real", "labels", "condition", "z")))
    fake = networks.generator(both.z, both.condition)
    rng = torch.Generator()
    loss, figures = discriminator_loss(networks, both, fake.detach(), config, 0, rng)
    assert {"r1", "r2"} <= set(figures)  # a step with penalties
    loss.backward()
    generator_loss(networks, both, fake, config, rng)[0].backward()
    for name, optimizer in (("d", networks.optimizer_d), ("g", networks.optimizer_g)):
        for i, p in enumerate(optimizer.param_groups[0]["params"]):
            torch.testing.assert_close(first[f"{name}{i}"], p.grad, rtol=2e-4, atol=2e-6)
    for i, buffer in enumerate(networks.generator.buffers()):
        torch.testing.assert_close(first[f"running{i}"], buffer)


def test_two_processes_train_one_run_and_one_process_goes_on_with_it(store: PackedDataset, tmp_path: Path) -> None:
    settings = [f"{key}={json.dumps(value)}" for key, value in SMALL.items()]
    sets = [word for setting in settings for word in ("--set", setting)]
    run = tmp_path / "run"
    start_two(["-m", "cfgan_cli.main", "train", "gan", "--data", str(store.path), "--out", str(run), "--quiet", *sets])
    seen = [json.loads(line)["images"] for line in (run / "stats.jsonl").read_text().splitlines()]
    assert seen == [8, 16, 24, 32, 40, 48]  # two processes, four images each, counted together and written once
    train_gan(store, run, make_config(GanConfig, SMALL | {"images": 56}))
    assert json.loads((run / "model.json").read_text())["images"] == 56
