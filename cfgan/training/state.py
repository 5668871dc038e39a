"""Saved training state: complete or absent, verified on load, never a pickle that holds code.

A run keeps ``state-<images>.pt`` (tensors, numbers, dicts; read with ``weights_only=True``) and beside it
``state-<images>.json`` with its sha256 and a seal, written last. The latest state is the highest one whose sum
verifies, so a kill at any moment loses at most the time since the last save.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cfgan.errors import FolderError, TrainingError
from cfgan.io.files import (
    make_folder,
    read_json_object,
    remove_partials,
    sha256_of,
    storage_errors,
    write_bytes,
    write_sealed,
    write_text,
)
from cfgan.io.folders import anything, lock_folder, require_ours
from cfgan.io.reading import library_errors, read_regular
from cfgan.io.yaml import dump_yaml, parse_yaml, read_text_limited
from cfgan.training.config import current_names

LOG = "stats.jsonl"
KEEP = 2
"""How many states a run keeps."""


def save_state(run: Path, images: int, state: dict[str, Any]) -> None:
    """Write a state, then its checksum, then remove all but the newest :data:`KEEP`. Raises StorageError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    path = _state_path(run, images)
    write_bytes(path, data)
    write_sealed(path.with_suffix(".json"), {"images": images, "sha256": hashlib.sha256(data).hexdigest()})
    for old in _states(run)[KEEP:]:
        for name in (old.with_suffix(".json"), old):  # the sum first: a state without one is ignored
            with contextlib.suppress(OSError):
                name.unlink()


def save_weights(path: Path, module: nn.Module) -> None:
    """Write a module's parameters and buffers as safetensors. Raises StorageError."""
    from safetensors.torch import save

    write_bytes(path, save({key: value.detach().contiguous().cpu() for key, value in module.state_dict().items()}))


def write_model(run: Path, about: dict[str, Any], files: Iterable[str]) -> None:
    """Write ``model.json``: what a run trained, and the sha256 of the files that hold it and say how it came to be.

    The log grows on: of it ``log`` covers the bytes that it has now. Raises StorageError.
    """
    named = {*files, *(name for name in ("config.yaml", "changes.jsonl") if (run / name).exists())}
    sums = {name: sha256_of(run / name) for name in sorted(named)}
    log = read_regular(run / LOG) if (run / LOG).exists() else b""
    covered = {"bytes": len(log), "sha256": hashlib.sha256(log).hexdigest()}
    write_sealed(run / "model.json", {**about, "sha256": sums, "log": covered})


def load_latest_state(run: Path, device: torch.device) -> tuple[int, dict[str, Any]] | None:
    """The newest state whose checksum verifies, as (images seen, state); None if none was finished yet.

    Raises:
        FolderError: there are states, and all are damaged: to start over would overwrite what they are worth.
    """
    damaged = []
    for path in _states(run):
        about = path.with_suffix(".json")
        if not about.exists():
            continue  # killed while it was written
        try:
            return _load_state(path, read_json_object(about), device)
        except (OSError, ValueError, KeyError, TypeError, TrainingError) as error:
            damaged.append(f"{path.stem}: {error}")
    if damaged:
        raise FolderError(
            f"no saved state of {run} can be read ({damaged[0]}); choose another --out.", field="out", value=run
        )
    return None


def _load_state(path: Path, about: dict[str, Any], device: torch.device) -> tuple[int, dict[str, Any]]:
    images = int(about["images"])
    if path != _state_path(path.parent, images):
        raise ValueError(f"its sum is of {images} images")
    if sha256_of(path) != about["sha256"]:
        raise ValueError("it is not as its checksum says")
    with library_errors(path, TrainingError):
        state = torch.load(path, map_location=device, weights_only=True)
    if not isinstance(state, dict):
        raise ValueError("it holds no state")
    return images, state


def _state_path(run: Path, images: int) -> Path:
    return run / f"state-{images:010d}.pt"


def _states(run: Path) -> list[Path]:
    return sorted(run.glob("state-*.pt"), reverse=True)


def _foreign(run: Path) -> str | None:
    """Whatever stands in a folder that is not a run's; a run's own folder may hold more."""
    return None if (run / "config.yaml").exists() else anything(run)


@contextlib.contextmanager
def open_run(run: Path) -> Iterator[None]:
    """A run's folder, locked; while the context lasts no other process can work in it.

    Raises:
        FolderError: the folder holds something else, or another process works in it.
        InputError: it lies inside a folder of ours that is checked as a whole.
    """
    require_ours(run, _foreign, field="out")
    make_folder(run)
    with lock_folder(run):
        remove_partials(run)
        yield


def describe_run(
    run: Path,
    kind: str,
    config: dict[str, Any],
    *,
    data_digest: str,
    may_change: set[str],
    images: int,
    change: bool = False,
    defaults: dict[str, Any] | None = None,
) -> None:
    """Write a run's resolved configuration, or check that a run that goes on is the same run.

    Args:
        run: the folder.
        kind: "gan" or "classifier".
        config: resolved plain values.
        data_digest: of the store that is trained on.
        may_change: settings that a continued run may always set otherwise (length, threads, what it logs).
        images: images seen in the state that is gone on from.
        change: let a continued run change any other setting too; each change is noted in ``changes.jsonl`` with the
            number of images at which it took effect.
        defaults: of the settings, for those that an older version did not have when the run was begun.

    Raises:
        FolderError: the folder holds a run of another kind, or with other settings; names the first that differs.
    """
    about = {"kind": kind, "data": data_digest, **config}
    path = run / "config.yaml"
    if path.exists():
        before = parse_yaml(read_text_limited(path), name=str(path))
        if not isinstance(before, dict) or before.get("kind") != kind:
            raise FolderError(f"{run} holds no {kind} run.", field="out", value=run)
        before = {**(defaults or {}), **current_names(before)}
        differing = {key: [before.get(key), value] for key, value in about.items() if before.get(key) != value}
        unexpected = {key: pair for key, pair in differing.items() if key not in may_change}
        if unexpected and not change:
            key, (old, new) = next(iter(unexpected.items()))
            how = ", or say --change to go on with it from here" if kind == "gan" else ""
            raise FolderError(
                f"{run} holds a run with {key} = {old!r}, not {new!r}; choose another --out{how}.",
                field="out",
                value=run,
            )
        if unexpected:
            append_stats(run / "changes.jsonl", {"images": images, "changes": unexpected})
    write_text(path, dump_yaml(about))


def load_or_explain(load: Callable[[], None], run: Path) -> None:
    """Load a saved state into networks. Raises FolderError if it is of networks of another shape."""
    try:
        load()
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FolderError(
            f"{run} holds a run whose networks do not fit these settings ({reason}).", field="out", value=run
        ) from None


def truncate_stats(path: Path, images: int) -> None:
    """Drop the lines of ``stats.jsonl`` that lie after the state that is resumed from, and a torn last line."""
    if not path.exists():
        return
    kept = []
    for line in read_regular(path).decode("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            if json.loads(line)["images"] <= images:
                kept.append(line)
    write_text(path, "".join(f"{line}\n" for line in kept))


def append_stats(path: Path, row: dict[str, Any]) -> None:
    """Append one JSON line."""
    with storage_errors(path), path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(row) + "\n")


def step_generator(seed: int, rank: int, images: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded from (seed, rank, images seen): resuming needs no saved generator state."""
    number = int(np.random.SeedSequence([seed, rank, images]).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(number & (2**63 - 1))


@contextlib.contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Set torch's CPU threads for a block; 0 leaves them."""
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class WeightAverage:
    """Exponential moving average of a module's floating-point parameters and buffers (Polyak averaging).

    Args:
        module: the module to follow; a frozen copy is kept in :attr:`module`.
        half_life_images: images after which an old weight counts half; 0 copies.
    """

    def __init__(self, module: nn.Module, half_life_images: float) -> None:
        import copy

        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.half_life_images = half_life_images
        self._moved: tuple[list[Tensor], list[Tensor]] = [], []
        self._copied: list[tuple[Tensor, Tensor]] = []
        self._follows: nn.Module | None = None

    @torch.no_grad()
    def update(self, module: nn.Module, batch: int, images: int) -> None:
        """Move towards ``module``. Early on the half-life is at most a tenth of the images seen (ramp-up)."""
        half_life = min(self.half_life_images, images / 10)
        keep = 0.5 ** (batch / half_life) if half_life > 0 else 0.0
        if self._follows is not module:  # loading copies into the same tensors, so they are looked up once
            self._follows = module
            pairs = list(zip(self.module.state_dict().values(), module.state_dict().values(), strict=True))
            moved = [pair for pair in pairs if pair[0].is_floating_point()]
            self._moved = [mine for mine, _ in moved], [theirs for _, theirs in moved]
            self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]
        torch._foreach_lerp_(*self._moved, 1.0 - keep)
        for mine, theirs in self._copied:
            mine.copy_(theirs)


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """Norm of all gradients together (scalar); not finite if any element is not."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm: Tensor = torch.stack(torch._foreach_norm(gradients)).norm()
    return norm


def require_finite(values: dict[str, Tensor], images: int) -> None:
    """Raise TrainingError if a value is not finite, before it can reach the weights."""
    for name, value in values.items():
        if not bool(torch.isfinite(value).all()):
            raise TrainingError(f"{name} is not finite at {images:,} images; the last saved state is good.")


def passes(before: int, images: int, every: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, images]."""
    return images // every > before // every


def remark(row: Mapping[str, float]) -> str:
    """The figures of a line of ``stats.jsonl`` that are shown while a run lasts."""
    shown = {key: row[key] for key in ("loss", "d_loss", "g_loss", "g_guide", "images_per_second") if key in row}
    return "  ".join(f"{key} {value:.3g}" for key, value in shown.items())
