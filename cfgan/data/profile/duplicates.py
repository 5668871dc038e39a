"""The same image twice: exactly, by digest, and nearly, by a perceptual hash; in far less than N^2 steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.io.progress import Progress

HASH_SIDE = 16
"""A hash has HASH_SIDE^2 bits."""
HASH_WORDS = HASH_SIDE * HASH_SIDE // 64

DISTANCE = 16
"""Bits of 256 that near duplicates differ in at most, by default. Photographs at half the size, or saved again as JPEG
of quality 40, stay within it, all but 1 in 50. Of 271 million pairs among 23,290 images of CelebA (64 x 64) 103 lie
within it and are like enough (:data:`LIKENESS`); 99 of these show the same person by CelebA's identities."""
MAX_DISTANCE = 40
LIKENESS = 0.98
"""Correlation of the grey thumbnails from which a pair of like hashes counts: where large parts of an image are flat,
as in drawings, many bits say nothing."""

_LEAST_CONTRAST = 2.0  # standard deviation of the grey thumbnail, of 255, below which there is nothing to compare
_ROWS = 1 << 15  # thumbnails turned into floats in one step
_AT_ONCE = 1 << 20  # pairs compared in one step
MAX_PAIRS = 5_000_000
"""Pairs of near duplicates after which the search ends, and says that it is not complete."""

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class NearPairs:
    """Pairs of near duplicates.

    Args:
        first, second: int64 (P,) places, first < second, sorted.
        distance: int64 (P,), bits.
        complete: False where there were more than :data:`MAX_PAIRS`.
    """

    first: Places
    second: Places
    distance: Places
    complete: bool = True


def grey_thumbnail(image: Image.Image) -> Bytes:
    """uint8 (16, 17), the luma of a whole image, squeezed."""
    return np.asarray(image.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.LANCZOS))


def difference_hash(thumbnail: Bytes) -> Words:
    """dHash (Krawetz 2013): a bit for every pixel that is brighter than its left neighbour.

    Args:
        thumbnail: uint8 (16, 17) as of :func:`grey_thumbnail`.

    Returns:
        uint64 (4,); blind to brightness, contrast, size and compression, not to cropping or turning.
    """
    return np.packbits(thumbnail[:, 1:] > thumbnail[:, :-1]).view(np.uint64)


def has_contrast(thumbnails: Bytes) -> npt.NDArray[np.bool_]:
    """For each of (N, 16, 17) whether there is enough in it for comparing: flat images are all alike."""
    found = np.zeros(len(thumbnails), dtype=bool)
    for start in range(0, len(thumbnails), _ROWS):
        part = thumbnails[start : start + _ROWS]
        found[start : start + _ROWS] = part.reshape(len(part), -1).std(1) >= _LEAST_CONTRAST
    return found


def near_pairs(
    hashes: Words,
    distance: int = DISTANCE,
    *,
    keep: Callable[[Places, Places], npt.NDArray[np.bool_]] | None = None,
    progress: Progress | None = None,
) -> NearPairs:
    """All pairs of hashes that differ in at most ``distance`` bits, without comparing all pairs.

    Multi-index hashing (Manku et al. 2007; Norouzi et al. 2012): of ``distance`` + 2 bands of bits at least two are the
    same in both, wherever the different bits lie; so only hashes with two equal bands are compared. The bits of a
    band are spread over the image, for neighbours say much the same.

    Args:
        hashes: uint64 (N, W).
        distance: 0 .. :data:`MAX_DISTANCE`.
        keep: a further test of the pairs (places, places) that are near enough.
        progress: called with steps done and in all; what it raises ends the search.
    """
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8), axis=1)
    bands = [_ranks(bits[:, k :: distance + 2]) for k in range(distance + 2)]
    steps = list(itertools.combinations(range(len(bands)), 2))
    found: list[Places] = []
    total = 0
    for done, (a, b) in enumerate(steps):
        if progress is not None:
            progress("comparing", done, len(steps))
        for first, second in _equal(bands[a] * len(hashes) + bands[b]):
            apart = _apart(hashes, first, second)
            near = apart <= distance
            first, second, apart = first[near], second[near], apart[near]
            # A pair is met again wherever more bands are equal: it counts where its first two are.
            new = np.ones(len(first), dtype=bool)
            for k in range(b):
                if k != a:
                    new &= bands[k][first] != bands[k][second]
            first, second, apart = first[new], second[new], apart[new]
            if keep is not None and len(first):
                good = keep(first, second)
                first, second, apart = first[good], second[good], apart[good]
            found.append(np.stack([np.minimum(first, second), np.maximum(first, second), apart]))
            total += len(first)
            if total > MAX_PAIRS:
                return _sorted(found, complete=False)
    if progress is not None:
        progress("comparing", len(steps), len(steps))
    return _sorted(found, complete=True)


def _sorted(found: list[Places], *, complete: bool) -> NearPairs:
    pairs = np.concatenate(found, axis=1) if found else np.zeros((3, 0), dtype=np.int64)
    pairs = pairs[:, np.lexsort((pairs[1], pairs[0]))]
    return NearPairs(pairs[0], pairs[1], pairs[2], complete)


def _ranks(bits: Bytes) -> Places:
    """Equal rows of bits get equal numbers, below N."""
    packed = np.packbits(bits, axis=1)
    view = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    return np.unique(view, return_inverse=True)[1].astype(np.int64).ravel()


def _equal(keys: Places) -> list[tuple[Places, Places]] | itertools.chain[tuple[Places, Places]]:
    """Places of all pairs with equal keys, in portions of about :data:`_AT_ONCE`."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(ordered)])
    starts, sizes = starts[sizes > 1], sizes[sizes > 1]
    if not len(starts):
        return []
    # Within each run every place meets those behind it: (run, k) has size - 1 - k partners.
    place = np.repeat(starts, sizes) + _counting(sizes)
    partners = np.repeat(sizes, sizes) - 1 - _counting(sizes)
    place, partners = place[partners > 0], partners[partners > 0]
    cuts = np.searchsorted(np.cumsum(partners), np.arange(_AT_ONCE, int(partners.sum()), _AT_ONCE))
    portions = zip(np.split(place, cuts), np.split(partners, cuts), strict=True)

    def expand(portion: tuple[Places, Places]) -> tuple[Places, Places]:
        one = np.repeat(portion[0], portion[1])
        return order[one], order[one + 1 + _counting(portion[1])]

    return itertools.chain(map(expand, portions))


def _counting(sizes: Places) -> Places:
    """0 .. size - 1 for each size, one after the other."""
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes, sizes)


def _apart(hashes: Words, first: Places, second: Places) -> Places:
    return np.asarray(np.bitwise_count(hashes[first] ^ hashes[second]).sum(1, dtype=np.int64))


def likeness(thumbnails: Bytes, first: Places, second: Places) -> npt.NDArray[np.float32]:
    """Pearson correlation of pairs of grey thumbnails (N, 16, 17): -1..1; NaN for a flat one."""
    found = np.full(len(first), np.nan, dtype=np.float32)
    for start in range(0, len(first), _ROWS):
        part = slice(start, start + _ROWS)
        one, other = (
            thumbnails[places[part]].reshape(len(places[part]), -1).astype(np.float32) for places in (first, second)
        )
        one -= one.mean(1, keepdims=True)
        other -= other.mean(1, keepdims=True)
        scale = np.sqrt((one * one).sum(1) * (other * other).sum(1))
        np.divide((one * other).sum(1), scale, out=found[part], where=scale > 0)
    return found


def groups_of(first: Places, second: Places, count: int) -> list[list[int]]:
    """Connected groups of two or more among ``count`` things, by their smallest member; members ascending."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    _, label = connected_components(links, directed=False)
    return same_groups(label.astype(np.int64))


def same_groups(keys: Places) -> list[list[int]]:
    """Places of equal keys, for keys that stand twice or more; a negative key stands for itself alone."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    runs = np.split(order, cuts)
    return sorted([int(k) for k in run] for run in runs if len(run) > 1 and keys[run[0]] >= 0)


def digest_keys(digests: Sequence[bytes | None]) -> Places:
    """Equal digests get equal numbers; None gets -1."""
    numbers: dict[bytes, int] = {}
    keys = (-1 if digest is None else numbers.setdefault(digest, len(numbers)) for digest in digests)
    return np.fromiter(keys, dtype=np.int64, count=len(digests))
