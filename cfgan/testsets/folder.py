"""The folder of a test set: what stands in it, and reading it back.

::

    manifest.json           format, design, spec, digests of bundle and embedder, versions, counts, licence
    images/SUBJECT/SUBJECT_0001.png ...   a folder a subject; subjects are synthetic and numbered, s00001 and on
    attributes.csv          a row an image: file, subject, seed, draw, what was requested, given and read
    pairs.csv               comparison sets: a row a comparison, see :class:`Pair`
    items.csv               detection sets: a row a presentation, see :class:`Item`
    protocol.json           folds, counts, screening, thresholds, how scores are to be given
    contact_sheet.png       the first faces at a glance, not in detection sets
    datasheet.md            a datasheet (Gebru et al., "Datasheets for Datasets", CACM 2021)
    spec.yaml               the resolved spec; building it again gives the same bytes
    checksums.sha256        sha256 of every other file, in the format of sha256sum; written last

A comparison is *mated* if both faces are one person's, *non-mated* if not (ISO/IEC 19795-1). Two pictures that the
generator made from one latent with another attribute are only presumed to be mated.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from cfgan.errors import FolderError
from cfgan.io import journal
from cfgan.io.cells import CellWriter
from cfgan.io.files import read_json_object, write_text
from cfgan.io.reading import open_text, reason

FORMAT = "cfgan-testset/2"
"""Of sets that are built now. Format 1 has no columns ``control`` and ``rank``, and its level nearest was looked for
inside each fold, with no cap on how often a face is the probe."""

FORMATS = ("cfgan-testset/1", FORMAT)
"""Those that are read."""

_SINCE_2 = ("control", "rank")  # columns of pairs.csv
MANIFEST, PAIRS, ITEMS = "manifest.json", "pairs.csv", "items.csv"
CHECKSUMS = "checksums.sha256"
ATTRIBUTES, PROTOCOL, DATASHEET, SPEC = "attributes.csv", "protocol.json", "datasheet.md", "spec.yaml"
SHEET = "contact_sheet.png"

Mated = Literal["0", "1", "presumed"]
Label = Literal["attack", "bona_fide"]


@dataclass(frozen=True)
class Pair:
    """One comparison.

    Args:
        pair: its name, p000001 and on.
        a: the enrolled face: a file of the set, or ``gallery/PERSON/FILE``, which the user keeps; of several images
            of a person the one that is most like b.
        b: the probe: a file of the set.
        mated: "0" two persons, "1" one person, "presumed" one latent with a changed attribute.
        stratum: what kind of comparison it is, such as "nearest" or "Smiling"; figures are reported by it.
        group: comparisons of one group share their enrolled face, so that strata can be compared pair by pair.
        matched: stated attribute values that both faces show, such as ("Male", "-Eyeglasses").
        differing: stated attribute values of b that a has not; also a change of capture such as "blur=2" where the
            stratum does not name it.
        moved: values of b that were not meant to differ from a, but do by the judge.
        similarity: by the embedder that chose the pairs, more is more alike; None where there is none.
        fold: 1..k; no subject is in two folds.
        control: similarity by another recogniser, which chose no pair; None where there is none.
        rank: of a pair of the level nearest: the how-manieth most similar b is to a of all faces that a could have been
            compared with, 1 the most; None in others.
    """

    pair: str
    a: str
    b: str
    mated: Mated
    stratum: str
    group: str
    matched: tuple[str, ...]
    differing: tuple[str, ...]
    moved: tuple[str, ...]
    similarity: float | None
    fold: int
    control: float | None = None
    rank: int | None = None


@dataclass(frozen=True)
class Item:
    """One presentation to a detector of generated faces (ISO/IEC 30107-3).

    Args:
        item: its name, i000001 and on.
        file: a file of the set; empty for a slot that the user's own image is to fill.
        label: "attack", generated, or "bona_fide", a real face that the user brought.
        stratum: the attribute values by which attacks and bona fide faces were matched, such as "Male,Eyeglasses".
        fold: 1..k.
    """

    item: str
    file: str
    label: Label
    stratum: str
    fold: int


def subject_of(file: str) -> str:
    """The subject that a file of :class:`Pair` shows: the folder that it lies in."""
    return file.split("/")[-2]


def person_of(file: str) -> str:
    """Whom a file of :class:`Pair` shows, by a name that tells enrolled people from synthetic subjects of that name."""
    enrolled = "gallery/" if file.startswith("gallery/") else ""
    return enrolled + (subject_of(file) if "/" in file else file)


@dataclass(frozen=True)
class Testset:
    """An opened test set; ``pairs`` is empty in detection sets, ``items`` in the others."""

    __test__ = False  # not for pytest, whatever its name

    path: Path
    manifest: dict[str, Any]
    protocol: dict[str, Any]
    pairs: tuple[Pair, ...]
    items: tuple[Item, ...]

    @property
    def design(self) -> str:
        """matched, transect, factorial, capture, gallery or detection."""
        return str(self.manifest["design"])


def open_testset(path: Path) -> Testset:
    """Read a finished test set. Images are not opened, checksums not compared.

    Raises:
        FolderError: no test set, unfinished, of another format or damaged; names the file and the line.
    """
    if not path.is_dir():
        raise FolderError(f"there is no folder {path}.", field="testset", value=path)
    if not (path / CHECKSUMS).exists():
        unfinished = (path / journal.NAME).exists()
        what = "is an unfinished test set: run the command that made it again" if unfinished else "is not a test set"
        raise FolderError(f"{path} {what}.", field="testset", value=path)
    try:
        manifest, protocol = read_json_object(path / MANIFEST), read_json_object(path / PROTOCOL)
        if manifest.get("format") not in FORMATS:
            found = manifest.get("format")
            raise FolderError(f"{path} has format {found!r}, not {' or '.join(FORMATS)}.", field="testset", value=path)
        detection = str(manifest["design"]) == "detection"
        missing = _SINCE_2 if manifest["format"] == FORMATS[0] else ()
        pairs = () if detection else tuple(_pair(row) for row in _rows(path / PAIRS, Pair, missing))
        items = tuple(_item(row) for row in _rows(path / ITEMS, Item)) if detection else ()
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise FolderError(f"{path} is damaged: {error}.", field="testset", value=path) from None
    return Testset(path, manifest, protocol, pairs, items)


def write_rows(path: Path, kind: type[Pair] | type[Item], rows: Iterable[Pair | Item]) -> None:
    """Write pairs or items as CSV, atomically. Raises StorageError."""
    out = io.StringIO()
    writer = CellWriter(out)
    writer.writerow([field.name for field in fields(kind)])
    writer.writerows([_cell(value) for value in astuple(row)] for row in rows)
    write_text(path, out.getvalue())


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return ";".join(value)
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else str(value)


def _rows(path: Path, kind: type[Pair] | type[Item], missing: Sequence[str] = ()) -> Iterable[dict[str, str]]:
    names = [field.name for field in fields(kind) if field.name not in missing]
    try:
        with open_text(path) as handle:
            reader = csv.DictReader(handle)
            if list(reader.fieldnames or ()) != names:
                raise ValueError(f"{path.name} does not have the columns {', '.join(names)}")
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"{path.name} line {reader.line_num} has too many or too few columns")
                try:
                    _check(row)
                except ValueError as error:
                    raise ValueError(f"{path.name} line {reader.line_num}: {error}") from None
                yield row
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} {reason(error)}") from None


def _check(row: dict[str, str]) -> None:
    if not row["fold"].isdigit():
        raise ValueError(f"fold {row['fold']!r} is not a number")
    if row.get("mated", "0") not in ("0", "1", "presumed"):
        raise ValueError(f"mated {row['mated']!r} is neither 0, 1 nor presumed")
    if row.get("label", "attack") not in ("attack", "bona_fide"):
        raise ValueError(f"label {row['label']!r} is neither attack nor bona_fide")
    for key in ("a", "b", "file"):
        name = row.get(key)
        if name and not name.rpartition("/")[0].strip("/"):
            raise ValueError(f"{key} {name[:200]!r} is in no subject's folder")
    if not all(row.get(key, "x") for key in ("a", "b")):
        raise ValueError("a comparison has no face")
    for key in ("similarity", "control"):
        if not math.isfinite(float(row.get(key) or 0)):
            raise ValueError(f"{key} {row[key]!r} is not a finite number")
    if row.get("rank") and not row["rank"].isdigit():
        raise ValueError(f"rank {row['rank']!r} is not a number")


def _pair(row: dict[str, str]) -> Pair:
    return Pair(
        pair=row["pair"],
        a=row["a"],
        b=row["b"],
        mated=row["mated"],  # type: ignore[arg-type]
        stratum=row["stratum"],
        group=row["group"],
        matched=_values(row["matched"]),
        differing=_values(row["differing"]),
        moved=_values(row["moved"]),
        similarity=float(row["similarity"]) if row["similarity"] else None,
        fold=int(row["fold"]),
        control=float(row["control"]) if row.get("control") else None,
        rank=int(row["rank"]) if row.get("rank") else None,
    )


def _item(row: dict[str, str]) -> Item:
    return Item(row["item"], row["file"], row["label"], row["stratum"], int(row["fold"]))  # type: ignore[arg-type]


def _values(text: str) -> tuple[str, ...]:
    return tuple(text.split(";")) if text else ()


def value_name(name: str, present: bool) -> str:
    """An attribute value as it stands in the columns: "Smiling" or "-Smiling"."""
    return name if present else f"-{name}"


def write_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Write ``pairs.csv`` into a folder. Raises StorageError."""
    write_rows(path / PAIRS, Pair, pairs)


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Write ``items.csv`` into a folder. Raises StorageError."""
    write_rows(path / ITEMS, Item, items)
