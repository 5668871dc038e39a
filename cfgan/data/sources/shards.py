"""Shards with labels: tar files as WebDataset reads them, Parquet files as the Hugging Face Hub has them.

Of a tar file the labels of ``KEY.png`` are the object in ``KEY.json`` and the class in ``KEY.cls``; of a Parquet file
they are the columns beside that of the images. One shard after another is read, and no image is opened: what is kept of
a row is its name and its labels.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from cfgan.data.archives import PARQUET, SUFFIXES, Span, holds_images, members, read_span
from cfgan.data.decode import MAX_BYTES, read_picture
from cfgan.data.image_files import suffix_counts
from cfgan.data.left_out import LeftOut
from cfgan.data.profile.image_scan import OpenedPictures
from cfgan.data.read.splits import FOLDERS, common_words
from cfgan.data.sources.base import NOT_IN_TABLE, Options, Source, numbered
from cfgan.data.table import frame_labels
from cfgan.errors import DataError
from cfgan.io.files import real_path
from cfgan.io.reading import library_errors

if TYPE_CHECKING:
    import pandas as pd

Member = tuple[str, Span]
"""What an image is called in its shard, and where it lies there."""

_JSON, _CLASS = "json", "cls"
_LARGEST = 1 << 20  # bytes of what is said of one image
_HELD = 4  # shards whose places are held at a time: images are asked for in their order, by a few threads
_DEEP = 3  # folders below the source in which shards are looked for: data/train/, as the Hub has them
_MANIFEST = ("file", "draw", "seed", "sha256")
_UNREAD = ("condition.", "verifier.")  # of shards of ours: what was drawn and read, not what was asked for
_WORD = re.compile(r"[^0-9A-Za-z]+")


def has_shards(path: Path, options: Options) -> bool:
    """Whether a path is a tar or Parquet file of images, or a folder that has some and no label table is named for."""
    if options.labels is not None or options.pattern is not None:
        return False
    if not path.is_dir():
        return path.is_file() and _is_shard(path)
    return any(_is_shard(each) for each in _listed(path, _DEEP))


def read_shards(path: Path, options: Options) -> Source:
    """Images in shards, with the labels that stand beside them.

    Raises:
        DataError: nothing is said of any image, or a shard is damaged; also as :func:`cfgan.data.table.frame_labels`.
        InputError: Parquet cannot be read here; names the extra.
    """
    import pandas as pd

    root, places = (path, list(_listed(path, _DEEP))) if path.is_dir() else (path.parent, [path])
    shards: dict[str, Path] = {}
    ignored: Counter[str] = Counter()
    for place in places:
        if _is_shard(place):
            shards[place.relative_to(root).as_posix()] = place
        else:
            ignored[place.suffix.casefold()] += 1
    frames, stated, unsaid, classes = [], [], [], set(options.columns.classes)
    for called, shard in shards.items():
        inside = list(members(shard))
        images, others = _images(called, shard, inside)
        frame, named = _parquet_frame(shard, images) if _is_table(shard) else _tar_frame(shard, images, inside)
        frames.append(frame)
        stated += [_split(called)] * len(frame)
        ignored += others
        classes |= named
        if len(frame) < len(images):
            said = {*frame["file"]} if len(frame) else set()
            unsaid += [name for name in images if name not in said]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    del frames
    if not len(frame) or len(frame.columns) < 2:
        text = f"{path} has images in shards, and nothing is said of them, by KEY.json or columns"
        raise DataError(f"{text}; name a label table.", field="--labels", value=path)
    columns = options.columns if options.columns.classes else replace(options.columns, classes=tuple(sorted(classes)))
    table = frame_labels(
        _manifest_first(frame),
        path,
        replace(columns, file=None),
        options.vocabulary,
        ignore_unknown=options.ignore_unknown,
        field=options.field,
    )
    files = table.files or ()
    if table.split is None and all(stated):
        table = replace(table, split=common_words(stated))
    split, splits = numbered(table.split)
    person, persons = numbered(table.person)
    spans = lru_cache(_HELD)(lambda called: _images(called, shards[called], members(shards[called]))[0])

    def opened(name: str) -> Image.Image:
        called = _shard_of(name)
        return read_picture(read_span(shards[called], spans(called)[name][1], MAX_BYTES))

    return Source(
        "shards",
        real_path(path).name,
        table.vocabulary,
        table.labels,
        files,
        split,
        splits,
        person,
        persons,
        pictures=OpenedPictures(files, opened),
        unlabelled=len(unsaid),
        ignored=ignored,
        left_out=table.left_out | LeftOut(images=dict.fromkeys(unsaid, NOT_IN_TABLE)),
        opener=opened,
        requested=table.requested,
        synthetic=table.synthetic,
    )


def _is_shard(path: Path) -> bool:
    return path.name.casefold().endswith(SUFFIXES) and path.is_file() and holds_images(path)


def _is_table(shard: Path) -> bool:
    return shard.name.casefold().endswith(PARQUET)


def _listed(folder: Path, deep: int) -> Iterator[Path]:
    """The files in a folder and in those below it, ``deep`` levels in all; of one that cannot be read, none."""
    try:
        with os.scandir(folder) as listing:
            inside = sorted((each for each in listing if not each.name.startswith(".")), key=lambda each: each.name)
    except OSError:
        return  # whoever reads images there says so
    yield from (Path(each.path) for each in inside if each.is_file())
    for each in inside:
        if deep > 1 and each.is_dir(follow_symlinks=False):
            yield from _listed(Path(each.path), deep - 1)


def _shard_of(image: str) -> str:
    """What the shard is called in which an image of this name lies; members may have any name."""
    folded = image.casefold()
    return image[: min(folded.find(f"{end}/") + len(end) for end in SUFFIXES if f"{end}/" in folded)]


def _images(called: str, shard: Path, inside: Iterable[Member]) -> tuple[dict[str, Member], Counter[str]]:
    """Name -> place of each image in a shard, in its order, and what else lies there, by suffix."""
    found: dict[str, Member] = {}
    others: Counter[str] = Counter()
    again: Counter[str] = Counter()
    table = _is_table(shard)
    for member, span in inside:
        if table or suffix_counts(member):
            found[_unique(f"{called}/{member}", found, again)] = member, span
        elif _key(member)[1] not in (_JSON, _CLASS):
            others[Path(member).suffix.casefold()] += 1
    return found, others


def _unique(name: str, known: Container[str], again: Counter[str]) -> str:
    """A Parquet file may call all its images alike: the second is NAME.2; ``again`` counts them."""
    free = name
    while free in known:
        again[name] += 1
        free = f"{name}.{again[name] + 1}"
    return free


def _split(called: str) -> str:
    """What the name of a shard, or of a folder that it lies in, says: data/train-00000-of-00004.parquet."""
    found = {word.casefold() for word in _WORD.split(called)} & FOLDERS
    return found.pop() if len(found) == 1 else ""


def _tar_frame(shard: Path, images: Mapping[str, Member], inside: Iterable[Member]) -> tuple[pd.DataFrame, set[str]]:
    """A row an image that something is said of, and its columns of classes."""
    import pandas as pd

    said: dict[str, dict[str, Any]] = {}
    for name, span in inside:
        key, ending = _key(name)
        if ending == _JSON:
            said.setdefault(key, {}).update(_object(shard, name, read_span(shard, span, _LARGEST)))
        elif ending == _CLASS:
            text = read_span(shard, span, _LARGEST).decode("utf-8", "replace").strip()
            said.setdefault(key, {})[_CLASS] = text
    keyed = ((name, _key(member)[0]) for name, (member, _) in images.items())
    rows = [{**said[key], "file": name} for name, key in keyed if key in said]
    return _small(pd.DataFrame(rows)), {_CLASS} if any(_CLASS in row for row in rows) else set()


def _key(member: str) -> tuple[str, str]:
    """What belongs together in a tar file, and what it is: all before the first dot of the last part, and the rest."""
    folder, slash, last = member.rpartition("/")
    key, _, ending = last.partition(".")
    return folder + slash + key, ending.casefold()


def _object(shard: Path, name: str, data: bytes) -> dict[str, Any]:
    """What a JSON member says, one level of objects in it as "outer.inner"."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise DataError(f"{shard.name}/{name} is not JSON: {error}.", field="SOURCE", value=name) from None
    if not isinstance(value, dict):
        raise DataError(f"{shard.name}/{name} is no object.", field="SOURCE", value=name)
    found: dict[str, Any] = {}
    for title, cell in value.items():
        inner = {f"{title}.{key}": each for key, each in cell.items()} if isinstance(cell, dict) else {title: cell}
        found |= {key: each for key, each in inner.items() if not key.startswith(_UNREAD)}
    return {key: each if isinstance(each, str | int | float | None) else "" for key, each in found.items()}


def _parquet_frame(path: Path, images: Mapping[str, Member]) -> tuple[pd.DataFrame, set[str]]:
    """The columns beside that of the images, and those of classes, whose numbers become their names."""
    parquet: Any = importlib.import_module("pyarrow.parquet")
    with library_errors(path, lambda text: DataError(text, field="SOURCE", value=path)):
        file = parquet.ParquetFile(path)
        kinds = {each.name: str(each.type) for each in file.schema_arrow}
        kept = [
            title
            for title, kind in kinds.items()
            if not title.startswith(_UNREAD)
            and not kind.startswith(("struct", "list", "binary", "large_binary", "map"))
        ]
        frame = file.read(columns=kept).to_pandas()
        features = _features(file.schema_arrow.metadata or {})
        classes = set()
        for title in kept:
            names = features.get(title, {}).get("names")
            if features.get(title, {}).get("_type") == "ClassLabel" and isinstance(names, list):
                words = dict(enumerate(map(str, names)))
                frame[title] = [words.get(number, "") for number in frame[title].tolist()]
                classes.add(title)
        frame["file"] = list(images)
    return _small(frame), classes


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """What Hugging Face's `datasets` says of the columns."""
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return (
        {title: value for title, value in found.items() if isinstance(value, dict)} if isinstance(found, dict) else {}
    )


def _small(frame: pd.DataFrame) -> pd.DataFrame:
    """Labels in four bytes each, so that a million rows of forty attributes stay below 200 MB.

    Only what lies where labels do, from -1 to 1: a person's number of twelve digits is not to become another's.
    """
    wide = [title for title in frame.columns if str(frame[title].dtype) in ("float64", "int64", "uint64")]
    labels = [title for title in wide if title not in _MANIFEST and not (frame[title].abs() > 1).any()]
    return frame.astype(dict.fromkeys(labels, "float32"))


def _manifest_first(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns in the order of a manifest, where they are one's."""
    if not {*_MANIFEST} <= {*frame.columns}:
        return frame
    return frame[[*_MANIFEST, *(title for title in frame.columns if title not in _MANIFEST)]]
