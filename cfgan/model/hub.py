"""Bundles on the Hugging Face Hub (https://huggingface.co/docs/hub): fetched by address and revision, and uploaded.

A bundle from there is held to its manifest like any other, holds no pickles, and is named by its digest in all that is
made with it. Nothing is fetched unless an address with a revision is given.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cfgan.errors import CfganError, ConfigError, InputError
from cfgan.io.cache import cache_folder
from cfgan.io.extras import require_package
from cfgan.io.files import is_safe_name, make_folder, write_bytes
from cfgan.io.folders import anything, lock_folder, replace_folder, require_ours
from cfgan.io.reading import read_regular, said

MANIFEST = "manifest.json"
SUFFIXES = (".safetensors", ".json", ".onnx", ".md", ".png", ".svg")
"""What the files of a bundle end in; no other is fetched or uploaded."""

MAX_BYTES = 1 << 31

_ADDRESS = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})@([\w][\w./-]{0,127})")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_address(text: str) -> bool:
    """Whether a text is ``owner/name@revision``: a branch, a tag or a commit."""
    return _ADDRESS.fullmatch(text) is not None


def fetch(address: str, out: Path | None = None) -> Path:
    """The folder of a bundle on the Hub, fetched unless it is in the cache.

    Args:
        address: ``owner/name@revision``.
        out: new or empty folder to fetch it into; by default one of the cache, by its commit.

    Returns:
        The folder; whether it is sound is for :func:`cfgan.model.bundle.open_bundle` to say.

    Raises:
        ConfigError: huggingface_hub is not installed.
        InputError: no address; no such repository, revision or bundle there; or the Hub does not answer.
        StorageError, FolderError: it cannot be stored.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        text = f"{address!r} is not an address on the Hub: owner/name@revision."
        raise InputError(text, field="bundle", value=address)
    if out is not None:
        require_ours(out)
    repo, revision = match.groups()
    kept = cache_folder() / "hub" / repo.replace("/", "--")
    if out is None and _COMMIT.fullmatch(revision) and (kept / revision / MANIFEST).is_file():
        return kept / revision  # a commit never changes: the Hub need not be asked
    hub, endpoint = _library(), os.environ.get("HF_ENDPOINT")
    with _errors(address):
        commit = str(hub.HfApi(endpoint=endpoint).model_info(repo, revision=revision).sha)
    if not _COMMIT.fullmatch(commit):
        raise InputError(f"{address}: the Hub names no commit.", field="bundle", value=address)
    folder = kept / commit if out is None else out
    if out is None and (folder / MANIFEST).is_file():
        return folder
    make_folder(folder.parent)
    with contextlib.nullcontext() if out else lock_folder(folder.parent), tempfile.TemporaryDirectory() as passing:

        def get(name: str) -> bytes:
            with _errors(address):
                found = hub.hf_hub_download(repo, name, revision=commit, local_dir=passing, endpoint=endpoint)
            return read_regular(Path(found), MAX_BYTES)

        _store(address, folder, get)
    return folder


def fetched() -> dict[str, Path]:
    """Address -> folder of the bundles in the cache."""
    found = sorted((cache_folder() / "hub").glob(f"*--*/*/{MANIFEST}"))
    return {f"{path.parent.parent.name.replace('--', '/', 1)}@{path.parent.name}": path.parent for path in found}


def _store(address: str, folder: Path, get: Callable[[str], bytes]) -> None:
    manifest = get(MANIFEST)
    try:
        names = sorted(json.loads(manifest)["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{address} is not a bundle of cfgan.", field="bundle", value=address) from None
    if odd := [name for name in names if not (is_safe_name(name) and name.endswith(SUFFIXES))]:
        text = f"{address} lists {odd[0]!r}, which no bundle has."
        raise InputError(text, field="bundle", value=odd[0])

    def fill(fresh: Path) -> None:
        for name in names:
            write_bytes(fresh / name, get(name))
        write_bytes(fresh / MANIFEST, manifest)

    replace_folder(folder.resolve(), fill, anything)


def upload(folder: Path, names: list[str], repo: str, *, private: bool = True, message: str = "") -> str:
    """Upload a bundle as one commit; the repository is made if there is none.

    Args:
        folder: of the bundle.
        names: of its files.
        repo: ``owner/name``.
        private: whether a repository that is made can be seen by its owner alone.
        message: of the commit.

    Returns:
        The address of what was uploaded, ``owner/name@commit``.

    Raises:
        ConfigError: huggingface_hub is not installed.
        InputError: the Hub refuses, or does not answer.
    """
    if not _ADDRESS.fullmatch(f"{repo}@main"):
        raise InputError(f"{repo!r} is not owner/name.", field="REPOSITORY", value=repo)
    api = _library().HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="cfgan")
    with _errors(repo):
        api.create_repo(repo, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=names, commit_message=message or f"Bundle {folder.name}"
        )
    return f"{repo}@{done.oid}"


def _library() -> Any:
    require_package("huggingface_hub", "hub", "The Hub", field="bundle", value="hub", error=ConfigError)
    return importlib.import_module("huggingface_hub")


@contextlib.contextmanager
def _errors(address: str) -> Iterator[None]:
    try:
        yield
    except CfganError:
        raise
    except Exception as error:  # of the library, of HTTP, of the network
        kind = type(error).__name__
        what = {
            "RepositoryNotFoundError": "there is no such repository, or it is not yours to see",
            "RevisionNotFoundError": "there is no such revision",
            "RemoteEntryNotFoundError": "a file is missing there: it is not a bundle of cfgan",
            "EntryNotFoundError": "a file is missing there: it is not a bundle of cfgan",
        }.get(kind, said(error).splitlines()[0][:200])
        raise InputError(f"{address}: {what}.", field="bundle", value=address) from error
