"""Splits that hold out each attribute's values in their share, with what belongs together in one split.

By the file name alone (:class:`cfgan.data.read.splits.Shares`) a value that thirty images carry may come to one
validation image, or none; and a picture that is there twice may be learned from and tested on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cfgan.data.labelled_images import SPLITS, LabelledImages
from cfgan.data.profile.duplicate_groups import find_duplicate_groups, person_groups
from cfgan.data.profile.duplicates import groups_of
from cfgan.data.profile.image_scan import scan_images
from cfgan.data.read.splits import Shares, Splits, name_order
from cfgan.data.sources.base import Source
from cfgan.io.progress import Progress

Groups = Sequence[Sequence[int]]


def stratified(
    source: Source,
    shares: Shares,
    *,
    together: bool = False,
    workers: int = 2,
    progress: Progress | None = None,
) -> LabelledImages:
    """The images of a source as a table whose held-out images are chosen by label; what the source states stays.

    Images of the same pixels, near duplicates and the images of a person stay in one split: where the source puts one
    of them into a split, the others follow.

    Args:
        source: labelled images.
        shares: of what is held out.
        together: as for :meth:`Source.labelled`.
        workers: threads that look for duplicates.
        progress: called with images done and in all; what it raises ends the work.

    Raises:
        DataError: as :meth:`Source.labelled`.
    """
    table = source.labelled(shares, together=together)
    stated = np.zeros(len(table.files), dtype=bool)
    if source.split is not None:
        for place, word in enumerate(source.splits):
            open_train = word == "train" and source.lacks_validation and shares.validation > 0
            stated |= (source.split == place) & (word in SPLITS and not open_train)
        if source.lacks_validation:
            shares = Shares(shares.validation, 0)
    stated |= source.train_only
    if stated.all() or source.pictures is None:
        return table
    scan = scan_images(source.pictures, source.labels, workers=workers, progress=progress)
    found = find_duplicate_groups(scan, progress=progress)
    rows = source.pictures.rows
    groups = [[int(rows[place]) for place in group if rows[place] >= 0] for group in (*found.pixels, *found.near)]
    people = person_groups(source.person) if source.person is not None else []
    if source.lacks_validation:  # training images go to validation at most, not after a copy into the test split
        groups, people = ([[row for row in group if not stated[row]] for group in each] for each in (groups, people))
    units = _units([*groups, *people], len(table.files))
    given = np.where(stated, table.split.astype(np.int64), -1)
    return replace(table, split=split_units(units, table.files, table.labels, shares, given))


def _units(groups: Groups, count: int) -> list[list[int]]:
    """Rows that stay together, every row in one of them."""
    links = [(group[0], other) for group in groups for other in group[1:]]  # none of a group of one or nobody
    first, second = np.asarray(links, dtype=np.int64).reshape(-1, 2).T
    linked = groups_of(first, second, count)
    alone = set(range(count)) - {row for group in linked for row in group}
    return [*linked, *([row] for row in sorted(alone))]


def split_units(
    units: Groups,
    keys: Sequence[str],
    labels: npt.NDArray[np.float32],
    shares: Shares,
    stated: npt.NDArray[np.int64],
) -> Splits:
    """Iterative stratification (Sechidis et al., ECML PKDD 2011): the scarcest value is dealt out first.

    Of equals the order of a hash of the names decides, so that the same images are always split alike.

    Args:
        units: rows that stay together; every row in one.
        keys: N names.
        labels: float32 (N, A); 1, -1, NaN unknown.
        shares: of what is held out.
        stated: int (N,), a row's split where it is given; -1: to be chosen.

    Returns:
        uint8 (N,); 0 train, 1 validation, 2 test.
    """
    split = np.zeros(len(keys), dtype=np.uint8)
    carries = np.concatenate([labels > 0, labels < 0], 1)  # N 2A
    given = [next((int(stated[row]) for row in unit if stated[row] >= 0), -1) for unit in units]
    for unit, part in zip(units, given, strict=True):
        split[list(unit)] = max(part, 0)
    split[stated >= 0] = stated[stated >= 0]
    order = name_order(keys)  # N, the place of each row's name among all
    free = sorted(
        (unit for unit, part in zip(units, given, strict=True) if part < 0), key=lambda u: min(order[list(u)])
    )
    counts = np.zeros((len(free), carries.shape[1]))  # U 2A
    for k, unit in enumerate(free):
        counts[k] = carries[list(unit)].sum(0)
    sizes = np.asarray([len(unit) for unit in free], dtype=np.float64)
    part_shares = np.asarray([1 - shares.validation - shares.test, shares.validation, shares.test])
    wanted = part_shares[:, None] * counts.sum(0)  # 3 2A, of each value what each split still lacks
    room = part_shares * sizes.sum()  # 3
    open_units = np.ones(len(free), dtype=bool)

    def assign(place: int, lacks: npt.NDArray[np.float64]) -> None:
        lacks = np.where(part_shares > 0, lacks, -np.inf)
        part = int(np.lexsort((-part_shares, -room, -lacks))[0])  # of equals where most room is
        split[list(free[place])] = part
        wanted[part] -= counts[place]
        room[part] -= sizes[place]
        open_units[place] = False

    while open_units.any():
        left = counts[open_units].sum(0)
        if not left.any():
            for place in np.flatnonzero(open_units).tolist():  # of nothing is known
                assign(place, room)
            break
        value = int(np.where(left > 0, left, np.inf).argmin())
        for place in np.flatnonzero(open_units & (counts[:, value] > 0)).tolist():
            assign(place, wanted[:, value])
    return split
