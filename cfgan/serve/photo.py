"""A person's own photo: read, shown, forgotten. It never reaches a disk or a log."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from cfgan.data.decode import CROP, read_picture, read_square, to_square
from cfgan.data.framing.faces import Framer
from cfgan.errors import ConfigError, InputError, unknown
from cfgan.serve.render import render
from cfgan.serve.v1 import model_of
from cfgan.serve.work import Served

router = APIRouter(include_in_schema=False)

FRAMES = {
    "align": "Find the largest face and align it, as the model learnt",
    "center": "The largest square in the middle",
    "none": "All of it, squeezed into a square",
}
_FIELD = 1000  # bytes of a form's field that is no file


@dataclass(frozen=True)
class Reading:
    """What is read in a photo.

    Args:
        seen_as: PNG of the square that was read.
        readers: "verifier", and "judge" where the bundle has one.
        rows: attribute, and for each reader its probability and threshold.
        eyes: pixels between the eyes in the photo, where a face was looked for.
    """

    seen_as: bytes
    readers: list[str]
    rows: list[tuple[str, list[tuple[float, float]]]]
    eyes: float | None


class FaceFinder:
    """What looks for faces, opened once it is needed."""

    def __init__(self) -> None:
        self._framer: Framer | None = None

    def framer(self) -> Framer:
        """Raises ConfigError: the extra is missing."""
        self._framer = self._framer or Framer()
        return self._framer

    @property
    def missing(self) -> str | None:
        """Why faces cannot be looked for, or None."""
        try:
            self.framer()
        except ConfigError as error:
            return str(error)
        return None


@dataclass(frozen=True)
class Sent:
    """A form with a photo."""

    photo: bytes
    fields: Mapping[str, str]


async def sent(request: Request) -> Sent:
    """The form, held in memory. Raises InputError and HTTPException: it is none."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InputError("send a form with a photo.", field="photo")
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=8, max_part_size=_FIELD)
    # A larger file would go to the disk; the whole body is smaller than this.
    parser.spool_max_size = request.app.state.limits.body + 1
    try:
        form = await parser.parse()
    except HTTPException:
        raise
    except (MultiPartException, ValueError, LookupError):
        raise HTTPException(400, "the form cannot be read.") from None
    try:
        photo = form.get("photo")
        data = await photo.read() if isinstance(photo, UploadFile) else b""
        return Sent(data, {key: value for key, value in form.items() if isinstance(value, str)})
    finally:
        await form.close()


@router.get("/photo")
def photo_page(request: Request) -> Response:
    """The form."""
    return _page(request, model_of(request, None))


@router.post("/photo")
def read_photo(request: Request, form: Annotated[Sent, Depends(sent)]) -> Response:
    """The form, and under it what the model's classifiers read in the photo."""
    model = model_of(request, form.fields.get("bundle"))
    frame = form.fields.get("frame", "center")
    try:
        if frame not in FRAMES:
            raise unknown("framing", frame, FRAMES, field="frame")
        if not form.photo:
            raise InputError("choose a photo first.", field="photo")
        with request.app.state.turns.taken():
            reading = read(model, form.photo, frame, request.app.state.faces)
    except InputError as error:
        return _page(request, model, frame, error=str(error), status=422)
    return _page(request, model, frame, reading)


def read(model: Served, photo: bytes, frame: str, faces: FaceFinder) -> Reading:
    """Frame a photo and read it with every classifier of the model.

    Raises:
        DataError: no image, or no face in it.
        ConfigError: a face is to be found and the extra is missing.
    """
    size, eyes = model.bundle.size, None
    if frame == "align":
        framer, picture = faces.framer(), read_picture(photo)
        face = framer.choose(picture)[0]
        levels, eyes = to_square(face.framed(picture), size, CROP), face.eyes
    else:
        levels = np.array(read_square(photo, size, frame).transpose(2, 0, 1))  # Pillow's own memory is read-only
    readers = [model.reader(role) for role in model.bundle.classifiers]
    found = [reader.probability(levels[None])[0] for reader in readers]
    rows = [
        (name, [(float(p[k]), float(r.calibration.threshold[k])) for r, p in zip(readers, found, strict=True)])
        for k, name in enumerate(model.bundle.vocabulary.names)
    ]
    return Reading(_png(levels), [reader.name for reader in readers], rows, eyes)


def _png(levels: npt.NDArray[np.uint8]) -> bytes:
    """Without the marks of a synthetic image: it is none."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0))).save(buffer, "PNG")
    return buffer.getvalue()


def _page(
    request: Request,
    model: Served,
    frame: str | None = None,
    reading: Reading | None = None,
    *,
    error: str | None = None,
    status: int = 200,
) -> Response:
    no_align = request.app.state.faces.missing
    context: dict[str, Any] = {
        "here": "photo",
        "query": "",
        "bundle": model.bundle.name,
        "bundles": list(request.app.state.models),
        "size": model.bundle.size,
        "megabytes": max(1, request.app.state.limits.body >> 20),
        "frames": FRAMES,
        "frame": frame or ("center" if no_align else "align"),
        "no_align": no_align,
    }
    return HTMLResponse(render("photo.html.j2", **context, reading=reading, error=error), status)
