"""Images that are there twice, what their labels say, and what lies in more than one split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.data.profile.duplicates import (
    DISTANCE,
    LIKENESS,
    digest_keys,
    groups_of,
    has_contrast,
    likeness,
    near_pairs,
    same_groups,
)
from cfgan.data.profile.image_scan import Scan
from cfgan.io.progress import Progress

Places = npt.NDArray[np.int64]
Groups = list[list[int]]


@dataclass(frozen=True)
class DuplicateGroups:
    """Groups of places (of images) that go together, members ascending.

    Args:
        files: the same bytes.
        pixels: the same pixels as a person sees them; those of ``files`` that can be read are among them.
        near: near duplicates, none of ``pixels`` alone: each group holds two different images at least. A chain: its
            ends may be less alike than its neighbours.
        distance: for each of ``near`` the largest number of bits between two that were linked.
        flat: images with too little in them for comparing.
        complete: False where the search ended early because there were too many near duplicates.
    """

    files: Groups
    pixels: Groups
    near: Groups
    distance: list[int]
    flat: int
    complete: bool


def find_duplicate_groups(scan: Scan, distance: int = DISTANCE, *, progress: Progress | None = None) -> DuplicateGroups:
    """Look for the same image twice, exactly and nearly.

    Args:
        scan: of M images.
        distance: bits of 256 that the hashes of near duplicates differ in at most.
        progress: called with steps done and in all; what it raises ends the search.
    """
    keys = digest_keys([look.pixel_digest for look in scan.looks])
    pixels = same_groups(keys)
    # Of the same pixels one stands for all.
    known, first = np.unique(keys, return_index=True)
    first = first[known >= 0]
    contrast = has_contrast(scan.grey[first]) if len(first) else np.zeros(0, dtype=bool)
    flat = int(np.isin(keys, keys[first[~contrast]]).sum())
    first = first[contrast]
    grey = scan.grey[first]
    pairs = near_pairs(
        scan.hashes[first], distance, keep=lambda one, other: likeness(grey, one, other) >= LIKENESS, progress=progress
    )
    groups = groups_of(pairs.first, pairs.second, len(first))
    copies = {int(keys[group[0]]): group for group in pixels}
    near, widest = [], []
    of = {place: k for k, group in enumerate(groups) for place in group}
    largest = np.zeros(len(groups), dtype=np.int64)
    np.maximum.at(largest, [of[place] for place in pairs.first.tolist()], pairs.distance)
    for group, bits in zip(groups, largest.tolist(), strict=True):
        members = [int(first[k]) for k in group]
        near.append(sorted(place for k in members for place in copies.get(int(keys[k]), [k])))
        widest.append(int(bits))
    files = same_groups(digest_keys([look.file_digest for look in scan.looks]))
    return DuplicateGroups(files, pixels, near, widest, flat, pairs.complete)


@dataclass(frozen=True)
class Conflicts:
    """Images of the same pixels whose labels say different things.

    Args:
        groups: of the same pixels with two labelled images at least.
        differing: of these, groups in which some attribute has different values.
        attributes: (A,) in how many groups each attribute differs.
    """

    groups: int
    differing: int
    attributes: list[int]


def label_conflicts(pixels: Groups, rows: Places, labels: npt.NDArray[np.float32]) -> Conflicts:
    """Compare the labels of exact duplicates.

    Args:
        pixels: groups of places.
        rows: int64 (M,), the row of each place's labels, or -1.
        labels: float32 (N, A); a missing value contradicts none.
    """
    groups = differing = 0
    attributes = np.zeros(labels.shape[1], dtype=np.int64)
    for group in pixels:
        labelled = sorted({int(row) for row in rows[group] if row >= 0})
        if len(labelled) < 2:
            continue
        groups += 1
        values = labels[labelled]
        low = np.where(np.isnan(values), np.inf, values).min(0)
        high = np.where(np.isnan(values), -np.inf, values).max(0)
        differs = high > low
        attributes += differs
        differing += bool(differs.any())
    return Conflicts(groups, differing, attributes.tolist())


def crossing(groups: Groups, split: Places) -> Groups:
    """The groups that have members in more than one split; ``split``: int64 (M,), -1 in none."""
    return [group for group in groups if len(set(split[group].tolist()) - {-1}) > 1]


@dataclass(frozen=True)
class Shared:
    """Something that lies in two splits: how often, and how many images of each it touches."""

    splits: tuple[int, int]
    groups: int
    images: tuple[int, int]


def shared(groups: Groups, split: Places, splits: Sequence[str]) -> list[Shared]:
    """For every two splits, the groups with members in both; pairs of splits without any are left out."""
    found = []
    for one in range(len(splits)):
        for other in range(one + 1, len(splits)):
            both = [group for group in groups if {one, other} <= set(split[group].tolist())]
            if both:
                images = tuple(sum(int((split[group] == side).sum()) for group in both) for side in (one, other))
                found.append(Shared((one, other), len(both), (images[0], images[1])))
    return found


def person_groups(person: Places) -> Groups:
    """Rows of each person with two images or more; -1 is nobody."""
    return same_groups(person)
