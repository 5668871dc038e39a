"""A person's own photo: read, projected, edited, shown, forgotten. It never reaches a disk or a log."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from cfgan.data.framing.faces import Framer
from cfgan.data.framing.photo import FramedPhoto, open_photo
from cfgan.errors import ConfigError, InputError, unknown
from cfgan.io.extras import require_package
from cfgan.serve.render import render
from cfgan.serve.v1 import model_of
from cfgan.serve.work import Served

if TYPE_CHECKING:
    from cfgan.generate.projection.result import Projection

router = APIRouter(include_in_schema=False)

FRAMES = {
    "align": "Find the largest face and align it, as the model learnt",
    "center": "The largest square in the middle",
    "none": "All of it, squeezed into a square",
}
CHANGES = ("change1", "change2", "change3")
"""Fields of the form for one edit each, such as "-Eyeglasses"."""
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
            framer = request.app.state.faces.framer() if frame == "align" else None
            framed = open_photo(form.photo, model.bundle.size, framer, "center" if framer else frame)
            reading = read(model, framed)
            projection = project(model, framed, form.fields) if form.fields.get("project") else None
    except InputError as error:
        return _page(request, model, frame, fields=form.fields, error=str(error), status=422)
    return _page(request, model, frame, reading, projection, fields=form.fields)


def read(model: Served, framed: FramedPhoto) -> Reading:
    """What every classifier of the model reads in a photo."""
    readers = [model.reader(role) for role in model.bundle.classifiers]
    found = [reader.probability(framed.levels[None])[0] for reader in readers]
    rows = [
        (name, [(float(p[k]), float(r.calibration.threshold[k])) for r, p in zip(readers, found, strict=True)])
        for k, name in enumerate(model.bundle.vocabulary.names)
    ]
    return Reading(_png(framed.levels), [reader.name for reader in readers], rows, framed.eyes)


def project(model: Served, framed: FramedPhoto, fields: Mapping[str, str]) -> Projection:
    """The photo among what the model can draw, and the edits that the form asks for.

    Raises:
        ConfigError: torch is missing.
        InputError: an edit that cannot be, or a model that cannot be searched.
    """
    require_package("torch", "train", "projecting a photo", field="project", error=ConfigError)
    from cfgan.generate.projection.edits import parse_edits
    from cfgan.generate.projection.project import project_levels

    asked = [fields[name] for name in CHANGES if fields.get(name)]
    wanted = parse_edits(asked, model.bundle.vocabulary, field="change")
    return project_levels(model.bundle, framed.levels, wanted, device=model.device)


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
    projection: Projection | None = None,
    *,
    fields: Mapping[str, str] | None = None,
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
        "no_project": None if importlib.util.find_spec("torch") else 'pip install "cfgan[train]"',
        "attributes": model.bundle.vocabulary.names,
        "changes": CHANGES,
        "fields": fields or {},
    }
    page = render("photo.html.j2", **context, reading=reading, projection=projection, error=error)
    return HTMLResponse(page, status)
