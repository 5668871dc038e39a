"""What the columns of a label table are: file names, splits, persons, labels, or something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.image_files import is_manifest
from cfgan.data.left_out import IGNORED
from cfgan.data.read.classes import attribute_name
from cfgan.data.read.frames import UNTITLED, plain_title
from cfgan.data.read.label_values import is_text, words
from cfgan.errors import DataError, InputError, VocabularyError, nearest

if TYPE_CHECKING:
    import pandas as pd

FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "image_name", "img", "path", "name")
"""Titles by which the column of file names is known; else it is the first column, where that holds no labels
or is called "id"."""
SPLIT_COLUMNS = ("split", "partition", "subset")
"""Titles by which the column that says train, validation or test is known."""
PERSON_COLUMNS = ("identity", "person", "person_id", "subject", "subject_id")
"""Titles by which the column that says who is in an image is known."""
SYNTHETIC = "synthetic"
NOTES = (SYNTHETIC, "request", "draw")
"""Columns that `cfgan balance` writes beside labels: no labels, unless somebody names them as such."""

TEXT, INDEX, UNKNOWN, NOTE = "text, not labels", "row numbers", "unknown to the model", "a note of cfgan's own"
FEW_WORDS = "text, not labels; --class-column reads each value as a class"
"""Why a column is left out."""

_FEW = 32  # different words of a column that may be classes

_REQUESTED = "requested."
_COUNTED = ("", "index")  # titles of columns that may hold row numbers


@dataclass(frozen=True)
class Columns:
    """Which column of a table means what, by its title in any case; what is not named is found out.

    Args:
        labels: None: all that nothing else is known of.
        classes: columns whose values are classes, one attribute each.
        file: file names.
        split: train, validation or test.
        person: who is in an image, or what else stays together.
        values: what numbers mean, one of :data:`cfgan.data.read.label_values.SCALES`.
        ignore: columns to leave out.
        duplicates: of a file that is listed several times, one of :data:`cfgan.data.read.duplicates.DUPLICATES`.
        bins: columns of numbers to be read as classes -> where one ends and the next begins, rising.
        fold_case: whether classes that differ in capitals alone are one.

    Example:
        >>> cfgan.read_labels("labels.csv", cfgan.Columns(labels=["Smile"])).vocabulary.names
        ('Smile',)
    """

    labels: Sequence[str] | None = None
    classes: Sequence[str] = ()
    file: str | None = None
    split: str | None = None
    person: str | None = None
    values: str = "auto"
    ignore: Sequence[str] = ()
    duplicates: str = "refuse"
    bins: Mapping[str, Sequence[float]] = field(default_factory=dict)
    fold_case: bool = False

    def any(self) -> bool:
        """Whether anything is said."""
        return self != Columns()

    def text(self) -> list[str]:
        """Titles, in their plain form, of columns whose cells are no numbers."""
        named = [title for title in (self.file, self.split, self.person, *self.classes) if title is not None]
        return [*FILE_COLUMNS, *SPLIT_COLUMNS, *PERSON_COLUMNS, *map(plain_title, named)]


@dataclass(frozen=True)
class Roles:
    """Titles of a table's columns.

    Args:
        labels: attribute -> its column, in the order of the table, or of the vocabulary where one is given.
        classes: columns of classes.
        left_out: column -> why it is used for nothing.
        requested: whether the labels are the requests of a batch's manifest.
        synthetic: the note of `cfgan balance` that says which images were generated.
    """

    labels: dict[str, str]
    classes: tuple[str, ...]
    file: str | None
    split: str | None
    person: str | None
    left_out: dict[str, str]
    requested: bool
    synthetic: str | None


def find_roles(
    frame: pd.DataFrame,
    columns: Columns,
    vocabulary: Vocabulary | None,
    *,
    ignore_unknown: bool,
    name: str,
    field: str,
) -> Roles:
    """Tell the columns of a table apart.

    Args:
        frame: the table.
        columns: what is said of them.
        vocabulary: the attributes that may be there; None: any.
        ignore_unknown: leave out columns of labels that are not among them.
        name: of the table, for messages.
        field: the option that names the table, for messages.

    Raises:
        InputError: a column that is not there, with the nearest ones.
        DataError: no column of labels, a column that is to be two things.
        VocabularyError: a column that is not in the vocabulary, with the nearest names.
    """
    return _Finder(frame, columns, vocabulary, name, field).find(ignore_unknown)


class _Finder:
    def __init__(
        self, frame: pd.DataFrame, columns: Columns, vocabulary: Vocabulary | None, name: str, field: str
    ) -> None:
        self._frame, self._columns, self._vocabulary = frame, columns, vocabulary
        self._name, self._field = name, field
        self._titles: list[str] = list(frame.columns)
        self._plain = {plain_title(title): title for title in reversed(self._titles)}
        self._left_out: dict[str, str] = {}

    def find(self, ignore_unknown: bool) -> Roles:
        columns, manifest = self._columns, is_manifest(self._titles)
        chosen = [self._title(title, "--columns") for title in columns.labels or ()]
        classes = [self._title(title, "--class-column") for title in columns.classes]
        self._drop([self._title(title, "--ignore") for title in columns.ignore], (*chosen, *classes))
        file = self._known(columns.file, FILE_COLUMNS, "--file-column", chosen)
        split = self._known(columns.split, SPLIT_COLUMNS, "--split-column", chosen)
        person = self._known(columns.person, PERSON_COLUMNS, "--person-column", chosen)
        file = file or self._names_first({*chosen, *classes, split, person})
        taken = {title for title in (file, split, person, *classes) if title is not None}
        for title in chosen:
            if title in taken:
                raise DataError(f"{title} is used for something else already.", field="--columns", value=title)
        if columns.labels is None:
            rest = [title for title in self._titles if title not in taken]
            chosen = [t for t in rest if t.startswith(_REQUESTED)] if manifest else list(self._labels(rest))
        labels = self._attributes(chosen, ignore_unknown)
        if not labels and not classes:
            what = "asks for no attribute" if manifest and not chosen else "has no column of labels"
            why = "".join(f"; {title} is left out ({reason})" for title, reason in list(self._left_out.items())[:5])
            raise DataError(f"{self._name} {what}{why}.", field=self._field, value=self._name)
        note = self._plain.get(SYNTHETIC)
        synthetic = note if self._left_out.get(note or "") == NOTE else None
        return Roles(labels, tuple(classes), file, split, person, self._left_out, manifest, synthetic)

    def _drop(self, ignored: Sequence[str], used: Sequence[str]) -> None:
        """Forget columns that nobody wants."""
        if both := next((title for title in used if title in ignored), None):
            raise DataError(f"{both} cannot be used and left out.", field="--ignore", value=both)
        self._titles = [title for title in self._titles if title not in ignored]
        self._plain = {key: title for key, title in self._plain.items() if title not in ignored}
        self._left_out.update(dict.fromkeys(ignored, IGNORED))
        if not self._titles:
            raise DataError(f"nothing is left of {self._name}.", field="--ignore", value=ignored[0])

    def _title(self, name: str, field: str) -> str:
        for key in (plain_title(name), _REQUESTED + plain_title(name)):
            if key in self._plain:
                return self._plain[key]
        raise InputError(
            f"{self._name} has no column {name!r}.", field=field, value=name, nearest=nearest(name, self._titles)
        )

    def _known(self, given: str | None, known: Sequence[str], field: str, labels: Iterable[str]) -> str | None:
        """The column that is named, else the first of a known title; others of such titles are left out."""
        if given is not None:
            return self._title(given, field)
        found = [self._plain[title] for title in known if title in self._plain]
        return next((title for title in found if title not in labels), None)

    def _names_first(self, taken: set[str | None]) -> str | None:
        """The first column, where it holds file names under a title of somebody's own."""
        first = self._titles[0]
        if first in taken or self._in_vocabulary(first) or self._counts(first):
            return None
        column = self._frame[first]
        known = words(column.tolist())
        if not any(known):
            return None
        distinct = "" not in known and len(set(known)) == len(known)
        numbers = distinct and not set(known) <= {"1", "0", "-1", "1.0", "0.0"}
        return first if numbers or plain_title(first) == "id" or is_text(column) else None

    def _in_vocabulary(self, title: str) -> bool:
        try:
            return self._vocabulary is not None and self._vocabulary.index(title) >= 0
        except VocabularyError:
            return False

    def _counts(self, title: str) -> bool:
        """Whether a column without a title of its own holds the numbers of the rows."""
        if plain_title(UNTITLED.sub("", title)) not in _COUNTED:
            return False
        known = words(self._frame[title].tolist())
        start = 1 if known[0] == "1" else 0
        return list(known) == [str(k) for k in range(start, start + len(known))]

    def _labels(self, titles: Sequence[str]) -> Iterable[str]:
        """The columns that hold labels; why the others do not is noted."""
        for title in titles:
            plain = plain_title(title)
            if plain in NOTES:
                self._left_out[title] = NOTE
            elif self._counts(title):
                self._left_out[title] = INDEX
            elif plain in SPLIT_COLUMNS or plain in PERSON_COLUMNS:
                self._left_out[title] = "another column says it"
            elif UNTITLED.fullmatch(title):
                self._left_out[title] = "without a title"
            elif not self._in_vocabulary(title) and is_text(self._frame[title]):
                classes = self._vocabulary is None and _few_words(self._frame[title])
                self._left_out[title] = FEW_WORDS if classes else TEXT
            else:
                yield title

    def _attributes(self, titles: Sequence[str], ignore_unknown: bool) -> dict[str, str]:
        """Attribute -> column, in the vocabulary's order where there is one."""
        found: dict[str, str] = {}
        for title in titles:
            plain = title.removeprefix(_REQUESTED)
            if self._vocabulary is None:
                name = attribute_name(plain)
            else:
                try:
                    name = self._vocabulary.canonical(plain)
                except VocabularyError as error:
                    if ignore_unknown:
                        self._left_out[title] = UNKNOWN
                        continue
                    raise VocabularyError(
                        f"{self._name} has a column {title!r}, and the model no such attribute; "
                        "--ignore-unknown leaves such columns out.",
                        field=self._field,
                        value=title,
                        nearest=error.nearest,
                    ) from None
            if name in found:
                raise DataError(f"{self._name} has two columns for {name}.", field=self._field, value=title)
            found[name] = title
        order = {name: k for k, name in enumerate(self._vocabulary.names if self._vocabulary else ())}
        return {name: found[name] for name in (sorted(found, key=order.__getitem__) if order else found)}


def _few_words(column: pd.Series[Any]) -> bool:
    """Whether a column of text has so few values, each so often, that they may be classes."""
    different = len(set(words(column.tolist())) - {""})
    return 2 <= different <= _FEW and len(column) >= 10 * different
