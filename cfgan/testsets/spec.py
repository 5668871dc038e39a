"""Test-set specs: which faces are compared with which, and how many. Same parser and rules as attribute specs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cfgan.attributes.request import Request, format_request, request_from
from cfgan.attributes.spec import MAX_COUNT, RequestCell, VerifySpec, merge_settings, others_from
from cfgan.attributes.spec_files import TESTSETS, as_stored, current_words, load_spec_file
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.frames import is_table_name
from cfgan.errors import RequestError, SpecError, nearest
from cfgan.io.files import real_path, user_path
from cfgan.io.schema import validated
from cfgan.testsets.captures import KINDS, resolved_captures

Attributes = str | list[str] | dict[str, bool | float]
_Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
_FORBID = ConfigDict(extra="forbid", frozen=True)

_Captures = list[str] | dict[str, list[float]]
_CAPTURE = (
    "changes of capture ({kinds}): a list of names, or name: [parameters, mild to strong]; each enrolled face is also "
    "compared with itself so changed"
).format(kinds=", ".join(KINDS))

# The draws after which a request gives up: more than in a batch, since a set asks for combinations that are rare.
_LEAST_DRAWS, _DRAWS_A_FACE = 5_000, 200


class IdentitySpec(BaseModel):
    """How the face embedder is used."""

    model_config = _FORBID

    enabled: bool = Field(True, description="false: no embedder; nothing is screened, and `nearest` cannot be had")
    screen: Literal["none", "compared", "all"] | None = Field(
        None,
        description="none: imposters are compared however alike they are, as measuring bias needs; compared: no "
        "non-mated comparison above the embedder's threshold; all: no two subjects above it. Both cut the tail of the "
        "non-mated scores off, and with it false matches at strict thresholds. Default: compared; in `factorial` none",
    )
    screen_fmr: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.001, description="that threshold: the embedder's at this false match rate on real pairs"
    )
    keep_fmr: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01,
        description="presumed mated pairs are kept above the threshold at this false match rate on real pairs, of each "
        "embedder",
    )
    keep_fnmr: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="instead of keep_fmr: the threshold at this false non-match rate. At 1 % half of all random "
        "imposters pass it: it says next to nothing",
    )
    require_face: bool = Field(True, description="leave out faces that its detector does not find")

    @field_validator("screen", mode="before")
    @classmethod
    def _former_word(cls, value: object) -> object:
        return "compared" if value == "pairs" else value


class TestsetModel(BaseModel):
    """What every test set has."""

    __test__ = False  # not for pytest, whatever its name
    model_config = _FORBID

    name: Annotated[str, Field(max_length=80)] | None = Field(None, description="shown in reports")
    description: str | None = Field(None, description="what the set is for")
    attributes: Attributes = Field("", description="what all faces show, as in attribute specs")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="same seed, same set")
    unspecified: str | list[str] | dict[str, bool | float] = Field(
        "sample", description="attributes that are not asked for, as in attribute specs"
    )
    truncation: Annotated[float, Field(gt=0, le=10)] | None = Field(None, description="as in attribute specs")
    verify: VerifySpec = Field(default_factory=lambda: VerifySpec())
    identity: IdentitySpec = Field(default_factory=lambda: IdentitySpec())
    folds: Annotated[int, Field(ge=1, le=100)] = Field(10, description="parts without a common subject")
    regions: bool = Field(
        True,
        description="a hat or eyeglasses that a face is changed to must also be seen by a reader of the top of the "
        "head or the band of the eyes alone, as surely as in most real faces; false: as before version 0.4",
    )


class MatchedModel(TestsetModel):
    """Non-mated pairs of faces that share the stated attributes, in graded hardness."""

    design: Literal["matched"]
    pairs: _Count = Field(500, description="comparisons at each level")
    levels: Annotated[list[Literal["random", "matched", "nearest"]], Field(min_length=1)] = Field(
        ["random", "matched", "nearest"],
        description="probe is any face; one with the attributes; of those the most similar",
    )
    per_face: Annotated[int, Field(ge=1, le=100)] = Field(1, description="comparisons of one enrolled face at a level")

    max_uses: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None,
        description="comparisons of the level nearest in which one face may be the probe; by default twice per_face",
    )

    @field_validator("levels")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("a level is listed twice")
        return value

    change: list[str] = Field(
        default_factory=list, description="also presumed mated pairs: each of these attributes changed"
    )
    capture: _Captures = Field(default_factory=list, description=_CAPTURE)


class TransectModel(TestsetModel):
    """One face, one attribute changed at a time, everything else held: presumed mated pairs."""

    design: Literal["transect"]
    subjects: _Count = Field(100, description="faces that are changed")
    change: Annotated[list[str], Field(min_length=1)] = Field(
        description="attributes, each changed alone; `-Young`: from with to without"
    )
    search: bool = Field(True, description="look for the weakest condition that moves the attribute")
    imposters: Annotated[int, Field(ge=0, le=100)] = Field(1, description="non-mated comparisons a subject")
    capture: _Captures = Field(default_factory=list, description=_CAPTURE)


class CaptureModel(TestsetModel):
    """One face under stated changes of capture, graded by strength: mated and non-mated pairs of each."""

    design: Literal["capture"]
    subjects: _Count = Field(100, description="faces that are changed")
    capture: Annotated[_Captures, Field(min_length=1)] = Field(
        list(KINDS), description=_CAPTURE.partition(";")[0] + "; default: all, in three grades"
    )
    imposters: Annotated[int, Field(ge=0, le=100)] = Field(
        1, description="non-mated comparisons a subject, unchanged (stratum random) and under each change"
    )


class FactorialModel(TestsetModel):
    """Every combination of some attributes in equal numbers."""

    design: Literal["factorial"]
    cross: Annotated[list[str], Field(min_length=1, max_length=12)] = Field(description="attributes to combine")
    per_cell: _Count = Field(40, description="faces of each combination")
    per_face: Annotated[int, Field(ge=1, le=100)] = Field(1, description="non-mated comparisons of a face in its cell")
    change: list[str] = Field(
        default_factory=list, description="also presumed mated pairs: each of these attributes changed"
    )
    capture: _Captures = Field(default_factory=list, description=_CAPTURE)


class UserImagesModel(TestsetModel):
    """What test sets have that are built against images of the user's own."""

    align: bool = Field(
        False,
        description="find the face of each of your images and bring it into CelebA's frame first, as `cfgan data "
        "align` does; images without one are left out and named",
    )
    faces: Literal["largest", "refuse"] = Field(
        "largest", description="with align, where an image shows several faces: the largest, or leave it out"
    )


class GalleryModel(UserImagesModel):
    """Imposters for enrolled people: each shows what that person shows."""

    design: Literal["gallery"]
    gallery: str = Field(description="folder of images (a subfolder a person, or an image a person), or attributes CSV")
    match: list[str] | None = Field(
        None, description="attributes to match; default: all that the verifier reads well, where it is sure"
    )
    imposters: Annotated[int, Field(ge=1, le=1000)] = Field(5, description="faces for each person")
    mated: Annotated[int, Field(ge=0, le=10_000)] = Field(
        10, description="comparisons of two images of a person, at most; a person with one image has none"
    )
    random: Annotated[int, Field(ge=0, le=1000)] = Field(
        1, description="comparisons of a person with other people of the gallery, whatever they show"
    )
    copy_gallery: bool = Field(False, description="copy the people's images into the set; with align, as aligned")


class DetectionModel(UserImagesModel):
    """Generated faces against the user's real ones, alike in all but that: manipulated media."""

    design: Literal["detection"]
    attacks: _Count = Field(200, description="generated faces")
    bona_fide: str | None = Field(None, description="folder of real faces; without it slots are left for them")
    match: Annotated[list[str], Field(max_length=12)] | None = Field(
        None, description="attributes whose shares are made equal"
    )


Model = TypeVar("Model", bound=TestsetModel)
MODELS: dict[str, type[TestsetModel]] = {
    "matched": MatchedModel,
    "transect": TransectModel,
    "factorial": FactorialModel,
    "capture": CaptureModel,
    "gallery": GalleryModel,
    "detection": DetectionModel,
}


@dataclass(frozen=True)
class Plan:
    """A validated spec.

    Args:
        model: one of :data:`MODELS`.
        request: what all faces show; canonical names.
        unspecified: what their other attributes are, as in a cell.
        resolved: the spec as plain values that give the same set.
        user_images: the folder or file of the user's own that it names: the gallery, or the bona fide faces.
    """

    model: TestsetModel
    request: Request
    unspecified: str | Request
    resolved: dict[str, Any]
    user_images: Path | None = None

    @property
    def design(self) -> str:
        """The key of the model in :data:`MODELS`."""
        return str(self.resolved["design"])

    @property
    def screen(self) -> str:
        """Which pairs of faces may not be too alike: "none", "compared" or "all"."""
        return self.model.identity.screen or ("none" if self.design == "factorial" else "compared")

    def cell(self, name: str, request: Request, count: int, place: int, *, verified: bool = True) -> RequestCell:
        """A request of this set with an own seed: cells of different ``place`` share no latents."""
        import numpy as np

        words = np.random.SeedSequence(self.model.seed, spawn_key=(place,)).generate_state(1, np.uint64)
        verify = self.model.verify if verified else VerifySpec(enabled=False)
        if verify.max_draws is None:
            verify = verify.model_copy(update={"max_draws": max(_LEAST_DRAWS, _DRAWS_A_FACE * count)})
        others = self.unspecified
        if isinstance(others, dict):
            others = {key: value for key, value in others.items() if key not in request}
        return RequestCell(name, request, count, int(words[0] >> np.uint64(1)), others, self.model.truncation, verify)


def read_testset_spec(name_or_path: str, vocabulary: Vocabulary, overrides: Mapping[str, Any] | None = None) -> Plan:
    """Read a test-set spec, by path or by the name of a shipped one.

    Raises:
        SpecError, RequestError, VocabularyError: names file, field, value and the nearest valid one.
    """
    values = load_spec_file(name_or_path, kind=TESTSETS)
    return make_testset_plan(values, vocabulary, overrides, source=name_or_path)


def make_testset_plan(
    values: Mapping[str, Any],
    vocabulary: Vocabulary,
    overrides: Mapping[str, Any] | None = None,
    *,
    source: str = "spec",
) -> Plan:
    """Validate plain values as a spec file holds them. Raises as :func:`read_testset_spec`."""
    values = current_words({k: v for k, v in values.items() if k != "extends"}, source)
    values = merge_settings(values, current_words(overrides or {}, source))
    design = values.get("design")
    if not isinstance(design, str) or design not in MODELS:
        raise SpecError(
            f"{design!r} is not one of {', '.join(MODELS)}." if design else f"one of {', '.join(MODELS)} is expected.",
            field=f"{source}: design",
            value=design,
            nearest=nearest(str(design), MODELS) if design else (),
        )
    model = validated(MODELS[design], values, source)
    request = request_from(model.attributes, vocabulary, field=f"{source}: attributes")
    request = {name: request[name] for name in vocabulary.names if name in request}
    others = others_from(model.unspecified, request, vocabulary, field=f"{source}: unspecified")
    settings = model.model_dump(exclude_none=True)
    resolved = {"free" if key == "unspecified" else key: value for key, value in settings.items()}
    resolved |= {"attributes": dict(request), "free": as_stored(others)}
    resolved["verify"] = model.verify.model_dump(exclude_none=True)
    for key in ("change", "cross", "match"):
        if (listed := resolved.get(key)) is not None:
            resolved[key] = _names(listed, vocabulary, request, f"{source}: {key}", signed=key == "change")
    if model.regions:
        del resolved["regions"]  # specs of sets that were built before it was there say nothing of it
    if isinstance(model, UserImagesModel) and not model.align:
        if "faces" in model.model_fields_set:
            raise SpecError("is only for align: true.", field=f"{source}: faces", value=model.faces)
        del resolved["align"], resolved["faces"]  # as above
    if captures := resolved.pop("capture", None):
        resolved["capture"] = resolved_captures(captures, f"{source}: capture")
    user_images = None
    for key in {"gallery", "bona_fide"} & resolved.keys():
        # Only its name stands in what is written: no path of this machine leaves it.
        user_images = user_path(resolved[key], field=f"{source}: {key}")
        if not resolved[key] or not user_images.exists():
            option = f"--{key.replace('_', '-')}"
            raise SpecError(
                f"there is no {resolved[key]!r}; name your own with {option}.",
                field=f"{source}: {key}",
                value=resolved[key],
            )
        if user_images.is_file() and (key == "bona_fide" or not is_table_name(user_images)):
            raise SpecError("a folder of images is expected.", field=f"{source}: {key}", value=resolved[key])
        resolved[key] = real_path(user_images).name
    if resolved.get("align") and (user_images is None or user_images.is_file()):
        raise SpecError("there are no images to align: name a folder of your own.", field=f"{source}: align")
    plan = Plan(model, request, others, resolved, user_images)
    resolved["identity"] = {**resolved["identity"], "screen": plan.screen}
    return plan


def json_schema() -> dict[str, Any]:
    """JSON Schema of a test-set spec: one of the designs."""
    from pydantic.json_schema import models_json_schema

    designs, definitions = models_json_schema([(model, "validation") for model in MODELS.values()])
    return {"title": "cfgan test-set spec", "oneOf": list(designs.values()), **definitions}


def _names(listed: list[str], vocabulary: Vocabulary, request: Request, where: str, *, signed: bool) -> list[str]:
    """Canonical names, with a sign where one may stand; each once, none that is requested with the same sign."""
    found: list[str] = []
    for item in listed:
        ((name, value),) = _one(item, vocabulary, where).items()
        if not signed and value < 0:
            raise SpecError(f"{item!r}: a plain name is expected.", field=where, value=item, nearest=[name])
        if name in request and (not signed or request[name] == value):
            raise RequestError(f"{name} is requested already.", field=where, value=item)
        text = format_request({name: value})
        if name in [each.lstrip("-") for each in found]:
            raise SpecError(f"{name} is listed twice.", field=where, value=item)
        found.append(text)
    return found


def _one(item: str, vocabulary: Vocabulary, where: str) -> Request:
    request = request_from(item, vocabulary, field=where)
    if len(request) != 1 or abs(next(iter(request.values()))) != 1:
        raise SpecError(f"{item!r}: one attribute is expected, wanted or unwanted.", field=where, value=item)
    return request
