"""A bundle's networks in onnxruntime: graphs beside the weights, which they refer to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import onnxruntime

from cfgan.errors import BundleError, InputError
from cfgan.io.reading import library_errors
from cfgan.model.bundle import Bundle
from cfgan.model.cores import cores
from cfgan.model.engine import CPU_BATCH, GPU_BATCH, Floats, Levels, Workers

_ERROR = 3  # of onnxruntime's log levels: what it has to say about a graph is no business of the user's
_PIXELS = 1 << 17  # drawn at a time on a CPU: what lies between two layers is held for all of them
_MAX_GRAPH = 1 << 23  # bytes; the weights are not in it


class OnnxGenerator:
    """A generator as a function of arrays; ``piece`` images at a time are drawn, which changes none of their bytes."""

    def __init__(self, session: Any, piece: int) -> None:
        self._session, self._piece = session, piece

    def __call__(self, latents: Floats, conditions: Floats) -> Levels:
        pieces = range(0, max(1, len(latents)), self._piece)
        drawn = [self._draw(latents[k : k + self._piece], conditions[k : k + self._piece]) for k in pieces]
        return drawn[0] if len(drawn) == 1 else np.concatenate(drawn)

    def _draw(self, latents: Floats, conditions: Floats) -> Levels:
        (levels,) = self._session.run(["levels"], {"latent": latents, "condition": conditions})
        return np.asarray(levels, np.uint8)


class OnnxNetwork:
    """A classifier as a function of arrays; ``open_session`` makes one for a number of threads."""

    def __init__(self, open_session: Callable[[int], Any], threads: int, gpu: bool) -> None:
        self._open, self._threads, self._gpu = open_session, threads, gpu
        self._session = open_session(threads)

    def logits(self, levels: Levels) -> Floats:
        return self._run("logits", levels)

    def features(self, levels: Levels) -> Floats:
        return self._run("features", levels)

    @contextmanager
    def workers(self) -> Iterator[Workers]:
        """On a CPU as many as there are cores, each by itself, so that they need not wait for each other."""
        if self._gpu or self._threads == 1:
            yield Workers(self, 1, lambda: None, GPU_BATCH if self._gpu else CPU_BATCH)
        else:
            yield Workers(OnnxNetwork(self._open, 1, False), self._threads, lambda: None, CPU_BATCH)

    def _run(self, output: str, levels: Levels) -> Floats:
        (found,) = self._session.run([output], {"levels": np.ascontiguousarray(levels)})
        return np.asarray(found, np.float32)


class OnnxEngine:
    """See :class:`cfgan.model.engine.Engine`. Raises InputError: the device cannot be used."""

    name = "onnxruntime"

    def __init__(self, bundle: Bundle, device: str) -> None:
        self._bundle, self._threads, self._providers = bundle, _threads(), _providers(device)
        self._generator: OnnxGenerator | None = None
        self._classifiers: dict[str, OnnxNetwork] = {}

    @property
    def batch_invariant(self) -> bool:
        """On a CPU each image of a batch goes through the same sums in the same order (test_engines.py)."""
        return len(self._providers) == 1

    def generator(self) -> OnnxGenerator:
        if self._generator is None:
            shape = self._bundle.shape
            inputs = {"latent": [shape.z_dim], "condition": [shape.attributes]}
            session = _open(self._bundle, self._providers, "generator", inputs, self._threads)
            few = max(1, _PIXELS // shape.size**2) if self.batch_invariant else GPU_BATCH
            self._generator = OnnxGenerator(session, few)
        return self._generator

    def classifier(self, role: str) -> OnnxNetwork:
        if role not in self._classifiers:
            size = self._bundle.size
            open_session = partial(_open, self._bundle, self._providers, role, {"levels": [3, size, size]})
            self._classifiers[role] = OnnxNetwork(open_session, self._threads, len(self._providers) > 1)
        return self._classifiers[role]


def _open(bundle: Bundle, providers: list[Any], part: str, inputs: dict[str, list[int]], threads: int) -> Any:
    """A session; it knows of no engine, so that an engine that nobody holds is gone at once, and its memory with it."""
    path = bundle.file(f"{part}.onnx")
    bundle.file(f"{part}.safetensors")  # which the graph refers to
    if path.stat().st_size > _MAX_GRAPH:
        raise BundleError(f"bundle {bundle.path}: {path.name} is larger than a graph without weights can be.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERROR
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the core alone
    with library_errors(path, lambda text: BundleError(f"bundle {bundle.path}: {part}.onnx does not load: {text}")):
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    found = {given.name: list(given.shape[1:]) for given in session.get_inputs()}
    if found != inputs:
        raise BundleError(f"bundle {bundle.path}: {part}.onnx is not the graph of its network ({found}).")
    return session


def _threads() -> int:
    """Threads of one run: as many as the process may use, or as OMP_NUM_THREADS says, which torch reads too."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and int(said):
        return int(said)
    return cores()


def _providers(device: str) -> list[Any]:
    """What onnxruntime computes with on a device. Raises InputError: it cannot be used."""
    cpu, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    there = onnxruntime.get_available_providers()
    kind, _, number = device.partition(":")
    if kind == "cpu" and not number or (kind == "auto" and cuda not in there):
        return [cpu]
    if kind == "auto" or (kind == "cuda" and cuda in there and (not number or number.isdecimal())):
        return [(cuda, {"device_id": int(number or 0)}), cpu]
    raise InputError(
        f"{device!r} cannot be used by onnxruntime here ({', '.join(there)}).",
        field="device",
        value=device,
        nearest=["cpu"],
    )
