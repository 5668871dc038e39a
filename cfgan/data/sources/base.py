"""What every kind of source comes to: labels, splits and the images they belong to, before any is opened."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.decode import Box
from cfgan.data.image_files import suffix_counts
from cfgan.data.labelled_images import SPLITS, LabelledImages
from cfgan.data.left_out import LeftOut
from cfgan.data.profile.image_scan import FilePictures, OpenedPictures, Pictures
from cfgan.data.read.columns import Columns
from cfgan.data.read.splits import WORDS, Shares, require_together
from cfgan.errors import DataError, InputError, nearest

Ints = npt.NDArray[np.int64]

NOT_IN_TABLE = "not in the table"
"""Why an image is left out that no row names."""
NO_IMAGE = "no such image"
"""Why a row is left out that names no image."""

_ORDER = {word: k for k, word in enumerate(("train", "training", "valid", "validation", "val", "dev", "test"))}


@dataclass(frozen=True)
class Options:
    """What is said about a source.

    Args:
        layout: of a folder, one of :data:`cfgan.data.source.LAYOUTS`.
        labels: the label table of a folder of images.
        columns: of a table.
        pattern: how labels stand in names; see :mod:`cfgan.data.sources.patterns`.
        vocabulary: the attributes that a table may have; None: any.
        ignore_unknown: leave out columns of labels that are not in the vocabulary.
        identity: a file of lines "file person", as ``identity_CelebA.txt``, which a CelebA folder has of its own.
        shares: of what is held out where a package does not say.
        root: the folder that a class of torchvision reads.
        download: let torchvision fetch what is not there.
        field: the option that names the source, for messages.
    """

    layout: str = "auto"
    labels: Path | None = None
    columns: Columns = field(default_factory=Columns)
    pattern: str | None = None
    vocabulary: Vocabulary | None = None
    ignore_unknown: bool = True
    identity: Path | None = None
    shares: Shares = field(default_factory=Shares)
    root: Path | None = None
    download: bool = False
    field: str = "SOURCE"


@dataclass(frozen=True)
class Source:
    """Labelled images of any kind, before any image is opened.

    Args:
        kind: name of one of :data:`cfgan.data.source.KINDS`.
        name: last part of its path.
        vocabulary: A attributes.
        labels: float32 (N, A), -1..1, NaN unknown.
        files: N names, or None.
        split: int64 (N,), places in ``splits``, -1 where nothing is said; None without splits.
        splits: "train", ...
        person: int64 (N,), places in ``persons``, -1 unknown; None where nothing says who is in an image.
        persons: their names.
        pictures: the images to look at, or None.
        unlabelled: image files beside the labelled ones.
        ignored: other files in the folder, by suffix.
        left_out: what was not used.
        folder: where the files lie; None where there are none of their own.
        crop, image_size, opener, sound, framing: as in :class:`cfgan.data.labelled_images.LabelledImages`.
        requested: whether the labels are the requests of a batch.
        synthetic: N, whether an image was generated to fill up real ones; None where nothing says so.
    """

    kind: str
    name: str
    vocabulary: Vocabulary
    labels: npt.NDArray[np.float32]
    files: tuple[str, ...] | None = None
    split: Ints | None = None
    splits: tuple[str, ...] = ()
    person: Ints | None = None
    persons: tuple[str, ...] = ()
    pictures: Pictures | None = None
    unlabelled: int = 0
    ignored: Counter[str] | None = None
    left_out: LeftOut = field(default_factory=LeftOut)
    folder: Path | None = None
    crop: Box | None = None
    image_size: tuple[int, int] | None = None
    opener: Callable[[str], Image.Image] | None = None
    sound: bool = False
    framing: str = ""
    requested: bool = False
    synthetic: tuple[bool, ...] | None = None

    @property
    def train_only(self) -> npt.NDArray[np.bool_]:
        """bool (N,): generated images among real ones. What is measured is measured on real ones, so that they are
        never held out, unless the source itself says so."""
        flags = np.asarray(self.synthetic or np.zeros(len(self.labels)), dtype=bool)
        return flags & ~flags.all()

    @property
    def digest(self) -> str:
        """sha256 over names, labels, files and splits: the same data set, wherever it lies."""
        found = hashlib.sha256(json.dumps([self.vocabulary.names, self.files, self.splits]).encode())
        for part in (self.labels, self.split, self.person):
            found.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
        return found.hexdigest()

    @property
    def lacks_validation(self) -> bool:
        """Whether the source says which images are for training, and none for validation, as many do."""
        if self.split is None:
            return False
        stated = {self.splits[place] for place in np.unique(self.split).tolist() if place >= 0}
        return "train" in stated and "validation" not in stated

    def parts(self, shares: Shares, *, together: bool = False) -> npt.NDArray[np.uint8]:
        """uint8 (N,), 0 train, 1 validation, 2 test: as the source says, by shares where it does not.

        Where it has training images and none for validation, a share of the former is held out for that.

        Args:
            shares: of what is held out; they go by the person, where one is known, else by the file name.
            together: whether nobody may be unknown or lie in two splits.

        Raises:
            DataError: a word that names no split, with its nearest; a person in two splits.
        """
        keys = list(self.files or map(str, range(len(self.labels))))
        if self.person is not None:
            if together and (self.person < 0).any():
                row = int(np.flatnonzero(self.person < 0)[0])
                raise DataError(f"the group of {keys[row]} is not known.", field="--group-column", value=keys[row])
            persons = zip(self.person.tolist(), keys, strict=True)
            keys = [self.persons[k] if k >= 0 else key for k, key in persons]
        split = shares.split(keys)
        split[self.train_only] = SPLITS["train"]
        held = split == SPLITS["validation"]
        if self.split is not None:
            for place, word in enumerate(self.splits):
                stated = self.split == place
                if word not in SPLITS and stated.any():
                    where = f"{self.name} row {int(np.flatnonzero(stated)[0]) + 1}"
                    close = nearest(word, WORDS)
                    raise DataError(
                        f"{where}: {word!r} is not a split.", field="--split-column", value=word, nearest=close
                    )
                split[stated] = SPLITS.get(word, 0)
        if self.lacks_validation:
            split[held & (split == SPLITS["train"])] = SPLITS["validation"]
        if together:
            require_together(split, keys, field="--group-column")
        return split

    def train_labels(self) -> npt.NDArray[np.float32]:
        """Labels of the training images, which are all of those of which nothing else is said."""
        rows: npt.NDArray[np.float32] = self.labels[self.parts(Shares(0, 0)) == SPLITS["train"]]
        return rows

    def labelled(self, shares: Shares | None = None, *, together: bool = False) -> LabelledImages:
        """The images as a table that can be packed.

        Raises:
            DataError: there are none to open; also as :meth:`parts`.
        """
        if self.files is None or (self.folder is None and self.opener is None):
            what = "a packed store already" if self.kind == "store" else "a label table without images"
            raise DataError(f"{self.name} is {what}.", field="SOURCE", value=self.name)
        return LabelledImages(
            self.folder or Path(),
            self.files,
            self.labels,
            self.parts(shares or Shares(), together=together),
            self.vocabulary,
            self.crop,
            self.image_size,
            self.opener,
            self.sound,
            self.framing,
        )


def from_images(kind: str, name: str, table: LabelledImages) -> Source:
    """A source whose images and labels were read already; its folder is looked through for more, if it has one."""
    own = table.opener is None
    paths = [table.folder / file for file in table.files]
    known = set(table.files)
    beside = [entry.name for entry in table.folder.iterdir() if entry.name not in known] if own else []
    images = sorted(each for each in beside if suffix_counts(each))
    pictures: Pictures = (
        FilePictures(table.files, paths, np.arange(len(paths)), table.crop, table.image_size)
        if table.opener is None
        else OpenedPictures(table.files, table.opener)
    )
    return Source(
        kind,
        name,
        table.vocabulary,
        table.labels,
        table.files,
        table.split.astype(np.int64),
        tuple(SPLITS),
        pictures=pictures,
        unlabelled=len(images),
        left_out=LeftOut(images=dict.fromkeys(images, NOT_IN_TABLE)),
        folder=table.folder if own else None,
        crop=table.crop,
        image_size=table.image_size,
        opener=table.opener,
        sound=table.sound,
    )


def numbered(words: Sequence[str] | None) -> tuple[Ints | None, tuple[str, ...]]:
    """Equal words get equal numbers, "" gets -1; and the words in order, the splits' own before that of letters."""
    if words is None:
        return None, ()
    known = tuple(sorted(set(words) - {""}, key=lambda word: (_ORDER.get(word.casefold(), len(_ORDER)), word)))
    number = {"": -1, **{word: k for k, word in enumerate(known)}}
    return np.fromiter((number[word] for word in words), dtype=np.int64, count=len(words)), known


def require_folder(path: Path, field: str) -> None:
    """Raise DataError with the nearest names where a path is no folder."""
    if not path.is_dir():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = nearest(path.name, beside)
        raise DataError(f"there is no folder {str(path)!r}.", field=field, value=path, nearest=close)


def refuse_table(options: Options, what: str) -> None:
    """Raise InputError where a table is described for a source that has its own labels."""
    if options.labels is not None or options.columns.any():
        raise InputError(f"{what}, which has its own labels.", field="--labels", value=options.labels)
