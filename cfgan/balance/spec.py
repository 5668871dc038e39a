"""What a person asks of a balance: a target, how faces are spread over other attributes, and how strictly to verify."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cfgan.attributes.request import parse_request
from cfgan.attributes.spec import Truncation, VerifySpec
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.balance.target import AtLeast, Equal, Ratio, Target
from cfgan.errors import SpecError
from cfgan.io.schema import validated
from cfgan.io.yaml import parse_yaml, read_text_limited


class BalanceSpec(BaseModel):
    """A balance as written by a person; one of ``ratio``, ``equalize`` and ``counts`` is its target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attribute: str | None = Field(None, description="the attribute that `ratio` is of")
    ratio: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of the training images with a known label that shall have the attribute"
    )
    equalize: list[str] = Field(
        default_factory=list, description="attributes of which every combination shall be equally common"
    )
    counts: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description='requests, such as "Bald,-Male", and how many training images each needs'
    )
    match: list[str] = Field(
        default_factory=list,
        description="attributes given to the generator as common as in the real images of the same request",
    )
    free_labels: Literal["unknown", "verifier", "condition"] = Field(
        "unknown", description="labels of attributes that were not asked for: none, as read, or as given"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="same seed, same faces")
    truncation: Truncation = Field(None, description="as in an attribute spec")
    verify: VerifySpec = Field(default_factory=lambda: VerifySpec())

    def target(self, vocabulary: Vocabulary) -> Target:
        """The target with the vocabulary's spelling. Raises SpecError, VocabularyError, RequestError."""
        stated = [
            name
            for name, given in (
                ("attribute", self.attribute is not None or self.ratio is not None),
                ("equalize", bool(self.equalize)),
                ("counts", bool(self.counts)),
            )
            if given
        ]
        if len(stated) != 1:
            raise SpecError(
                "one target is expected: an attribute with a ratio (--attribute, --ratio), attributes to equalize "
                "(--attributes, --equalize), or counts (in a spec)"
                + (f"; given are {' and '.join(stated)}." if stated else "."),
                field="target",
                value=stated,
            )
        if self.equalize:
            return Equal(tuple(vocabulary.canonical(name, field="attributes") for name in self.equalize))
        if self.counts:
            return AtLeast(
                tuple((parse_request(text, vocabulary, field="counts"), count) for text, count in self.counts.items())
            )
        if self.attribute is None or self.ratio is None:
            missing, given = ("attribute", "ratio") if self.attribute is None else ("ratio", "attribute")
            raise SpecError(f"is missing beside {given}.", field=missing)
        # 0.1 as it is written, not the binary number next to it: else no share would ever be reached exactly.
        return Ratio(vocabulary.canonical(self.attribute, field="attribute"), Fraction(str(self.ratio)))


def make_balance_spec(values: Mapping[str, Any], *, source: str = "command line") -> BalanceSpec:
    """Validate plain values. Raises SpecError: names source, field, value and the nearest valid name."""
    return validated(BalanceSpec, values, source)


def read_balance_spec(path: Path, overrides: Mapping[str, Any]) -> BalanceSpec:
    """Read a YAML or JSON file; ``overrides`` of the command line win.

    Raises:
        SpecError: missing, not YAML, not a mapping, or as :func:`make_balance_spec`.
    """
    values = parse_yaml(read_text_limited(path), name=path.name)
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise SpecError("a mapping of settings is expected.", field=path.name)
    merged = {**values, **overrides}
    if isinstance(values.get("verify"), Mapping) and "verify" in overrides:
        merged["verify"] = {**values["verify"], **overrides["verify"]}
    return make_balance_spec(merged, source=path.name)
