"""Labelled images of any source with their faces aligned on the way: nothing of it is kept on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from cfgan.data.decode import CROP, IMAGE_SIZE, read_picture
from cfgan.data.framing.faces import Face, Framer, check_faces
from cfgan.data.profile.image_scan import FilePictures, OpenedPictures
from cfgan.data.sources.base import Source
from cfgan.errors import DataError, InputError

ONE_FACE = ("largest", "refuse")
"""Which faces may be meant where an image has one row of labels."""


def align_source(source: Source, framer: Framer, which: str = "largest") -> Source:
    """The same labels, with every image brought into CelebA's frame when it is opened.

    An image without a face, or with several where ``which`` is "refuse", is a bad image to whoever opens it.

    Args:
        source: not a packed store, whose images are cut already.
        framer: finds the faces.
        which: one of :data:`ONE_FACE`.

    Raises:
        InputError: another word, or a source whose images cannot be aligned.
    """
    frame = FrameByName(framer, which)
    folder, opener, pictures = source.folder, source.opener, source.pictures
    if source.kind == "store":
        raise InputError("a packed store holds images that are cut already.", field="--align", value=source.name)
    if opener is None and folder is None:
        raise InputError(f"{source.name} has no images.", field="--align", value=source.name)
    found = opener or _from(folder)
    if isinstance(pictures, FilePictures):
        pictures = replace(pictures, crop=CROP, expected=IMAGE_SIZE, frame=frame)
    elif isinstance(pictures, OpenedPictures):
        pictures = OpenedPictures(pictures.names, lambda name: frame(name, found(name)))
    return replace(
        source,
        pictures=pictures,
        opener=lambda name: frame(name, found(name)),
        crop=CROP,
        image_size=IMAGE_SIZE,
        sound=False,
        framing=frame.how,
    )


def _from(folder: Path | None) -> Callable[[str], Image.Image]:
    return lambda name: read_picture((folder or Path()) / name)


@dataclass
class FrameByName:
    """Frames pictures by name; where a face is, is found once, though an image is checked first and packed later.

    Args:
        framer: finds the faces.
        which: one of :data:`ONE_FACE`.

    Raises:
        InputError: another word.
    """

    framer: Framer
    which: str
    _known: dict[str, Face | str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        check_faces(self.which, ONE_FACE)

    @property
    def how(self) -> str:
        """What finds the faces and which are meant, as a store or a test set says it."""
        return f"{self.framer.name}, {self.which}"

    def __call__(self, name: str, image: Image.Image) -> Image.Image:
        """The picture's face in CelebA's frame. Raises DataError, which does not name the picture, without one."""
        with self._lock:
            found = self._known.get(name)
        if found is None:
            try:
                found = self.framer.choose(image, self.which)[0]
            except DataError as error:
                found = str(error)
            with self._lock:
                self._known[name] = found
        if isinstance(found, str):
            raise DataError(found)
        return found.framed(image)
