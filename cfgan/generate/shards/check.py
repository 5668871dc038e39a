"""Proving shards complete and unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cfgan.errors import FolderError
from cfgan.generate.shards.content import ShardRecord
from cfgan.generate.shards.run import ABOUT, CARD, FORMAT, INDEX, read_object
from cfgan.generate.shards.store import ShardStore
from cfgan.generate.shards.workers import RECORD
from cfgan.io.progress import Progress, silent


def read_index(store: ShardStore) -> dict[str, Any]:
    """``index.json`` of finished shards.

    Raises:
        FolderError: there are none, they are unfinished, or the index is damaged.
        StorageError: the place cannot be read.
    """
    sizes = store.sizes()
    if ABOUT not in sizes and INDEX not in sizes:
        raise FolderError(f"{store.where} holds no shards.", field="folder", value=store.where)
    if INDEX not in sizes:
        raise FolderError(
            f"{store.where} is unfinished: run the command that made it again.", field="folder", value=store.where
        )
    index = read_object(store, INDEX)
    if index.get("format") != FORMAT:
        text = f"{store.where} has format {str(index.get('format'))[:40]!r}, not {FORMAT}."
        raise FolderError(text, field="folder", value=store.where)
    return index


def check_shards(
    store: ShardStore, progress: Progress = silent, *, index: Mapping[str, Any] | None = None
) -> list[str]:
    """Compare all shards with the index.

    Args:
        store: where they are.
        progress: told of the shards compared.
        index: as :func:`read_index` gave it, if that is known already.

    Returns:
        One line a problem; empty when every file is there and unchanged, and nothing else is.

    Raises:
        FolderError: no shards, or unfinished ones.
        StorageError: the place cannot be read.
    """
    index, sizes = read_index(store) if index is None else index, store.sizes()
    problems: list[str] = []
    try:
        records = [ShardRecord(**entry, limit=0) for entry in index["shards"]]
        listed = {record.file: record for record in records if record.file}
        if sum(record.faces for record in records) != index["accepted"]:
            problems.append(f"{INDEX}: its shards hold another number of faces than it says")
    except (KeyError, TypeError):
        return [f"{INDEX}: malformed"]
    for done, (name, record) in enumerate(listed.items(), 1):
        if name not in sizes:
            problems.append(f"{name}: missing")
        elif sizes[name] != record.bytes or hashlib.sha256(store.read(name)).hexdigest() != record.sha256:
            problems.append(f"{name}: changed")
        progress("checking", done, len(listed))
    problems += [f"{name}: missing" for name in (ABOUT, CARD) if name not in sizes]
    more = sorted({*sizes} - {*listed, ABOUT, INDEX, CARD})
    # What a finished run was about to remove when it was killed is no fault.
    problems += [f"{name}: not listed in {INDEX}" for name in more if not name.endswith(RECORD)]
    return problems
