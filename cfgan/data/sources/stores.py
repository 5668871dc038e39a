"""A packed store as a source."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cfgan.data.labelled_images import SPLITS
from cfgan.data.profile.image_scan import ArrayPictures
from cfgan.data.sources.base import Options, Source, refuse_table
from cfgan.data.store import open_store
from cfgan.io.files import real_path


def is_store(path: Path) -> bool:
    """Whether a folder is a store, finished or not."""
    return any((path / name).exists() for name in ("store.json", "progress.json", "images.npy"))


def read_store(path: Path, options: Options) -> Source:
    """Raises DataError, as :func:`cfgan.data.store.open_store` does; InputError where a table is given beside it."""
    refuse_table(options, f"{path} is a packed store")
    store = open_store(path)
    return Source(
        "store",
        real_path(path).name,
        store.vocabulary,
        np.asarray(store.labels),
        store.files,
        store.split.astype(np.int64),
        tuple(SPLITS),
        pictures=ArrayPictures(store.files, store.images),
    )
