"""The user's own images that a test set is built against, checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.data.decode import read_square
from cfgan.data.image_files import ImageFile, find_images
from cfgan.data.read.frames import is_table_name
from cfgan.errors import DataError
from cfgan.io.files import is_safe_name
from cfgan.testsets.spec import GalleryModel, Plan

Image = tuple[str, Path]
"""An image's name below what was given, and where it lies."""


def is_table(path: Path) -> bool:
    """Whether a gallery is a table of attributes and not a folder of images."""
    return path.is_file() and is_table_name(path)


def check_brought(plan: Plan, size: int) -> None:
    """Read everything that the plan brings, once.

    Args:
        plan: whose ``user_images`` is looked at.
        size: side in pixels that the images are read at.

    Raises:
        DataError: an image that cannot be read, or a name that cannot stand in a table or be copied; names it.
        InputError: there is no image.
    """
    if plan.user_images is None or is_table(plan.user_images):
        return
    if isinstance(plan.model, GalleryModel):
        people = gallery_images(plan.user_images)
        if plan.model.copy_gallery:
            for person, images in people.items():
                for name in (person, *(path.name for _, path in images)):
                    if not is_safe_name(name):
                        raise DataError(f"{name!r} cannot be copied under that name.", field="copy_gallery", value=name)
        listed = [image for images in people.values() for image in images]
    else:
        listed = bona_fide_images(plan.user_images)
    for image in listed:
        read_image(image, size, "gallery" if isinstance(plan.model, GalleryModel) else "bona_fide")


def bona_fide_images(path: Path) -> list[Image]:
    """The images below a folder, in the order of their names. Raises DataError, InputError."""
    return _images(find_images([path]).files, "bona_fide")


def gallery_images(path: Path) -> dict[str, list[Image]]:
    """Person -> images: a subfolder a person, or an image a person; in the order of the names.

    Raises:
        DataError: a name that cannot stand in a table, a folder inside a person's folder, an unreadable entry.
        InputError: there is no image.
    """
    people: dict[str, list[Image]] = {}
    for name, place in _images(find_images([path]).files, "gallery"):
        *folders, file = name.split("/")
        if len(folders) > 1:
            raise DataError(f"{name}: a person's images lie in one folder.", field="gallery", value=name)
        person = folders[0] if folders else Path(file).stem
        people.setdefault(checked_name(person), []).append((name, place))
    return dict(sorted(people.items()))


def checked_name(name: str) -> str:
    """A person's name, if it can stand in a table. Raises DataError."""
    if not name or any(ord(letter) < 32 or letter in "/\\;,|" for letter in name) or name in (".", ".."):
        raise DataError(f"{name!r} cannot be the name of a person in a table.", field="gallery", value=name)
    return name


def read_image(image: Image, size: int, field: str) -> npt.NDArray[np.uint8]:
    """One image as the networks see it, uint8 (3, size, size). Raises DataError naming it."""
    name, path = image
    try:
        return np.ascontiguousarray(read_square(path, size).transpose(2, 0, 1))
    except DataError as error:
        raise DataError(f"{name}: {error}", field=field, value=name) from None


def _images(files: Sequence[ImageFile], field: str) -> list[Image]:
    for file in files:
        if file.problem:
            raise DataError(f"{file.name}: {file.problem}", field=field, value=file.name)
    return [(file.name, file.path) for file in files]
