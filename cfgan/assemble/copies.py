"""Copies of a bundle with something more: graphs for onnxruntime, an encoder. Its networks stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cfgan.assemble.onnx_check import check_graphs
from cfgan.assemble.onnx_networks import graphs_of
from cfgan.assemble.parts import in_half
from cfgan.assemble.run_files import last_images, read_about, read_settings, read_weights, training_seconds
from cfgan.errors import BundleError, FolderError, InputError
from cfgan.io.files import json_bytes, read_json_object
from cfgan.io.folders import is_unused
from cfgan.io.reading import read_regular
from cfgan.model.bundle import MAX_BYTES, Bundle, open_bundle, require_bundle_or_unused, write_files

_ENCODER = "encoder.safetensors"
_TITLE = "\n## Encoder\n"


def with_graphs(bundle: Bundle, out: Path) -> Bundle:
    """A copy of a bundle that has graphs for onnxruntime: a bundle of an older version then runs without torch.

    Args:
        bundle: the model; it stays as it is.
        out: new or empty folder, or an earlier copy of this bundle, which is replaced.

    Raises:
        BundleError: a file of the bundle is damaged, or the graphs do not compute what the networks do.
        FolderError: ``out`` holds something else, or another bundle.
        StorageError: the disk refused.
    """
    _require_copy_or_unused(bundle, out)
    files = _files(bundle)
    graphs = graphs_of(bundle.config, files)
    if not graphs.get("generator.onnx"):
        raise BundleError(f"the generator of {bundle.name} is of the family {bundle.shape.family}, which has no graph.")
    return _write(out, {**files, **graphs}, check_graphs)


def with_encoder(bundle: Bundle, run: Path, out: Path) -> Bundle:
    """A copy of a bundle that has an encoder, from which photos are projected sooner.

    Args:
        bundle: the model; it stays as it is.
        run: folder of a finished ``cfgan train encoder`` for this bundle's generator.
        out: new or empty folder, or an earlier copy of this bundle, which is replaced.

    Raises:
        InputError: there is no such run, or the encoder was trained for another generator.
        BundleError: a file of the bundle is damaged.
        FolderError: ``out`` holds something else, or another bundle.
        StorageError: the disk refused.
    """
    _require_copy_or_unused(bundle, out, replaced=_ENCODER)
    about = read_about(run, "encoder", "encoder")
    if about.get("generator") != bundle.sums["generator.safetensors"]:
        raise InputError(
            f"that encoder was trained for another generator than {bundle.name}'s; train one with "
            f"`cfgan train encoder --bundle {bundle.name}`.",
            field="--encoder",
            value=run,
        )
    files = _files(bundle)
    history = {"images": last_images(run), "seconds": training_seconds(run), "settings": read_settings(run)}
    config = {**bundle.config, "encoder": {"shape": about["shape"], "training": history}}
    files["config.json"] = json_bytes(config)
    files[_ENCODER] = in_half(read_weights(run, about, "model.safetensors"))
    card = files["README.md"].decode("utf-8")
    files["README.md"] = (_without_section(card) + _section(bundle, history)).encode("utf-8")
    return _write(out, files, _load_encoder)


def _section(bundle: Bundle, history: Mapping[str, Any]) -> str:
    return (
        f"{_TITLE}\nBeside the networks above there is an encoder, which guesses how the generator draws a photo: "
        f"`cfgan project --bundle {bundle.name}`\nbegins its search from that guess. It has seen {history['images']:,} "
        f"images in {max(1, round(history['seconds'] / 60))} minutes of training steps; judge and recognisers took no "
        "part.\n"
    )


def _without_section(card: str) -> str:
    """A card without what an earlier encoder wrote at its end."""
    return re.sub(f"{re.escape(_TITLE)}.*", "", card, flags=re.DOTALL)


def _load_encoder(bundle: Bundle) -> None:
    bundle.encoder()


def _files(bundle: Bundle) -> dict[str, bytes]:
    return {name: read_regular(bundle.file(name), MAX_BYTES) for name in bundle.sums}


def _write(out: Path, files: Mapping[str, bytes], check: Callable[[Bundle], None]) -> Bundle:
    write_files(out, files, check)
    return open_bundle(out)


def _require_copy_or_unused(bundle: Bundle, out: Path, replaced: str | None = None) -> None:
    """Raise FolderError where a copy of this bundle would overwrite anything but an earlier copy of it."""
    require_bundle_or_unused(out)
    if not is_unused(out) and (other := _other_weights(bundle, out, replaced)):
        raise FolderError(f"{out} holds another bundle ({other} differs).", field="--out", value=out)


def _other_weights(bundle: Bundle, out: Path, replaced: str | None) -> str | None:
    """A file of weights that a bundle lacks or has otherwise: to put a copy of this one there would lose it."""
    try:
        there = read_json_object(out / "manifest.json")["sha256"]
        named = {name: digest for name, digest in there.items() if name.endswith(".safetensors")}
    except (ValueError, KeyError, AttributeError):
        return "manifest.json"
    return next(
        (name for name, digest in named.items() if name != replaced and bundle.sums.get(name) != digest),
        None,
    )
