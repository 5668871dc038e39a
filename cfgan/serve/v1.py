"""The API: specs in, faces out; images in, readings out."""

from __future__ import annotations

import base64
import io
import json
import tempfile
import time
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import Response

from cfgan.api.faces import Face
from cfgan.attributes.spec import Plan, make_plan
from cfgan.errors import CfganError, StoppedError, unknown
from cfgan.generate.job import finish_early, generate
from cfgan.serve.limits import Limits
from cfgan.serve.problems import words_of
from cfgan.serve.stream import Streamed
from cfgan.serve.work import Drawing, Served, Turns
from cfgan.verify.images import choose_columns, read_one

router = APIRouter(prefix="/v1")

BundleName = Annotated[str | None, Query(description="a name that /v1/bundles lists; the first by default")]
_NDJSON = "application/x-ndjson"


def model_of(request: Request, name: str | None) -> Served:
    """A served model. Raises InputError: there is none of that name."""
    models: dict[str, Served] = request.app.state.models
    if name is None:
        return next(iter(models.values()))
    if name not in models:
        raise unknown("bundle", name, models, field="bundle")
    return models[name]


def plan_of(request: Request, model: Served, spec: dict[str, Any]) -> Plan:
    """A spec as a plan within the limits. Raises InputError."""
    limits: Limits = request.app.state.limits
    limits.check_spec(spec)
    return limits.bounded(make_plan(spec, model.bundle.vocabulary, source="spec", latents=model.bundle.latents))


@router.get("/bundles")
def bundles(request: Request) -> list[dict[str, Any]]:
    """The models that are served, with all that is needed to write a spec for one."""
    return [
        {
            "name": name,
            "digest": each.bundle.digest,
            "size": each.bundle.size,
            "attributes": list(each.bundle.vocabulary.names),
            "vocabulary": each.bundle.vocabulary.to_dict(),
            "latents": each.bundle.config.get("latents", {}),
            "readers": list(each.bundle.classifiers),
        }
        for name, each in request.app.state.models.items()
    ]


@router.get("/attributes")
def attributes(request: Request, bundle: BundleName = None) -> dict[str, Any]:
    """The attributes of a model, in groups, and which exclude each other."""
    vocabulary = model_of(request, bundle).bundle.vocabulary
    groups = {title: list(names) for title, names in vocabulary.grouped().items()}
    return {"groups": groups, "exclusive": [sorted(names) for names in vocabulary.exclusive]}


@router.post(
    "/generate",
    responses={
        200: {
            "content": {_NDJSON: {}, "application/zip": {}},
            "description": "a line of JSON a face, or a batch folder",
        }
    },
)
def generate_faces(
    request: Request,
    spec: Annotated[dict[str, Any], Body(examples=[{"attributes": "Male,Smiling", "count": 8, "seed": 1}])],
    bundle: BundleName = None,
    form: Annotated[str, Query(pattern="^(ndjson|zip)$", description="ndjson, or zip: a batch folder")] = "ndjson",
) -> Response:
    """Faces for a spec: the settings of a spec file.

    As ``ndjson`` each face is a line of JSON, sent when it has passed: file, request (its place in the spec), draw,
    seed, requested, condition, probability and png (base64); the last line is a ``summary``, or an ``error`` where the
    model failed on the way. As ``zip`` it is a batch folder that ``cfgan batch check`` accepts.
    """
    model = model_of(request, bundle)
    plan = plan_of(request, model, spec)
    turns: Turns = request.app.state.turns
    limits: Limits = request.app.state.limits
    if form == "zip":
        with turns.taken():
            return Response(zipped(model, plan, limits.seconds), media_type="application/zip")
    drawing = Drawing(model, plan, limits)

    def lines() -> Generator[str, None, None]:
        with drawing.begun(turns):
            yield ""  # the turn has come: only now is it a success
            try:
                for place, face in drawing.placed():
                    yield json.dumps(as_json(place, face)) + "\n"
                yield json.dumps({"summary": summary(drawing)}) + "\n"
            except CfganError as error:
                yield json.dumps({"error": words_of(error)["detail"]}) + "\n"

    return Streamed(lines(), _NDJSON)


@router.get("/columns")
def columns_of(
    request: Request,
    bundle: BundleName = None,
    by: Annotated[str, Query(description="verifier or judge")] = "verifier",
    attrs: Annotated[str | None, Query(description="what an image should show: Male,-Smiling")] = None,
) -> dict[str, Any]:
    """What ``/v1/verify`` would read: attributes, the thresholds from which they are seen, and what is wanted."""
    columns = choose_columns(model_of(request, bundle).bundle, by, attrs)
    wanted = None if columns.wanted is None else columns.wanted.tolist()
    return {"attributes": list(columns.names), "thresholds": columns.threshold.tolist(), "wanted": wanted}


@router.post("/verify")
def verify_image(
    request: Request,
    image: Annotated[bytes, Body(media_type="image/*", description="a JPEG, PNG, WebP or BMP file")],
    bundle: BundleName = None,
    by: Annotated[str, Query(description="verifier or judge")] = "verifier",
    attrs: Annotated[str | None, Query(description="what it should show: Male,-Smiling")] = None,
    crop: Annotated[str, Query(description="center, none or celeba")] = "center",
) -> dict[str, Any]:
    """What a classifier reads in one image. It stays in memory and is gone after the answer."""
    model = model_of(request, bundle)
    columns = choose_columns(model.bundle, by, attrs)
    turns: Turns = request.app.state.turns
    with turns.taken():
        probability = read_one(model.reader(by), model.bundle.size, columns, image, crop)
    seen = probability >= columns.threshold
    found = {
        name: {"probability": round(float(p), 6), "seen": bool(s), "threshold": round(float(t), 6)}
        for name, p, s, t in zip(columns.names, probability, seen, columns.threshold, strict=True)
    }
    meets = None if columns.wanted is None else bool((seen == columns.wanted).all())
    return {"by": by, "attributes": found, "meets": meets}


def as_json(place: int, face: Face) -> dict[str, Any]:
    """A face as a line of JSON holds it; ``place`` of its request in the spec."""
    return {
        "file": face.file,
        "request": place,
        "draw": face.draw,
        "seed": face.seed,
        "requested": dict(face.requested),
        "condition": dict(face.condition),
        "probability": dict(face.probability),
        "png": base64.b64encode(face.png).decode("ascii"),
    }


def summary(drawing: Drawing) -> dict[str, Any]:
    """What came of a request."""
    bundle = drawing.model.bundle
    return {
        "wanted": drawing.wanted,
        "accepted": drawing.accepted,
        "draws": drawing.draws,
        "taken": drawing.taken,
        "complete": drawing.accepted >= drawing.wanted,
        "timed_out": drawing.timed_out,
        "warnings": drawing.warnings,
        "bundle": {"name": bundle.name, "digest": bundle.digest},
        "engine": drawing.model.sampler.engine.name,
        "spec": drawing.plan.resolved,
    }


def zipped(model: Served, plan: Plan, seconds: float) -> bytes:
    """A batch folder as a zip archive, with what was found when ``seconds`` are over.

    Raises what :func:`cfgan.generate.job.generate` does.
    """
    ends = time.monotonic() + seconds

    def in_time(stage: str, done: int, total: int, remark: str = "") -> None:
        if time.monotonic() > ends:
            raise StoppedError("the time is over.")

    with tempfile.TemporaryDirectory(prefix="cfgan-serve-") as scratch:
        folder = Path(scratch) / "batch"
        try:
            generate(model.bundle, plan, folder, device=model.sampler.engine, progress=in_time)
        except StoppedError:
            finish_early(model.bundle, folder)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:  # PNGs are compressed already
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                archive.write(path, path.relative_to(folder).as_posix())
        return buffer.getvalue()
