"""The user's own images that a test set is built against, checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from cfgan.data.decode import CROP, read_picture, read_square, see_picture, to_square
from cfgan.data.framing.faces import Framer
from cfgan.data.framing.folder import encoded
from cfgan.data.framing.sources import FrameByName
from cfgan.data.image_files import ImageFile, find_images
from cfgan.data.read.frames import is_table_name
from cfgan.errors import ConfigError, DataError
from cfgan.io.files import is_safe_name
from cfgan.io.progress import Progress, silent
from cfgan.testsets.spec import GalleryModel, Plan, UserImagesModel
from cfgan.verify.framing import FramingLook

Image = tuple[str, Path]
"""An image's name below what was given, and where it lies."""


class UserImages:
    """What a plan brings, as networks see it: square, where the plan says so with the face in CelebA's frame.

    Args:
        plan: with ``user_images``.
        size: side in pixels that the images are read at.

    Raises:
        ConfigError: faces are to be found, and the extra is missing.
    """

    def __init__(self, plan: Plan, size: int) -> None:
        if plan.user_images is None or not isinstance(plan.model, UserImagesModel):
            raise TypeError("the plan brings no images")
        self._model, self._path, self._size = plan.model, plan.user_images, size
        self._frame = FrameByName(Framer(), plan.model.faces) if plan.model.align else None
        self._field = "gallery" if isinstance(plan.model, GalleryModel) else "bona_fide"
        self.left_out: dict[str, str] = {}
        """Name -> why the image is not used, in the order of the names; after :meth:`check`."""
        self.remarks: list[str] = []
        """How images that are not aligned differ from what the verifier learnt on; after :meth:`check`."""

    @property
    def framing(self) -> str | None:
        """What found the faces and which were meant; None where the images are taken as they are."""
        return self._frame.how if self._frame else None

    def check(self, progress: Progress = silent, *, look: bool = False) -> None:
        """Read everything once.

        Args:
            progress: called with images read and in all.
            look: whether to look how the faces lie in images that are not aligned.

        Raises:
            DataError: an image that cannot be read, a name that cannot stand in a table or be copied, or no face in any
                image; names it.
            InputError: there is no image.
        """
        if is_table(self._path):
            return
        listed = self._listed()
        framing = FramingLook(len(listed)) if look and self._frame is None else None
        for place, image in enumerate(listed):
            pixels = self._read(image)
            if pixels is not None and framing is not None:
                framing.take(place, pixels.transpose(1, 2, 0))
            if self._frame is not None:
                progress("aligning", place + 1, len(listed))
        if len(self.left_out) == len(listed):
            name, reason = next(iter(self.left_out.items()))
            raise DataError(f"none of {len(listed):,} images gave a face ({name}: {reason})", field=self._field)
        self.remarks = _remarks(framing)

    def people(self) -> dict[str, list[Image]]:
        """Person -> images that are used; none where no image of a person gave a face. Raises as :meth:`check`."""
        found = gallery_images(self._path)
        return {person: [each for each in images if each[0] not in self.left_out] for person, images in found.items()}

    def bona_fide(self) -> list[Image]:
        """The images that are used, in the order of their names. Raises as :meth:`check`."""
        return [image for image in bona_fide_images(self._path) if image[0] not in self.left_out]

    def read(self, image: Image) -> npt.NDArray[np.uint8]:
        """One image as the networks see it, uint8 (3, size, size). Raises DataError naming it."""
        pixels = self._read(image)
        if pixels is None:
            raise DataError(f"{image[0]}: {self.left_out[image[0]]}", field=self._field, value=image[0])
        return pixels

    def copied(self, file: str) -> bytes:
        """The file of an image as a set keeps it: the user's own bytes, or its face in CelebA's frame, 178 x 218.

        Raises:
            DataError: it cannot be read; does not name it.
        """
        path = self._path / file
        if self._frame is None:
            return path.read_bytes()
        seen = see_picture(path)
        return encoded(self._frame(file, seen.image), PurePosixPath(file).suffix.casefold(), seen.xmp)

    def _listed(self) -> list[Image]:
        if not isinstance(self._model, GalleryModel):
            return bona_fide_images(self._path)
        people = gallery_images(self._path)
        if self._model.copy_gallery:
            for person, images in people.items():
                for name in (person, *(path.name for _, path in images)):
                    if not is_safe_name(name):
                        raise DataError(f"{name!r} cannot be copied under that name.", field="copy_gallery", value=name)
        return [image for images in people.values() for image in images]

    def _read(self, image: Image) -> npt.NDArray[np.uint8] | None:
        """One image as the networks see it; None, and noted, where no face is found. Raises DataError naming it."""
        name, path = image
        try:
            if self._frame is None:
                return np.ascontiguousarray(read_square(path, self._size).transpose(2, 0, 1))
            picture = read_picture(path)
        except DataError as error:
            raise DataError(f"{name}: {error}", field=self._field, value=name) from None
        try:
            return to_square(self._frame(name, picture), self._size, CROP)
        except DataError as error:
            self.left_out[name] = str(error)
            return None


def is_table(path: Path) -> bool:
    """Whether a gallery is a table of attributes and not a folder of images."""
    return path.is_file() and is_table_name(path)


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


def _images(files: Sequence[ImageFile], field: str) -> list[Image]:
    for file in files:
        if file.problem:
            raise DataError(f"{file.name}: {file.problem}", field=field, value=file.name)
    return [(file.name, file.path) for file in files]


def _remarks(look: FramingLook | None) -> list[str]:
    try:
        return [] if look is None else look.result().remarks()
    except ConfigError:  # an extra: a set without an embedder does not need it
        return []
