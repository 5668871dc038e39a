"""Weights from a file into a network of a stated shape, where neither is trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torch.overrides import TorchFunctionMode

from cfgan.networks.classifier import load_frozen

M = TypeVar("M", bound=nn.Module)


def load_network(path: Path, make: Callable[[], M]) -> M:
    """Build a network and load its weights, ready for inference.

    What the network would hold is compared with what the file says that it holds first, so that a stated shape costs
    no more memory than there are weights for it.

    Args:
        path: a safetensors file.
        make: builds the network.

    Raises:
        ValueError: names or shapes differ; names the first.
        RuntimeError, OSError, SafetensorError, ...: as torch and safetensors have it.
    """
    with safe_open(path, framework="np") as file:
        held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    with torch.device("meta"), _ShapesAlone():  # shapes alone
        wanted = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    for name in [*wanted, *held]:
        if held.get(name) != wanted.get(name):
            raise ValueError(f"{name} has the shape {held.get(name)}, not {wanted.get(name)}")
    network = make()
    load_frozen(network, load_file(path))
    return network


_DRAWS = (torch.Tensor.normal_, torch.Tensor.uniform_)


class _ShapesAlone(TorchFunctionMode):
    """Networks are built without drawing their first weights.

    Where there are only shapes torch has no kernel for that, and loads its compiler to do without: three seconds of a
    process that compiles nothing. (It still does for a spectral norm, which only training needs.)
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _DRAWS or getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else next(iter(given.values()))
        return func(*args, **given)


def same_each_time(make: Callable[[], M]) -> M:
    """A fresh network whose first weights do not depend on what was drawn before, and do not change what is drawn
    after."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # the CPU's alone
        return make()
