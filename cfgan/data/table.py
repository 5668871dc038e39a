"""The one reader of label tables: whatever the file, the same table is read in the same way by every command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.left_out import LeftOut
from cfgan.data.read.bins import binned
from cfgan.data.read.classes import attribute_name, class_numbers, class_vocabulary, one_hot
from cfgan.data.read.columns import Columns, Roles, find_roles
from cfgan.data.read.duplicates import one_row_each
from cfgan.data.read.frames import plain_title, read_frame
from cfgan.data.read.label_values import read_values, words
from cfgan.data.read.names import Matches, match_names, plain_name
from cfgan.data.read.splits import common_words
from cfgan.errors import DataError, InputError, VocabularyError, nearest
from cfgan.io.files import user_path

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelTable:
    """What a label table holds, a row an image.

    Args:
        path: where it was read from.
        vocabulary: the A attributes, in the order of their columns, or of the vocabulary that they were read for.
        labels: float32 (N, A), -1..1; 1 has it, -1 has it not, between graded, NaN unknown.
        files: N file names as written, with POSIX separators, each once; None where the table has none. They are
            compared with those of files by :func:`cfgan.data.read.names.name_key`.
        split: N words, "" where nothing is said; "train", "validation" and "test" where all words mean those, else as
            they stand; None without such a column.
        person: N names of who is in an image, "" unknown; None without such a column.
        left_out: columns that were not used.
        requested: whether these are the requests of a batch's manifest, not labels.
        synthetic: N, whether an image was generated, as `cfgan balance` notes; None where nothing says so.

    Example:
        >>> table = cfgan.read_labels("labels.csv")
        >>> table.files, table.split
        (('a.png', 'b.png', 'c.png'), ('train', 'train', 'test'))
        >>> dict(table.left_out.columns)
        {'photographer': 'text, not labels'}
    """

    path: Path
    vocabulary: Vocabulary
    labels: Floats
    files: tuple[str, ...] | None = None
    split: tuple[str, ...] | None = None
    person: tuple[str, ...] | None = None
    left_out: LeftOut = field(default_factory=LeftOut)
    requested: bool = False
    synthetic: tuple[bool, ...] | None = None

    def match(self, files: Sequence[str], *, field: str = "--labels") -> Matches:
        """For each image its row; see :func:`cfgan.data.read.names.match_names`.

        Raises:
            DataError: the table has no file names, an image or a row may be either of two, or nothing fits at all.
        """
        if self.files is None:
            raise DataError(
                f"{self.path.name} has no column of file names; call it 'file'.", field=field, value=self.path
            )
        found = match_names(self.files, files, table=self.path.name, field=field)
        if len(files) and not (found.rows >= 0).any():
            raise DataError(
                f"{self.path.name} names none of the images (its first name is {self.files[0]!r}, the first image "
                f"{files[0]!r}).",
                field=field,
                value=self.path,
            )
        return found


def read_labels(
    path: str | Path,
    columns: Columns | None = None,
    vocabulary: Vocabulary | None = None,
    *,
    ignore_unknown: bool = False,
    field: str = "path",
) -> LabelTable:
    """Read a label table.

    Files: text with commas, semicolons or tabs (.csv, .tsv, also .gz), Parquet, JSON, JSON lines, CelebA's
    ``list_attr_celeba.txt``, a batch's ``manifest.csv`` (its ``requested.*`` are the labels then). Columns of file
    names, splits and persons are known by their titles; columns of text, row numbers and columns without a title are
    left out and named. What cells mean is said by :func:`cfgan.data.read.label_values.read_values`.

    Args:
        path: the file.
        columns: what is said of the columns.
        vocabulary: the attributes that may be there, spelled in any case; None: the table says what there is.
        ignore_unknown: leave out columns of labels that are not in the vocabulary.
        field: the option that names the file, for messages.

    Raises:
        DataError: missing, not such a table, no rows, no label column, a file name that is listed twice, a cell
            that cannot be used; names the row.
        InputError: a column that is not there, with the nearest ones; Parquet without pyarrow.
        VocabularyError: a column that is not in the vocabulary, with the nearest names; two of one name.

    Example:
        >>> table = cfgan.read_labels("labels.csv")
        >>> table.vocabulary.names
        ('Hat', 'Smile')
        >>> table.labels.tolist()                     # 1 has it, -1 has it not, NaN unknown
        [[1.0, -1.0], [-1.0, 1.0], [-1.0, nan]]
    """
    path, chosen = user_path(path, field=field), columns or Columns()
    frame = read_frame(path, text=chosen.text(), field=field)
    return frame_labels(frame, path, chosen, vocabulary, ignore_unknown=ignore_unknown, field=field)


def frame_labels(
    frame: pd.DataFrame,
    path: Path,
    columns: Columns,
    vocabulary: Vocabulary | None = None,
    *,
    ignore_unknown: bool = False,
    field: str = "--labels",
) -> LabelTable:
    """The same from a table that is read already; ``path`` is for messages. Raises as :func:`read_labels`."""
    name = path.name
    frame, columns = _with_bins(frame, columns, name)
    roles = find_roles(frame, columns, vocabulary, ignore_unknown=ignore_unknown, name=name, field=field)
    known, labels = _labels(frame, roles, columns, name)
    files: tuple[str, ...] | None = None
    repeated: dict[str, str] = {}
    if roles.file is not None:
        named = tuple(map(plain_name, words(frame[roles.file].tolist())))
        sets = [[known.index(each) for each in group] for group in known.one_of]
        which = columns.duplicates
        rows, labels, repeated = one_row_each(named, labels, which, sets=sets, name=name, field=field)
        files = tuple(named[row] for row in rows.tolist())
        frame = frame.iloc[rows]
    if vocabulary is not None:
        known, labels = _within(vocabulary, known, labels, name, field)
    split = None if roles.split is None else words(frame[roles.split].tolist())
    return LabelTable(
        path,
        known,
        labels,
        files,
        None if split is None else common_words(split),
        None if roles.person is None else words(frame[roles.person].tolist()),
        LeftOut(columns=roles.left_out, rows=repeated),
        roles.requested,
        None if roles.synthetic is None else _true(words(frame[roles.synthetic].tolist())),
    )


def _true(cells: Sequence[str]) -> tuple[bool, ...]:
    """Of cells of a column that `cfgan balance` wrote."""
    return tuple(cell.casefold() in ("1", "1.0", "true") for cell in cells)


def _with_bins(frame: pd.DataFrame, columns: Columns, name: str) -> tuple[pd.DataFrame, Columns]:
    """The table with classes in place of the numbers that have bins."""
    if not columns.bins:
        return frame, columns
    import pandas as pd

    plain = {plain_title(title): title for title in frame.columns}
    frame, classes = frame.copy(), [*columns.classes]
    for given, edges in columns.bins.items():
        title = plain.get(plain_title(given))
        if title is None:
            close = nearest(given, list(frame.columns))
            raise InputError(f"{name} has no column {given!r}.", field="--bins", value=given, nearest=close)
        frame[title] = pd.Series(binned(given, frame[title].tolist(), edges), index=frame.index, dtype=object)
        classes += [title] if title not in classes else []
    return frame, replace(columns, classes=tuple(classes), bins={})


def _labels(frame: pd.DataFrame, roles: Roles, columns: Columns, name: str) -> tuple[Vocabulary, Floats]:
    """Labels of the attributes, then one for each class."""
    scale = "signed" if roles.requested else columns.values
    parts = [read_values(frame[list(roles.labels.values())], scale, name=name)] if roles.labels else []
    sets: dict[str, list[str]] = {}
    taken = {other.casefold() for other in roles.labels}
    for title in roles.classes:
        numbers, found = class_numbers(frame[title].tolist(), fold_case=columns.fold_case)
        names = [attribute_name(cell) for cell in found]
        if any(each.casefold() in taken for each in names):  # two sets with a class "none", say
            names = [attribute_name(f"{title}_{cell}") for cell in found]
        taken |= {each.casefold() for each in names}
        parts.append(one_hot(numbers, len(found)))
        sets[title] = names
    try:
        vocabulary = class_vocabulary(sets, tuple(roles.labels)) if sets else Vocabulary.of(roles.labels)
    except VocabularyError as error:
        raise VocabularyError(f"{name}: {error}", field="--columns") from None
    return vocabulary, np.concatenate(parts, axis=1)


def _within(
    vocabulary: Vocabulary, known: Vocabulary, labels: Floats, name: str, field: str
) -> tuple[Vocabulary, Floats]:
    """The labels, classes among them, that a vocabulary has, in its order and spelling."""
    places = {vocabulary.index(each): k for k, each in enumerate(known.names) if _has(vocabulary, each)}
    if not places:
        raise DataError(f"{name} has no column of labels that the model knows.", field=field, value=name)
    order = sorted(places)
    return Vocabulary.of(vocabulary.names[i] for i in order), labels[:, [places[i] for i in order]]


def _has(vocabulary: Vocabulary, name: str) -> bool:
    try:
        return vocabulary.index(name) >= 0
    except VocabularyError:
        return False
