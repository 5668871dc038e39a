"""Images inside other files: tar files, such as WebDataset's shards, and Parquet files with the images' bytes, as the
Hugging Face Hub has them. Where each lies is listed first, so that it is read without unpacking anything.
"""

from __future__ import annotations

import functools
import importlib
import tarfile
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from typing import Any

from cfgan.errors import DataError
from cfgan.io.extras import require_pyarrow
from cfgan.io.reading import library_errors, open_regular

TAR, PARQUET = ".tar", ".parquet"
SUFFIXES = (TAR, PARQUET)

Span = tuple[int, int]
"""Of a tar file: offset and length in bytes. Of a Parquet file: row group, and row in it."""

_COLUMNS = ("image", "img", "png", "jpg", "jpeg", "webp")
_GROUP = 1 << 30  # bytes of images in one row group, which is read whole
_ROWS = 16  # decoded at a time: a few bytes of a file can stand for many images
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
        with library_errors(path, lambda text: DataError(text)):
            images = _images(path, path.stat().st_mtime_ns, span[0])
        if isinstance(images, DataError):
            raise images
        data = images[span[1]]
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


def reads_parquet() -> bool:
    """Whether there is what reads Parquet files: the extra ``parquet``."""
    return find_spec("pyarrow") is not None


def holds_images(path: Path) -> bool:
    """Whether a file is to be taken for one of images: a Parquet file may be a table of labels that lies beside them.

    A damaged one is taken, so that whoever reads it says so; where nothing reads Parquet none is.
    """
    if not path.name.casefold().endswith(PARQUET):
        return True
    if not reads_parquet():
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
        if file.metadata.num_rows > path.stat().st_size:
            raise ValueError("it states more rows than it has bytes")
        named = f"{column}.path" in _leaves(file)
        number = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            names = _names(file, group, f"{column}.path") if named else repeat(None, count)
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
    """The column of images: bytes, or a struct that has bytes. One of text names files and holds none."""
    arrow: Any = importlib.import_module("pyarrow")

    def is_bytes(kind: Any) -> bool:
        return bool(arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind))

    for field in file.schema_arrow:
        if field.name in _COLUMNS:
            parts = {part.name: part.type for part in field.type} if arrow.types.is_struct(field.type) else {}
            if is_bytes(field.type) or is_bytes(parts.get("bytes", arrow.null())):
                return str(field.name)
    return None


def _values(file: Any, group: int, leaf: str) -> Iterator[Any]:
    """One leaf of a row group, a few rows at a time."""
    for batch in file.iter_batches(batch_size=_ROWS, row_groups=[group], columns=[leaf]):
        last = leaf.rpartition(".")[2]
        for value in batch.column(0).to_pylist():
            yield value.get(last) if isinstance(value, dict) else value


def _names(file: Any, group: int, leaf: str) -> Iterator[str | None]:
    for value in _values(file, group, leaf):
        yield value if isinstance(value, str) else None


@functools.lru_cache(maxsize=_GROUPS)
def _images(path: Path, changed: int, group: int) -> list[bytes] | DataError:
    """The bytes of a row group's images, or why there are none; ``changed`` tells a file from what it was before."""
    found: list[bytes] = []
    size = 0
    try:
        with library_errors(path, lambda text: DataError(text)):
            file = _opened(path)
            column = _column(file)
            leaf = f"{column}.bytes" if f"{column}.bytes" in _leaves(file) else str(column)
            for value in _values(file, group, leaf):
                found.append(value or b"")
                size += len(found[-1])
                if size > _GROUP:
                    raise ValueError(f"a row group has more than {_GROUP:,} bytes of images")
    except DataError as error:
        return error
    return found
