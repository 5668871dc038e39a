"""Copies of a bundle with something more, such as graphs for onnxruntime. Its networks stay as they are."""

from __future__ import annotations

from pathlib import Path

from cfgan.assemble.onnx_check import check_graphs
from cfgan.assemble.onnx_networks import graphs_of
from cfgan.errors import BundleError, FolderError
from cfgan.io.files import read_json_object
from cfgan.io.folders import is_unused
from cfgan.io.reading import read_regular
from cfgan.model.bundle import MAX_BYTES, Bundle, open_bundle, require_bundle_or_unused, write_files


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
    require_copy_or_unused(bundle, out)
    files = bundle_files(bundle)
    graphs = graphs_of(bundle.config, files)
    if not graphs.get("generator.onnx"):
        raise BundleError(f"the generator of {bundle.name} is of the family {bundle.shape.family}, which has no graph.")
    write_files(out, {**files, **graphs}, check_graphs)
    return open_bundle(out)


def bundle_files(bundle: Bundle) -> dict[str, bytes]:
    """File name -> content, each compared with its checksum. Raises BundleError."""
    return {name: read_regular(bundle.file(name), MAX_BYTES) for name in bundle.sums}


def require_copy_or_unused(bundle: Bundle, out: Path, replaced: str | None = None) -> None:
    """Raise FolderError where a copy of this bundle would overwrite anything but an earlier copy of it.

    Args:
        bundle: the model.
        out: the folder.
        replaced: a file of weights that an earlier copy may have otherwise.
    """
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
