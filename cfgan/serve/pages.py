"""Pages for people, rendered here: forms and pictures, no script. The address holds the request, so it can be sent."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response

from cfgan.api.faces import Face
from cfgan.attributes.request import parse_request
from cfgan.errors import CfganError, InputError
from cfgan.io.yaml import dump_yaml
from cfgan.serve.problems import words_of
from cfgan.serve.render import render, templates
from cfgan.serve.stream import Streamed
from cfgan.serve.v1 import BundleName, model_of, plan_of, zipped
from cfgan.serve.walk import walk
from cfgan.serve.work import Drawing, Served

router = APIRouter(include_in_schema=False)

_STATES = {"yes": 1.0, "no": -1.0}
_SHOWN = 16  # faces that a first look asks for

Whole = Annotated[str, Query(max_length=20)]
Text = Annotated[str, Query(max_length=500)]


class Form:
    """What a page was asked for, as its form holds it; kept as text, so that what is wrong is shown again.

    A switch is a parameter with the attribute's name and "yes" or "no"; ``more`` is request text, which may grade.
    """

    def __init__(self, request: Request, model: Served, more: str, n: str, seed: str, truncation: str) -> None:
        self.bundle = request.query_params.get("bundle") or model.bundle.name
        names = model.bundle.vocabulary.names
        given = request.query_params
        self.switches = {name: given[name] for name in names if given.get(name) in _STATES}
        shown = str(min(_SHOWN, request.app.state.limits.faces))
        self.more, self.n, self.seed, self.truncation = (
            more.strip(),
            n.strip() or shown,
            seed.strip(),
            truncation.strip(),
        )

    def spec(self, model: Served) -> dict[str, Any]:
        """As a spec file. Raises InputError: a number or a name that cannot be read."""
        wanted = {name: _STATES[state] for name, state in self.switches.items()}
        if self.more and self.more.casefold() != "any":
            wanted |= parse_request(self.more, model.bundle.vocabulary, field="more")
        spec: dict[str, Any] = {
            "attributes": wanted or "any",
            "count": _number("n", self.n),
            "seed": _number("seed", self.seed),
        }
        return {**spec, "truncation": self.truncation} if self.truncation else spec


def _number(field: str, text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"{text!r} is not a whole number from 0.", field=field, value=text)
    return int(text)


def _form(
    request: Request,
    bundle: BundleName = None,
    more: Text = "",
    n: Whole = "",
    seed: Whole = "0",
    truncation: Whole = "",
) -> tuple[Served, Form]:
    model = model_of(request, bundle)
    return model, Form(request, model, more, n, seed, truncation)


Asked = Annotated[tuple[Served, Form], Depends(_form)]
"""The fields that every page has, read from its address."""


def _context(request: Request, model: Served, form: Form, here: str) -> dict[str, Any]:
    """What both pages show: the form, the models, and links with the same request."""
    limits = request.app.state.limits
    return {
        "here": here,
        "query": str(request.url.query),
        "groups": model.bundle.vocabulary.grouped(),
        "form": form,
        "bundle": form.bundle,
        "bundles": list(request.app.state.models),
        "limits": limits,
        "realism": model.bundle.realism.sentence,
        "size": model.bundle.size,
    }


@router.get("/")
def explore(request: Request, asked: Asked) -> Response:
    """Switches for every attribute, and the faces that they give, as they pass."""
    model, form = asked
    context = _context(request, model, form, "explore")
    try:
        drawing = Drawing(model, plan_of(request, model, form.spec(model)), request.app.state.limits)
        shown = {**context, "error": None, "drawing": drawing, "faces": _Shown(drawing), "spec": _spec_text(drawing)}

        def parts() -> Generator[str, None, None]:
            with drawing.begun(request.app.state.turns):
                yield from templates.get_template("explore.html.j2").generate(**shown)

        return Streamed(parts(), "text/html")
    except InputError as error:
        page = render("explore.html.j2", **context, error=str(error), drawing=None)
        return HTMLResponse(page, status_code=422)


@router.get("/batch.zip")
def batch(request: Request, asked: Asked) -> Response:
    """The faces of the page as a batch folder that ``cfgan batch check`` accepts."""
    model, form = asked
    plan = plan_of(request, model, form.spec(model))
    with request.app.state.turns.taken():
        data = zipped(model, plan, request.app.state.limits.seconds)
    headers = {"content-disposition": 'attachment; filename="batch.zip"'}
    return Response(data, media_type="application/zip", headers=headers)


@router.get("/walk")
def walk_page(
    request: Request,
    asked: Asked,
    attribute: Annotated[str, Query(max_length=80)] = "",
    draw: Whole = "0",
) -> Response:
    """One face while one attribute goes from absent to present, and what else changes with it."""
    model, form = asked
    names = model.bundle.vocabulary.names
    chosen = attribute or next((name for name in ("Smiling", *names) if name in names), names[0])
    context = _context(request, model, form, "walk") | {"names": names, "attribute": chosen, "draw": draw}
    try:
        plan = plan_of(request, model, {**form.spec(model), "count": 1})
        with request.app.state.turns.taken():
            found = walk(model, plan.cells[0], _number("draw", draw), chosen)
    except InputError as error:
        return HTMLResponse(render("walk.html.j2", **context, error=str(error), walk=None), status_code=422)
    return HTMLResponse(render("walk.html.j2", **context, error=None, walk=found))


def _spec_text(drawing: Drawing) -> str:
    return dump_yaml(drawing.plan.resolved)


class _Shown:
    """Faces with the verdict that stands under them; ends early, and says so, where the model fails."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self.failed = False

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        try:
            for face in self._drawing:
                yield {"face": face, "verdict": _verdict(face), "most": _most(face)}
        except CfganError as error:
            words_of(error)  # goes to the log
            self.failed = True


def _verdict(face: Face) -> str:
    """What the verifier says of the request: a face that is shown has passed."""
    asked = [name for name, value in face.requested.items() if abs(value) == 1]
    if not asked:
        return "nothing to verify" if not face.requested else "graded, not verified"
    sure = min(face.probability[name] if face.requested[name] > 0 else 1 - face.probability[name] for name in asked)
    return f"seen, {100 * sure:.0f} %"


def _most(face: Face) -> str:
    """The attributes that the verifier is surest of, for those who hover or listen."""
    surest = sorted(face.probability.items(), key=lambda item: -item[1])[:6]
    return f"draw {face.draw}: " + ", ".join(f"{name.replace('_', ' ')} {100 * p:.0f} %" for name, p in surest)
