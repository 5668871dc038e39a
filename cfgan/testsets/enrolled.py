"""The images of enrolled people who are not in a set, read as the set was built with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from cfgan.data.decode import read_picture
from cfgan.data.framing.faces import Framer
from cfgan.data.framing.sources import FrameByName
from cfgan.errors import DataError
from cfgan.testsets.folder import Testset


def enrolled_path(gallery: Path, name: str) -> Path:
    """Where an enrolled face, ``gallery/PERSON/FILE``, lies in the user's folder; it need not be there.

    A person may be a folder, a folder of folders, or one image without any, which counts before a folder of that name,
    as it does when the set is built.
    """
    _, person, file = name.split("/")
    if Path(file).stem == person and (gallery / file).is_file():
        return gallery / file
    placed = gallery / person / file
    if placed.is_file():
        return placed
    return next((path for path in sorted((gallery / person).rglob("*")) if path.name == file), placed)


def frame_of(testset: Testset) -> FrameByName | None:
    """What brings the user's images into CelebA's frame, where the set was built so (``align: true``); else None.

    Raises:
        ConfigError: the extra is missing.
        InputError: the set's spec holds an unknown word.
    """
    header = testset.manifest.get("header")
    spec = header.get("spec") if isinstance(header, Mapping) else None
    if not isinstance(spec, Mapping) or not spec.get("align"):
        return None
    return FrameByName(Framer(), str(spec.get("faces", "largest")))


def framed(frame: FrameByName, name: str, path: Path) -> Image.Image:
    """An enrolled person's face in that frame, RGB, 178 x 218 pixels. Raises DataError naming the image."""
    try:
        return frame(name, read_picture(path))
    except DataError as error:
        raise DataError(f"{name}: {error}", field="gallery", value=name) from None
