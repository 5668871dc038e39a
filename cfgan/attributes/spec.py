"""Specs: a request with a count, a seed, what free attributes do and how strictly to verify.

A spec file (YAML or JSON) holds one spec, or shared settings and a list of
``requests``. :func:`read_spec` turns any of it into a :class:`Plan`: cells with one request and one count each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from cfgan.attributes.latents import FIRST_RULE, WIDEST, LatentRule, stream_seed
from cfgan.attributes.request import Request, format_request, request_from
from cfgan.attributes.spec_files import as_stored, current_words, load_spec_file, merge_verify
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import RequestError, SpecError, VocabularyError, nearest
from cfgan.io.schema import validated

MAX_COUNT = 10_000_000
MAX_CELLS = 4096
UNSPECIFIED_WORDS = ("sample", "zero")
"""What can be said of all attributes that are not requested."""


def _cut_off(value: Any) -> Any:
    if value is None or isinstance(value, str) and value.casefold() == "none":
        return value and "none"
    try:
        cut = float(value)
    except (TypeError, ValueError):
        cut = 0.0
    if not 0 < cut <= WIDEST:
        raise ValueError(f"must be a number of standard deviations above 0 and at most {WIDEST:g}, or none")
    return cut


Truncation = Annotated[Annotated[float, Field(gt=0, le=WIDEST)] | Literal["none"] | None, BeforeValidator(_cut_off)]
"""Where latents are cut off, in standard deviations; "none": nowhere; None: where the bundle says."""


class VerifySpec(BaseModel):
    """How strictly images are verified."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="false keeps every draw; probabilities are still written")
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="least probability of every requested value; default: the bundle's own gate, by the whole request",
    )
    precision: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="instead of a threshold: share of real faces passing the verifier that carry the value"
    )
    max_draws: Annotated[int, Field(ge=1)] | None = Field(
        None, description="draws after which a request gives up; default: 50 for each face asked for, 1,000 at least"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> VerifySpec:
        if self.threshold is not None and self.precision is not None:
            raise ValueError("give either threshold or precision, not both")
        return self


class SpecModel(BaseModel):
    """One spec as written by a person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(max_length=80)] | None = Field(None, description="shown in reports")
    description: str | None = Field(None, description="what the faces are for")
    attributes: str | list[str] | dict[str, bool | float] = Field(
        "", description='"Male,-Eyeglasses", a list of such items, or a mapping name: true / false / -1..1; "any"'
    )
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)] = Field(32, description="faces wanted")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="same seed, same faces")
    unspecified: str | list[str] | dict[str, bool | float] = Field(
        "sample",
        description="other attributes: sample, drawn as they go together in real faces; zero, all 0; or fixed values "
        "for some, as in attributes",
    )
    truncation: Truncation = Field(
        None,
        description="latents are drawn from a normal cut off at this many standard deviations, or none; default: the "
        "bundle's",
    )
    same_latents: bool | None = Field(
        None, description="true: draw i has the latent that it has for any other request with this seed"
    )
    vary: list[str] = Field(
        default_factory=list, description="attributes of which every combination is made, in equal numbers"
    )
    verify: VerifySpec = Field(default_factory=lambda: VerifySpec())

    @field_validator("attributes", "unspecified", "vary", mode="before")
    @classmethod
    def _numbers_are_names(cls, value: Any) -> Any:
        """YAML reads an attribute called 7 as a number, where it stands for a name."""
        if isinstance(value, Mapping):
            return {_as_name(name): amount for name, amount in value.items()}
        return [_as_name(item) for item in value] if isinstance(value, list) else _as_name(value)

    @field_validator("vary")
    @classmethod
    def _not_too_many(cls, value: list[str]) -> list[str]:
        if len(value) > 12:
            raise ValueError("at most 12 attributes can be varied (4,096 combinations)")
        return value


class SpecFileModel(SpecModel):
    """A spec file: one spec, or settings shared by a list of ``requests``."""

    extends: str | None = Field(None, description="another spec file, whose settings this one overrides")
    requests: list[dict[str, Any]] = Field(
        default_factory=list, description="specs that inherit the settings above; text stands for its attributes"
    )

    @field_validator("requests", mode="before")
    @classmethod
    def _text_is_a_request(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"attributes": item} if isinstance(item, str) else item for item in value]


@dataclass(frozen=True)
class RequestCell:
    """One request of a plan.

    Args:
        name: short title.
        request: canonical attributes and values; may be empty.
        count: faces wanted.
        seed: of its draws.
        unspecified: what the other attributes are: "sample", drawn from the prior, "zero", or fixed values for some of
            them (the rest sampled).
        truncation: cut-off of the latents in standard deviations, or None.
        verify: how strictly.
        same_latents: whether the latents depend on the seed alone, and not on the request.
    """

    name: str
    request: Request
    count: int
    seed: int
    unspecified: str | Request = "sample"
    truncation: float | None = None
    verify: VerifySpec = field(default_factory=VerifySpec)
    same_latents: bool = True

    @property
    def stream(self) -> int:
        """The seed of the random stream that latents and conditions are drawn from."""
        return self.seed if self.same_latents else stream_seed(self.seed, self.request, self.unspecified)

    @property
    def max_draws(self) -> int:
        """The most draws this cell may take."""
        if not self.verify.enabled:
            return self.count
        return self.verify.max_draws or max(1000, 50 * self.count)


@dataclass(frozen=True)
class Plan:
    """What one run makes: its cells in order, and the spec as plain values, fully resolved."""

    cells: tuple[RequestCell, ...]
    resolved: dict[str, Any]

    @property
    def count(self) -> int:
        """Faces wanted in all."""
        return sum(cell.count for cell in self.cells)


def read_spec(
    name_or_path: str,
    vocabulary: Vocabulary,
    overrides: Mapping[str, Any] | None = None,
    *,
    latents: LatentRule = FIRST_RULE,
) -> Plan:
    """Read a spec file, by path or by the name of a shipped one, into a plan.

    Args:
        name_or_path: a path, or a name such as ``Smiling+Eyeglasses``.
        vocabulary: of the model.
        overrides: settings of the command line that win over the file (count, seed, verify.threshold, ...).
        latents: the bundle's rule, for specs that do not say.

    Raises:
        SpecError, RequestError, VocabularyError: names file, field, value and the nearest valid one.
    """
    return make_plan(load_spec_file(name_or_path), vocabulary, overrides, source=name_or_path, latents=latents)


def make_plan(
    values: str | Mapping[str, Any],
    vocabulary: Vocabulary,
    overrides: Mapping[str, Any] | None = None,
    *,
    source: str = "spec",
    latents: LatentRule = FIRST_RULE,
) -> Plan:
    """Validate plain values as a spec file holds them, or a request alone, and expand them into cells.

    Raises as :func:`read_spec`.
    """
    values = {"attributes": values} if isinstance(values, str) else values
    overrides = current_words(overrides or {}, source)
    values = merge_settings(current_words(values, source), overrides)
    top = validated(SpecFileModel, values, source)
    own = ("requests", "extends", "name") if top.requests else ("requests", "extends")
    shared = {k: v for k, v in values.items() if k not in own}
    if "requests" in values and not top.requests:
        raise SpecError("the list is empty.", field=f"{source}: requests", value=[])
    cells: list[RequestCell] = []
    for place, entry in enumerate(top.requests or [{}]):
        where = f"{source}: requests[{place}]" if top.requests else source
        if top.requests and {"requests", "extends"} & entry.keys():
            raise SpecError("a request of a list cannot hold requests or extends.", field=where)
        merged = merge_settings(merge_settings(dict(shared), current_words(entry, where)), overrides)
        stated = "seed" in entry and "seed" not in overrides
        merged["seed"] = entry["seed"] if stated else top.seed
        cells += _cells(validated(SpecModel, merged, where), vocabulary, where, 0 if stated else place, latents)
        if len(cells) > MAX_CELLS:
            raise SpecError(f"more than {MAX_CELLS} combinations.", field=where, value=len(cells))
    return Plan(tuple(cells), _resolved(cells, top, latents))


def json_schema() -> dict[str, Any]:
    """JSON Schema of a spec file."""
    schema = SpecFileModel.model_json_schema()
    schema["properties"]["requests"]["items"] = {**SpecModel.model_json_schema(), "title": "Request"}
    schema["$defs"] = {**schema.get("$defs", {}), **schema["properties"]["requests"]["items"].pop("$defs", {})}
    schema["title"] = "cfgan attribute spec"
    return schema


def others_from(
    value: str | list[str] | Mapping[str, bool | float], request: Request, vocabulary: Vocabulary, *, field: str
) -> str | Request:
    """What attributes outside a request are: "sample", "zero", or fixed values for some, written as a request is.

    Raises:
        SpecError: neither one of these words nor attributes.
        RequestError, VocabularyError: as :func:`request_from`; or one of them is requested already.
    """
    if isinstance(value, str) and value in UNSPECIFIED_WORDS:
        return value
    try:
        others = request_from(value, vocabulary, field=field)
    except (RequestError, VocabularyError):
        if not isinstance(value, str):
            raise
        raise SpecError(
            f"{value!r} is neither {' nor '.join(UNSPECIFIED_WORDS)}, nor does it name attributes.",
            field=field,
            value=value,
            nearest=nearest(value, (*UNSPECIFIED_WORDS, *vocabulary.names)),
        ) from None
    if both := [name for name in others if name in request]:
        raise RequestError(f"{both[0]} is requested already.", field=field, value=both[0])
    return others


def _as_name(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def merge_settings(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others that win over them; changes and returns ``base``."""
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        # Settings of `verify` and `identity` are overridden one by one; a request is replaced as a whole.
        if both and key == "verify":
            base[key] = merge_verify(base[key], value)
        else:
            base[key] = {**base[key], **value} if both and key == "identity" else value
    return base


def _cells(
    spec: SpecModel, vocabulary: Vocabulary, where: str, request_place: int, latents: LatentRule
) -> Iterable[RequestCell]:
    truncation = latents.truncation if spec.truncation is None else spec.truncation
    cut = None if truncation is None or truncation == "none" else float(truncation)
    same = latents.shared if spec.same_latents is None else spec.same_latents
    request = request_from(spec.attributes, vocabulary, field=f"{where}: attributes")
    others = others_from(spec.unspecified, request, vocabulary, field=f"{where}: unspecified")
    varied = [vocabulary.canonical(name, field=f"{where}: vary") for name in spec.vary]
    for name in varied:
        if name in request or varied.count(name) > 1 or (isinstance(others, dict) and name in others):
            raise RequestError(f"{name} is set already.", field=f"{where}: vary", value=name)
    combinations = list(itertools.product((1.0, -1.0), repeat=len(varied)))
    if spec.count % len(combinations):
        low = spec.count // len(combinations) * len(combinations)
        raise SpecError(
            f"{spec.count} faces do not divide into {len(combinations)} combinations.",
            field=f"{where}: count",
            value=spec.count,
            nearest=[n for n in (low, low + len(combinations)) if n],
        )
    for place, values in enumerate(combinations):
        wanted = {**request, **dict(zip(varied, values, strict=True))}
        wanted = {name: wanted[name] for name in vocabulary.names if name in wanted}  # one order, whatever was written
        name = spec.name or format_request(wanted)[:80] or "any face"
        if varied and spec.name:
            name = f"{spec.name}: {format_request(dict(zip(varied, values, strict=True)))}"[:80]
        seed = _cell_seed(spec.seed, request_place, place)
        count = spec.count // len(combinations)
        yield RequestCell(name, wanted, count, seed, others, cut, spec.verify, same)


def _cell_seed(seed: int, request: int, combination: int) -> int:
    """An own seed for every cell, so that cells do not share latents; the first cell keeps the spec's seed."""
    import numpy as np

    if request == combination == 0:
        return seed
    words = np.random.SeedSequence(seed, spawn_key=(request, combination)).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def _resolved(cells: list[RequestCell], top: SpecFileModel, latents: LatentRule) -> dict[str, Any]:
    """The plan as a spec file that names every cell and setting: reading it gives the same plan."""
    entries: list[dict[str, Any]] = []
    for cell in cells:
        entry: dict[str, Any] = {"name": cell.name[:80], "attributes": dict(cell.request), "count": cell.count}
        entry |= {"seed": cell.seed, "free": as_stored(cell.unspecified)}
        entry |= latents.stated(cell.truncation, cell.same_latents)
        entry["verify"] = {k: v for k, v in cell.verify.model_dump().items() if v is not None}
        entries.append(entry)
    head = {k: v for k, v in (("name", top.name), ("description", top.description)) if v}
    if len(entries) == 1:
        return {**entries[0], **head}
    return {**head, "requests": entries}
