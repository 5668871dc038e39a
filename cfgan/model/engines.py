"""Choosing what a bundle computes with."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cfgan.errors import ConfigError, InputError, unknown
from cfgan.model.bundle import Bundle
from cfgan.model.engine import Engine

if TYPE_CHECKING:
    import torch

ENGINES = ("auto", "onnxruntime", "torch")


def open_engine(bundle: Bundle, device: str | Engine = "auto") -> Engine:
    """What a bundle computes with.

    Args:
        bundle: the model.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N"; with an engine before it where that
            matters: "torch:cuda:0", "onnxruntime:cpu", "torch:auto". By itself the engine is onnxruntime where it is
            installed and the bundle has graphs for it, and torch on a GPU or where it is not. An engine of this bundle
            that is open already is given back, with what it has loaded.

    Raises:
        InputError: there is no such engine or device, or the bundle has no graphs for onnxruntime.
        ConfigError: an extra is missing.
    """
    if not isinstance(device, str):
        return device
    wanted, place = split_device(device)
    chosen = _choose(bundle, place) if wanted == "auto" else wanted
    if chosen == "torch":
        if importlib.util.find_spec("torch") is None:
            raise ConfigError(f"{_why_torch(bundle)} needs torch: pip install 'cfgan[train]'.", field="engine")
        from cfgan.model.torch_engine import TorchEngine

        return TorchEngine(bundle, place)
    if importlib.util.find_spec("onnxruntime") is None:
        raise ConfigError("the engine onnxruntime is not installed: pip install onnxruntime.", field="engine")
    if not has_graphs(bundle):
        raise InputError(
            f"{bundle.name} has no graphs for onnxruntime: it was built without, or its generator is of a family that "
            "has none.",
            field="engine",
            value="onnxruntime",
            nearest=["torch"],
        )
    from cfgan.model.onnx_engine import OnnxEngine

    return OnnxEngine(bundle, place)


def split_device(device: str) -> tuple[str, str]:
    """ "torch:cuda:0" to ("torch", "cuda:0"); without an engine before it, the engine is "auto".

    Raises:
        InputError: there is no such engine.
    """
    first, _, rest = device.partition(":")
    if first in ("cpu", "cuda") or device == "auto":
        return "auto", device
    if first not in ENGINES:
        raise unknown("engine or device", first, [*ENGINES, "cpu", "cuda"], field="device")
    return first, rest or "auto"


def torch_device(device: str) -> torch.device:
    """Where networks that are not a bundle's compute, whatever its engine: they are torch's. Raises as
    :func:`split_device` and :func:`cfgan.networks.devices.pick_device`."""
    from cfgan.networks.devices import pick_device

    return pick_device(split_device(device)[1])


def _choose(bundle: Bundle, place: str) -> str:
    """The engine, where a person leaves it open."""
    torch, onnxruntime = (importlib.util.find_spec(name) is not None for name in ("torch", "onnxruntime"))
    if torch and (place.startswith("cuda") or (place == "auto" and _has_gpu())):
        return "torch"
    return "onnxruntime" if onnxruntime and has_graphs(bundle) else "torch"


def _has_gpu() -> bool:
    """Whether torch is worth asking for a GPU, which takes seconds."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def has_graphs(bundle: Bundle) -> bool:
    """Whether a bundle draws and reads without torch."""
    return all(f"{part}.onnx" in bundle.sums for part in ("generator", *bundle.classifiers))


def _why_torch(bundle: Bundle) -> str:
    return "the engine torch" if has_graphs(bundle) else f"{bundle.name}, which has no graphs for onnxruntime,"
