"""CelebA's official layout as a source."""

from __future__ import annotations

from pathlib import Path

from cfgan.data.read.celeba import read_celeba
from cfgan.data.sources.base import Options, Source, from_images, refuse_table
from cfgan.io.files import real_path


def is_celeba(path: Path, options: Options) -> bool:
    """Whether a folder has the official label file, and no other is named."""
    return options.labels is None and (path / "list_attr_celeba.txt").exists()


def read_celeba_folder(path: Path, options: Options) -> Source:
    """Raises DataError, as :func:`cfgan.data.read.celeba.read_celeba` does; InputError where a table is given too."""
    refuse_table(options, f"{path} is a CelebA folder")
    return from_images("celeba", real_path(path).name, read_celeba(path))
