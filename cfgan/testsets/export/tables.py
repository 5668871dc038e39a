"""Exports as tables beside unchanged images: Hugging Face's image folder, Parquet."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cfgan.errors import FolderError
from cfgan.io.extras import require_pyarrow
from cfgan.io.files import atomic_write, make_folder, write_bytes, write_text
from cfgan.io.yaml import front_matter
from cfgan.testsets.export.source import ExportOptions, Plan, Source, Tick, for_each
from cfgan.testsets.folder import ATTRIBUTES, ITEMS, PAIRS, Item, Pair
from cfgan.testsets.tables import GALLERY, ImageRow, attribute_rows, csv_text, set_digest

_GROUP = 512  # rows of a Parquet file written together; with images, these are in memory
_WHOLE = ("seed", "draw", "face_found", "capture_level")
_NUMBERS = ("strength", "requested.", "condition.", "verifier.", "judge.", "quality.", "capture_value")
_Row = TypeVar("_Row")


def plan_huggingface(source: Source, options: ExportOptions) -> Plan:
    """``test/metadata.csv`` with ``file_name`` first, the images beside it, the comparisons as they stand, a card.

    Raises:
        FolderError: the table of images is damaged.
    """
    path = source.testset.path
    table = ITEMS if source.testset.design == "detection" else PAIRS

    def write(folder: Path, tick: Tick) -> None:
        home = folder / "test"
        for parent in dict.fromkeys((home / name).parent for name in source.files):
            make_folder(parent)
        for_each(lambda name: write_bytes(home / name, source.checked(name).read_bytes()), source.files, tick)
        rows = (row.cells for row in attribute_rows(path))
        write_text(home / "metadata.csv", csv_text([("file_name", *source.columns[1:]), *rows]))
        write_bytes(folder / table, source.checked(table).read_bytes())
        write_text(folder / "README.md", _card(source))

    return Plan(
        len(source.files),
        write,
        (
            "images: datasets.load_dataset('imagefolder', data_dir=THIS_FOLDER)['test'], or load_dataset(THIS_FOLDER)",
            f"rows:   datasets.load_dataset('csv', data_files={{'test': 'THIS_FOLDER/{table}'}})['test']",
        ),
        (
            "Images are the set's own PNG files, unchanged.",
            f"metadata.csv is the set's {ATTRIBUTES}, its first column named file_name; {table} is the set's own, and "
            "names images as file_name does.",
            *_absent(source),
        ),
        {"images": len(source.files), "rows": len(source.testset.pairs) + len(source.testset.items)},
        real_faces=_bona_fide(source),
    )


def _absent(source: Source) -> tuple[str, ...]:
    """A note on the rows whose image is not in the export."""
    if any(pair.a.startswith(GALLERY) for pair in source.testset.pairs):
        return (f"Enrolled faces, {GALLERY}PERSON/FILE, are not in it.",)
    slots = sum(not item.file for item in source.testset.items)
    return (f"{slots:,} items without a file are slots for your own bona fide images.",) if slots else ()


def _bona_fide(source: Source) -> bool:
    return any(item.label == "bona_fide" and item.file for item in source.testset.items)


def _card(source: Source) -> str:
    testset = source.testset
    front = {
        "pretty_name": f"Synthetic faces: a {testset.design} test set",
        "license": "other",
        "license_name": str(testset.manifest.get("licence", "")),
        "tags": ["synthetic", "face-recognition"],
        "configs": [{"config_name": "default", "data_files": [{"split": "test", "path": "test/**"}]}],
    }
    return front_matter(front) + "\nSee README.txt.\n"


def plan_parquet(source: Source, options: ExportOptions) -> Plan:
    """``pairs.parquet`` or ``items.parquet``, and ``attributes.parquet``, with the images' bytes if wanted.

    Raises:
        InputError: pyarrow is not installed.
        FolderError: a cell of the table of images is not what its column holds.
    """
    require_pyarrow(field="--format", value="parquet")
    testset = source.testset
    for row in attribute_rows(testset.path):
        _cells(source.columns, row)
    table = ITEMS if testset.design == "detection" else PAIRS

    def write(folder: Path, tick: Tick) -> None:
        # Imported by name: pyarrow is an optional extra.
        arrow: Any = importlib.import_module("pyarrow")
        about = json.dumps({"synthetic": True, "testset": set_digest(testset.path), "design": testset.design})
        rows: Sequence[Pair | Item] = testset.pairs or testset.items
        _write(folder / table.replace(".csv", ".parquet"), _row_schema(arrow, table, about), [[vars(r) for r in rows]])
        schema = _image_schema(arrow, source.columns, about, options.with_images)
        _write(folder / "attributes.parquet", schema, _image_groups(source, options, tick))

    with_images = "attributes.parquet holds the images' PNG bytes, unchanged" if options.with_images else ""
    return Plan(
        len(source.files),
        write,
        (
            f"pandas:       pandas.read_parquet('{table.replace('.csv', '.parquet')}')",
            "Hugging Face: datasets.load_dataset('parquet', data_files='attributes.parquet')"
            + (", then cast_column('image', datasets.Image())" if options.with_images else ""),
        ),
        (
            f"The columns are those of the set's {table} and {ATTRIBUTES}; empty cells are null, lists of attribute "
            "values are lists.",
            f"{with_images or 'Images are not in it (--with-images)'}.",
            *_absent(source),
        ),
        {"images": len(source.files), "rows": len(testset.pairs) + len(testset.items)},
        real_faces=_bona_fide(source) and options.with_images,
    )


def _row_schema(arrow: Any, table: str, about: str) -> Any:
    text, values = arrow.string(), arrow.list_(arrow.string())
    if table == ITEMS:
        kinds = {"item": text, "file": text, "label": text, "stratum": text, "fold": arrow.int32()}
    else:
        kinds = dict.fromkeys(("pair", "a", "b", "mated", "stratum", "group"), text)
        kinds |= dict.fromkeys(("matched", "differing", "moved"), values)
        kinds |= {"similarity": arrow.float64(), "fold": arrow.int32()}
    return arrow.schema(list(kinds.items()), metadata={"cfgan": about})


def _image_schema(arrow: Any, columns: Sequence[str], about: str, with_images: bool) -> Any:
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
    found = [(title, kinds[_kind(title)]) for title in columns]
    if with_images:
        # What Hugging Face's Image feature is stored as.
        found.append(("image", arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])))
    return arrow.schema(found, metadata={"cfgan": about})


def _image_groups(source: Source, options: ExportOptions, tick: Tick) -> Iterator[list[dict[str, Any]]]:
    for group in _groups(attribute_rows(source.testset.path), _GROUP):
        rows = [dict(zip(source.columns, _cells(source.columns, row), strict=True)) for row in group]

        def check(row: dict[str, Any]) -> None:
            path = source.checked(row["file"])
            if options.with_images:
                row["image"] = {"bytes": path.read_bytes(), "path": row["file"]}

        for_each(check, rows, tick)
        yield rows


def _groups(rows: Iterable[_Row], size: int) -> Iterator[list[_Row]]:
    rest = iter(rows)
    while group := list(islice(rest, size)):
        yield group


def _write(path: Path, schema: Any, groups: Iterable[list[dict[str, Any]]]) -> None:
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    with atomic_write(path) as handle, parquet.ParquetWriter(handle, schema) as writer:
        for group in groups:
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))


def _kind(title: str) -> type[str] | type[int] | type[float]:
    if title in _WHOLE:
        return int
    return float if title.startswith(_NUMBERS) else str


def _cells(columns: Sequence[str], row: ImageRow) -> list[Any]:
    """A row's cells as values; empty ones are None. Raises FolderError where a number is expected and none stands."""
    values: list[Any] = []
    for title, cell in zip(columns, row.cells, strict=True):
        kind = _kind(title)
        try:
            value = None if cell == "" and kind is not str else kind(cell)
        except ValueError:
            value = math.nan
        if isinstance(value, float) and not math.isfinite(value):
            text = f"{ATTRIBUTES}: {row.file}: {title} is {cell[:40]!r}, no number."
            raise FolderError(text, field="testset", value=row.file)
        values.append(value)
    return values
