"""Files that a label table lists several times: annotators who disagree, tables put together of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError, InputError, nearest

DUPLICATES = ("first", "last", "majority", "refuse")
"""Which row of a file counts that has several: one of them, what most that know say (a tie is unknown), or none."""


def check_duplicates(which: str) -> None:
    """Raise InputError, with the nearest, unless ``which`` is one of :data:`DUPLICATES`."""
    if which not in DUPLICATES:
        raise InputError(
            f"{which!r} is not one of {', '.join(DUPLICATES)}.",
            field="--duplicates",
            value=which,
            nearest=nearest(which, DUPLICATES),
        )


def one_row_each(
    files: Sequence[str],
    labels: npt.NDArray[np.float32],
    which: str,
    *,
    sets: Sequence[Sequence[int]] = (),
    name: str,
    field: str,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], dict[str, str]]:
    """Settle files that are listed several times.

    Args:
        files: N names.
        labels: float32 (N, A).
        which: one of :data:`DUPLICATES`.
        sets: columns of which exactly one holds, as of the classes of one column: a vote is for one of them.
        name: of the table, for messages.
        field: the option that names the table, for messages.

    Returns:
        The M rows that stay, ascending, float32 (M, A) their labels, and file -> what became of its other rows.

    Raises:
        DataError: a row without a name; with "refuse", a file that is listed twice.
    """
    check_duplicates(which)
    places: dict[str, list[int]] = {}
    for row, file in enumerate(files):
        if not file:
            raise DataError(f"{name} row {row + 1}: there is no file name.", field=field, value=file)
        if which == "refuse" and file in places:
            said = f"{file} is listed twice; --duplicates says which counts"
            raise DataError(f"{name} row {row + 1}: {said}.", field=field, value=file)
        places.setdefault(file, []).append(row)
    if len(places) == len(files):
        return np.arange(len(files)), labels, {}
    stays = {rows[-1 if which == "last" else 0]: rows for rows in places.values()}
    kept = np.asarray(sorted(stays), dtype=np.int64)
    settled = labels[kept]
    if which == "majority":
        for place, row in enumerate(kept.tolist()):
            if len(stays[row]) > 1:
                settled[place] = _majority(labels[stays[row]], sets)
    left = {files[row]: f"listed again; --duplicates {which}" for row, rows in stays.items() if len(rows) > 1}
    return kept, settled, left


def _majority(labels: npt.NDArray[np.float32], sets: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
    """What most rows (R, A) say of each attribute, (A,) in -1, 1 and NaN where it is a tie."""
    votes = np.nansum(np.sign(labels), axis=0)
    found = np.where(votes == 0, np.nan, np.sign(votes)).astype(np.float32)
    for columns in map(list, sets):
        each = (labels[:, columns] > 0).sum(axis=0)
        most = np.flatnonzero(each == each.max())
        if each.max() > 0 and len(most) == 1:
            found[columns] = -1
            found[columns[int(most[0])]] = 1
        else:  # one of them holds, and which is not known
            found[columns] = np.nan
    return found
