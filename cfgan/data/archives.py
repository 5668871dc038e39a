"""Images in tar files, such as WebDataset's shards: where each lies, so that it is read without unpacking anything."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from cfgan.errors import DataError
from cfgan.io.reading import library_errors, open_regular

SUFFIX = ".tar"

Span = tuple[int, int]
"""Offset and length in bytes."""


def members(path: Path) -> Iterator[tuple[str, Span]]:
    """Name and place of every regular file in a tar file, in its order. Links, devices and folders are left out.

    Raises:
        DataError: no tar file, or one that is damaged or compressed.
    """

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
    """The bytes of one file in it.

    Raises:
        DataError: it is larger than ``most`` bytes, or the tar file has become shorter.
    """
    offset, size = span
    if size > most:
        raise DataError(f"it is larger than {most:,} bytes.")
    with library_errors(path, lambda text: DataError(text)), open_regular(path) as handle:
        handle.seek(offset)
        data = handle.read(size)
    if len(data) < size:
        raise DataError(f"{path} ends too early.")
    return data
