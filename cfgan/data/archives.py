"""Images inside other files: tar files, such as WebDataset's shards, and Parquet files with the images' bytes, as the
Hugging Face Hub has them. Where each lies is listed first, so that it is read without unpacking anything.
"""

from __future__ import annotations

import functools
import importlib
import tarfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cfgan.errors import DataError
from cfgan.io.extras import require_pyarrow
from cfgan.io.reading import library_errors, open_regular

TAR, PARQUET = ".tar", ".parquet"
SUFFIXES = (TAR, PARQUET)

Span = tuple[int, int]
"""Of a tar file: offset and length in bytes. Of a Parquet file: row group, and row in it."""

_GROUP = 1 << 30  # bytes of images in one row group, which is read whole
_GROUPS = 4  # row groups held at a time: threads that decode ask for neighbours


def members(path: Path) -> Iterator[tuple[str, Span]]:
    """Name and place of every regular file in a tar file, or of every image in a Parquet file, in its order.

    Links, devices and folders of a tar file are left out.

    Raises:
        DataError: no such file, one that is damaged or compressed, or a Parquet file without images.
        InputError: Parquet cannot be read here; names the extra.
    """
    if path.name.casefold().endswith(PARQUET):
        yield from _rows(path)
        return

    def fail(text: str) -> DataError:
        return DataError(text, field="PATHS", value=path)

    with (
        library_errors(path, fail),
        open_regular(path) as handle,
        tarfile.open(fileobj=handle, mode="r:") as tar,
    ):
        for member in tar:
            if member.isreg() and not member.issparse():
                yield member.name, (member.offset_data, member.size)


def read_span(path: Path, span: Span, most: int) -> bytes:
    """The bytes of one image in it.

    Raises:
        DataError: it is larger than ``most`` bytes, or the file has become shorter.
    """
    if path.name.casefold().endswith(PARQUET):
        group, row = span
        with library_errors(path, lambda text: DataError(text)):
            data = bytes(_images(path, path.stat().st_mtime_ns, group)[row].as_py() or b"")
        if len(data) > most:
            raise DataError(f"it is larger than {most:,} bytes.")
        return data
    offset, size = span
    if size > most:
        raise DataError(f"it is larger than {most:,} bytes.")
    with library_errors(path, lambda text: DataError(text)), open_regular(path) as handle:
        handle.seek(offset)
        data = handle.read(size)
    if len(data) < size:
        raise DataError(f"{path} ends too early.")
    return data


def holds_images(path: Path) -> bool:
    """Whether a file is to be taken for one of images: a Parquet file may be a table of labels that lies beside them.

    A damaged one is taken, so that whoever reads it says so; without what reads Parquet none is.
    """
    if not path.name.casefold().endswith(PARQUET):
        return True
    if find_spec("pyarrow") is None:
        return False
    try:
        with library_errors(path, lambda text: DataError(text)):
            return _column(_opened(path)) is not None
    except DataError:
        return True


def _rows(path: Path) -> Iterator[tuple[str, Span]]:
    require_pyarrow(field="PATHS", value=path)
    with library_errors(path, lambda text: DataError(text, field="PATHS", value=path)):
        file = _opened(path)
        column = _column(file)
        if column is None:
            text = f"{path} has no images: a column `image` of bytes, or of bytes and path."
            raise DataError(text, field="PATHS", value=path)
        named = f"{column}.path" in _leaves(file)
        number = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            names: list[Any] = [None] * count
            if named:
                names = [(row or {}).get("path") for row in _group(file, group, f"{column}.path").to_pylist()]
            for row, name in enumerate(names):
                yield name or f"{number:09d}", (group, row)
                number += 1


def _opened(path: Path) -> Any:
    parquet: Any = importlib.import_module("pyarrow.parquet")
    with open_regular(path):  # no pipe, no device
        return parquet.ParquetFile(path)


def _leaves(file: Any) -> list[str]:
    return [file.schema.column(k).path for k in range(len(file.schema))]


def _column(file: Any) -> str | None:
    """The column of images: `image` or `jpg`, `png` of bytes, or a struct with bytes."""
    leaves = _leaves(file)
    for name in ("image", "img", "png", "jpg", "jpeg", "webp"):
        if f"{name}.bytes" in leaves or (
            name in leaves and "BYTE_ARRAY" in file.schema.column(leaves.index(name)).physical_type
        ):
            return name
    return None


def _group(file: Any, group: int, leaf: str) -> Any:
    """One leaf of a row group."""
    return file.read_row_group(group, columns=[leaf]).column(0).combine_chunks()


@functools.lru_cache(maxsize=_GROUPS)
def _images(path: Path, changed: int, group: int) -> Any:
    """The bytes of a row group's images; ``changed`` tells a file from what it was before."""
    file = _opened(path)
    column = _column(file)
    leaves = _leaves(file)
    leaf = f"{column}.bytes" if f"{column}.bytes" in leaves else str(column)
    size = file.metadata.row_group(group).column(leaves.index(leaf)).total_uncompressed_size
    if size > _GROUP:
        raise ValueError(f"a row group has {size:,} bytes of images, more than {_GROUP:,}")
    found = _group(file, group, leaf)
    return found.field("bytes") if leaf.endswith(".bytes") else found
