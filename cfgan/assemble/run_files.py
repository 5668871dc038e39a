"""Reading the folder of a training run that a bundle is built from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch

from cfgan.errors import InputError, unknown
from cfgan.io.files import read_json_object
from cfgan.io.reading import library_errors, load_arrays, read_regular, reason
from cfgan.io.yaml import parse_yaml, read_text_limited

Floats = npt.NDArray[np.floating[Any]]

_MOST = 1 << 33  # bytes of a file of weights
_PATHS = ("guide", "features", "start")  # settings that name a folder: of a path only the last part is told
_LOCAL = {"images", "epochs", "least_images", "threads", "device"}
_LOCAL |= {"save_images", "sample_images", "log_images", "tensorboard", "kind"}


def read_about(run: Path, field: str, kind: str) -> dict[str, Any]:
    """``model.json`` of a finished run of a kind: "gan", "classifier", "judge" or "encoder". Raises InputError."""
    try:
        about = read_json_object(run / "model.json")
        if about["kind"] != kind:
            raise ValueError(f"it is a {about['kind']} run")
        return {**about, "vocabulary": {**about["vocabulary"]}, "shape": {**about["shape"]}}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run} holds no trained {kind} ({error}).", field=field, value=run) from None


def read_weights(run: Path, about: dict[str, Any], name: str) -> bytes:
    """The bytes of a file that a run made, compared with the sum that its ``model.json`` has of it.

    Raises:
        InputError: missing or changed.
    """
    data = read_file(run / name)
    sums = about.get("sha256", {})  # runs of older versions have none
    if name in sums and hashlib.sha256(data).hexdigest() != sums[name]:
        raise InputError(f"{run / name} is not as model.json says.", field=Path(name).stem, value=run / name)
    return data


def read_file(path: Path) -> bytes:
    """The bytes of a file of a run or a bundle. Raises InputError."""
    try:
        return read_regular(path, _MOST)
    except OSError as error:
        raise InputError(f"{path} {reason(error)}.", field=path.stem, value=path) from None


def in_half(data: bytes) -> bytes:
    """A safetensors file with its floating-point weights in half precision.

    For a discriminator: no picture comes from it, and who trains on has it in full precision again.
    """
    tensors = safetensors.torch.load(data)
    kept = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    return safetensors.torch.save(kept)


def average_file(run: Path, about: Mapping[str, Any], half_life: int | None) -> str:
    """The file of a run's weight average by its half-life in images; none: the run's first. Raises InputError."""
    if half_life is None:
        return "generator.safetensors"
    first = read_settings(run).get("ema_images")
    if half_life == first:
        return "generator.safetensors"
    name = f"generator-{half_life}.safetensors"
    kept = re.findall(r"\bgenerator-(\d+)\.safetensors", " ".join(sorted(about.get("sha256", {}))))
    if str(half_life) not in kept:
        there = [f"{first:.0f}"] if first is not None else []
        raise unknown("weight average of half-life", str(half_life), [*there, *kept], field="--average")
    return name


def read_readings(run: Path, about: dict[str, Any], role: str) -> tuple[Floats, Floats]:
    """Logits and labels (N, A) of the validation split that a classifier's run kept."""
    path = run / "validation.npz"
    if not path.exists():
        raise InputError(f"{run} has no validation.npz.", field=role, value=run)
    read_weights(run, about, path.name)
    with _said_of(path):
        kept = load_arrays(path)
        return kept["logits"], kept["labels"]


def read_settings(run: Path) -> dict[str, Any]:
    """The run's resolved configuration, without what is local to a machine. Raises InputError: missing or changed."""
    values = parse_yaml(read_text_limited(run / "config.yaml"), name="config.yaml")
    for name in ("config.yaml", "changes.jsonl"):
        if (run / name).exists():
            read_weights(run, _sums(run), name)
    with _said_of(run / "config.yaml"):
        kept = {key: value for key, value in values.items() if key not in _LOCAL}
        for key in _PATHS:
            if kept.get(key):
                kept[key] = Path(kept[key]).name
    if (run / "changes.jsonl").exists():
        with _said_of(run / "changes.jsonl"):
            kept["changes"] = _without_paths(_lines(run / "changes.jsonl"))
    return kept


def _without_paths(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was changed in a run, with other runs and bundles named by their folder alone."""
    for entry in changes:
        for key, pair in entry["changes"].items():
            if key in _PATHS:
                entry["changes"][key] = [Path(value).name if value else None for value in pair]
    return changes


def read_log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's ``stats.jsonl``. Raises InputError, also if what ``model.json`` covers of it was changed."""
    covered = _sums(run).get("log")
    if covered is not None:
        start = read_file(run / "stats.jsonl")[: covered["bytes"]]
        if hashlib.sha256(start).hexdigest() != covered["sha256"]:
            raise InputError(f"{run / 'stats.jsonl'} is not as model.json says.", field="stats", value=run)
    return _lines(run / "stats.jsonl")


def _sums(run: Path) -> dict[str, Any]:
    """What ``model.json`` says of a run's files; nothing where there is none."""
    try:
        return read_json_object(run / "model.json")
    except ValueError:
        return {}


def _lines(path: Path) -> list[dict[str, Any]]:
    data = read_file(path)
    with _said_of(path):
        return [dict(json.loads(line)) for line in data.splitlines()]


def last_images(run: Path) -> int:
    """Images that a run has seen, by its log. Raises InputError."""
    with _said_of(run / "stats.jsonl"):
        return int(read_log(run)[-1]["images"])


def training_seconds(run: Path) -> int:
    """Time that a run spent in training steps, from its own log. Raises InputError."""
    seconds, before = 0.0, 0
    with _said_of(run / "stats.jsonl"):
        for row in read_log(run):
            seconds += (row["images"] - before) / row["images_per_second"]
            before = row["images"]
        return round(seconds)


def _said_of(path: Path) -> contextlib.AbstractContextManager[None]:
    """Whatever goes wrong with what stands in a file is said of it. Raises InputError."""
    return library_errors(path, lambda text: InputError(text, field=path.stem, value=path))
