"""Features of a store's real images, computed once and kept in a cache folder.

Features of faces say something about the people in them: they are kept in the user's cache, readable by that user only,
and never in a run, a bundle or a batch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save

from cfgan.data.store import PackedDataset
from cfgan.errors import DataError, FolderError, StorageError
from cfgan.evaluation.extractors import Extractor, extract
from cfgan.io.cache import cache_folder
from cfgan.io.files import make_folder, remove_stale_partials, storage_errors, write_bytes
from cfgan.io.progress import Progress
from cfgan.io.reading import library_errors, open_regular

FORMAT = "cfgan-features/1"


def reference_features(
    store: PackedDataset,
    split: str,
    extractor: Extractor,
    *,
    count: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> npt.NDArray[np.float32]:
    """Features of a split, or of ``count`` of its images drawn by ``seed``, from the cache or computed and put there.

    What is in the cache is found by the digests of data and extractor, size, split, count and seed, and compared with
    its checksum; anything damaged is computed again. A cache that cannot be written is a warning: it costs time, not
    the result.

    Args:
        store: the data.
        split: "train", "validation" or "test".
        extractor: which features.
        count: how many images at most; all when None.
        seed: of the choice.
        cache: the folder; :func:`cache_folder` when None.
        progress: called with images done and in all while computing.

    Returns:
        float32 (N, D), in the order of :func:`reference_rows`.

    Raises:
        DataError: the split is empty.
        InputError: the cache folder's name cannot be used.
    """
    rows = reference_rows(store, split, count, seed)
    key = json.dumps(
        {
            "format": FORMAT,
            "data": store.digest,  # of images, labels and split: crop and size are in it
            "size": store.size,
            "split": split,
            "count": len(rows),
            "seed": seed if len(rows) < len(store.rows(split)) else None,
            "extractor": extractor.name,
            "digest": extractor.digest,
        },
        sort_keys=True,
    )
    folder = cache if cache is not None else cache_folder()
    path = folder / f"features-{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    features = _read(path, key, (len(rows), extractor.dimensions))
    if features is not None:
        return features
    features = extract(extractor, store.images, rows=rows, progress=progress)
    try:
        _write(path, key, features)
    except (StorageError, FolderError) as error:
        warnings.warn(f"features are not kept for the next time: {error}", RuntimeWarning, stacklevel=2)
    return features


def reference_rows(store: PackedDataset, split: str, count: int | None = None, seed: int = 0) -> npt.NDArray[np.int64]:
    """Rows of a split, ascending; ``count`` of them drawn by ``seed``.

    Raises:
        DataError: the split is empty.
    """
    rows = store.rows(split)
    if not len(rows) or (count is not None and count < 1):
        raise DataError(f"the store has no {split} images.", field="data", value=store.path)
    return rows if count is None else store.some_rows(split, count, seed)


def _sum(features: npt.NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(features).tobytes()).hexdigest()


def _read(path: Path, key: str, shape: tuple[int, int]) -> npt.NDArray[np.float32] | None:
    """The features if they are there and as they were written, else None."""
    try:
        with library_errors(path, DataError):
            open_regular(path).close()
            with safe_open(path, framework="numpy") as file:
                about = json.loads((file.metadata() or {})["about"])
                features: npt.NDArray[Any] = file.get_tensor("features")
    except DataError:
        return None
    if features.shape != shape or features.dtype != np.float32:
        return None
    return features if about == {"key": key, "sha256": _sum(features)} else None


def _write(path: Path, key: str, features: npt.NDArray[np.float32]) -> None:
    with storage_errors(path.parent):
        new = not path.parent.exists()
        make_folder(path.parent)
    if new:
        with contextlib.suppress(OSError):
            path.parent.chmod(0o700)
    about = json.dumps({"key": key, "sha256": _sum(features)})
    remove_stale_partials(path)
    write_bytes(path, save({"features": features}, metadata={"about": about}))
    with contextlib.suppress(OSError):
        path.chmod(0o600)
