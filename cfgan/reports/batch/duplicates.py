"""Faces of a batch that are as good as the same: the nearest pair, by the judge's features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.io.progress import Progress
from cfgan.model.bundle import Bundle
from cfgan.model.engine import CPU_BATCH, Engine
from cfgan.model.engines import open_engine
from cfgan.reports.batch.folder import BatchFolder, Content

NEAR = 0.5
"""Two faces are too near below this share of the distance that 99.9 % of held-out real faces keep from every training
image (:mod:`cfgan.evaluation.memorisation`), which a bundle keeps with its figures. Half, because faces of one request
are more alike than real ones: of 304 draws of Male,Bald the nearest pair lies at 0.99 of that distance, while the same
face a little brighter, or moved by a pixel, lies at 0.14 or 0.49 of it (medians; celeba64)."""

_ROWS = 512  # rows of a block of distances
_CHUNK = 64  # faces read at a time


def nearest_others(features: npt.NDArray[np.floating[Any]]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Of each row its nearest other row.

    Args:
        features: (N, D), N at least 2.

    Returns:
        Euclidean distances float64 (N,), and which rows those are, (N,).
    """
    x = features.astype(np.float64)
    x = x - x.mean(0)  # a common offset would eat the digits of the differences
    squares = (x**2).sum(1)
    distance, other = np.empty(len(x)), np.empty(len(x), np.int64)
    for start in range(0, len(x), _ROWS):
        block = x[start : start + _ROWS]
        squared = squares[start : start + _ROWS, None] + squares[None] - 2 * block @ x.T
        squared[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        nearest = squared.argmin(1)
        other[start : start + _ROWS] = nearest
        # Taken again from the difference: of two rows that are the same it is 0, not what rounding leaves.
        distance[start : start + _ROWS] = np.sqrt(((block - x[nearest]) ** 2).sum(1))
    return distance, other


def near_duplicates(
    batch: BatchFolder,
    content: Content,
    bundle: Bundle,
    device: str | Engine,
    progress: Progress | None = None,
) -> dict[str, Any] | None:
    """The nearest pair of a batch, and how many faces have another one too near.

    Args:
        batch, content: what was received, of the bundle's size.
        bundle: whose judge reads.
        device: where to compute, or an open engine of the bundle.
        progress: called with faces done and in all.

    Returns:
        ``distance`` of the nearest pair, its two ``files``; ``median``, of the distances of each face to its nearest
        other one; ``limit``, below which two faces count as too near, and how many ``faces`` have such a one; both
        None where the bundle keeps no limit. None without a judge or for fewer than two faces.

    Raises:
        FolderError: an image cannot be read.
        BundleError: the judge is damaged.
    """
    files = [file for faces in content.cells for file in faces.files]
    if len(files) < 2 or "judge" not in bundle.classifiers:
        return None
    judge, parts = open_engine(bundle, device).classifier("judge"), []
    for start in range(0, len(files), _CHUNK):
        pixels = batch.pixels(files[start : start + _CHUNK], bundle.size)
        parts += [judge.features(pixels[k : k + CPU_BATCH]) for k in range(0, len(pixels), CPU_BATCH)]
        if progress:
            progress("comparing faces", min(start + _CHUNK, len(files)), len(files))
    return nearest_pair(np.concatenate(parts), files, _limit(bundle))


def nearest_pair(features: npt.NDArray[np.floating[Any]], files: Sequence[str], limit: float | None) -> dict[str, Any]:
    """The figures of :func:`near_duplicates` from features (N, D) of N files, N at least 2."""
    distance, other = nearest_others(features)
    first = int(distance.argmin())
    return {
        "distance": float(distance[first]),
        "files": sorted([files[first], files[int(other[first])]]),
        "median": float(np.median(distance)),
        "limit": limit,
        "faces": None if limit is None else int((distance < limit).sum()),
    }


def _limit(bundle: Bundle) -> float | None:
    held = bundle.config.get("evaluation", {}).get("memorisation") or {}
    return NEAR * float(held["limit"]) if held.get("extractor") == "judge" and held.get("limit") is not None else None
