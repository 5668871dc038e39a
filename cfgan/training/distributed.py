"""Several processes that train one model together, as ``torchrun`` starts them.

Every process draws its own part of a step from (seed, rank, images seen); gradients are averaged in one flat all-reduce
after each backward, so all of them take the same step. Only the first process writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import distributed

from cfgan.errors import ConfigError
from cfgan.networks.devices import pick_device


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; all of them get the same answer."""
        if self.size == 1:
            return flag
        asked = torch.tensor(float(flag), device=self.device)
        distributed.all_reduce(asked, op=distributed.ReduceOp.MAX)
        return bool(asked)

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            distributed.barrier()

    def share(self, value: float) -> float:
        """The first process's value, in every process."""
        if self.size == 1:
            return value
        held = torch.tensor(value, device=self.device, dtype=torch.float64)
        distributed.broadcast(held, 0)
        return float(held)


@contextlib.contextmanager
def init_distributed(device: str) -> Iterator[ProcessGroup]:
    """Join the processes that ``torchrun`` started; alone without it.

    Raises:
        ConfigError: there are more processes on this machine than GPUs.
        InputError: the device cannot be used.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if size == 1:
        yield ProcessGroup(0, 1, pick_device(device))
        return
    local = int(os.environ.get("LOCAL_RANK", str(rank)))
    chosen = pick_device(device)
    if chosen.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"there are {torch.cuda.device_count()} GPUs for process {local + 1}; start fewer processes.",
                field="device",
                value=device,
            )
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(rank, size, chosen)
    finally:
        distributed.destroy_process_group()
