"""What a bundle says about its latents, what a spec says instead, and that old specs keep their faces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cfgan.attributes.latents import LatentRule, stream_seed
from cfgan.attributes.spec import make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import SpecError
from cfgan.generate.job import generate
from cfgan.generate.sampling import latents
from cfgan.model.bundle import Bundle, write_bundle

NAMES = Vocabulary(("Red", "Round", "Cat"))
OWN = LatentRule(1.5, shared=False)


def test_a_bundle_without_a_rule_draws_as_all_once_did() -> None:
    (cell,) = make_plan({"attributes": "Red", "seed": 7}, NAMES).cells
    assert cell.stream == 7 and cell.truncation is None
    resolved = make_plan({"attributes": "Red", "seed": 7}, NAMES).resolved
    assert "truncation" not in resolved and "same_latents" not in resolved


def test_the_bundles_rule_holds_where_the_spec_does_not_say() -> None:
    (cell,) = make_plan({"attributes": "Red"}, NAMES, latents=OWN).cells
    assert cell.truncation == 1.5 and not cell.same_latents
    (wide,) = make_plan({"attributes": "Red", "truncation": "none", "same_latents": True}, NAMES, latents=OWN).cells
    assert wide.truncation is None and wide.stream == wide.seed
    (cut,) = make_plan({"attributes": "Red"}, NAMES, {"truncation": 2}, latents=OWN).cells
    assert cut.truncation == 2


@pytest.mark.parametrize("rule", [LatentRule(), OWN, LatentRule(2.0), LatentRule(None, shared=False)])
@pytest.mark.parametrize("stated", [{}, {"truncation": "none"}, {"truncation": 0.7}, {"same_latents": True}])
@pytest.mark.parametrize("later", [LatentRule(), OWN])
def test_a_resolved_spec_says_which_rule_made_its_faces(
    rule: LatentRule, stated: dict[str, Any], later: LatentRule
) -> None:
    plan = make_plan({"attributes": "Red,-Cat", "seed": 3, **stated}, NAMES, latents=rule)
    if rule == LatentRule() and later != rule:
        return  # a bundle keeps its rule, so what it made is read with that
    assert make_plan(plan.resolved, NAMES, latents=later).cells == plan.cells


def test_requests_with_one_seed_are_independent_unless_they_share_their_latents() -> None:
    spec = {"requests": [{"attributes": "Red", "seed": 5}, {"attributes": "-Red", "seed": 5}]}
    first, second = make_plan(spec, NAMES, latents=OWN).cells
    a, b = (latents(cell.stream, range(64), 128) for cell in (first, second))
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05
    same = make_plan(spec | {"same_latents": True}, NAMES, latents=OWN).cells
    assert np.array_equal(*(latents(cell.stream, range(4), 8) for cell in same))


def test_a_requests_stream_does_not_depend_on_how_it_is_written() -> None:
    one = make_plan({"attributes": "Red,-Cat", "seed": 5}, NAMES, latents=OWN).cells[0]
    other = make_plan({"attributes": {"cat": False, "red": True}, "seed": 5, "count": 3}, NAMES, latents=OWN).cells[0]
    assert one.stream == other.stream == stream_seed(5, {"Cat": -1.0, "Red": 1}, "sample")
    fixed = make_plan({"attributes": "Red", "unspecified": {"Cat": False}, "seed": 5}, NAMES, latents=OWN).cells[0]
    assert len({one.stream, fixed.stream, stream_seed(6, one.request, "sample")}) == 3
    assert 0 <= one.stream < 2**63


@pytest.mark.parametrize("value", [0, -1, 11, "wide", float("nan")])
def test_a_truncation_that_cannot_be_is_refused_by_name(value: object) -> None:
    with pytest.raises(SpecError, match="truncation"):
        make_plan({"attributes": "Red", "truncation": value}, NAMES)


@pytest.mark.parametrize("data", [{"truncation": 0}, {"truncation": 11}, {"shared": 1}, {"width": 1.0}])
def test_a_rule_that_cannot_be_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        LatentRule.from_dict(data)
    assert LatentRule.from_dict(OWN.to_dict()) == OWN


@pytest.mark.parametrize("stated", [{}, {"truncation": "none"}, {"same_latents": True}])
@pytest.mark.parametrize("rule", [LatentRule(), OWN])
def test_what_stands_in_an_image_gives_its_latent_again(
    tmp_path: Path, tiny_bundle: Bundle, rule: LatentRule, stated: dict[str, Any]
) -> None:
    config = {key: value for key, value in tiny_bundle.config.items() if key != "format"} | {"latents": rule.to_dict()}
    weights = {name: tiny_bundle.file(name).read_bytes() for name in tiny_bundle.sums if name.endswith("tensors")}
    bundle = write_bundle(tmp_path / "bundle", config, weights, "")
    values = {"attributes": "Red", "count": 1, "verify": {"enabled": False}, **stated}
    plan = make_plan(values, bundle.vocabulary, latents=bundle.latents)
    generate(bundle, plan, tmp_path / "batch")
    with Image.open(tmp_path / "batch" / "images" / "000000.png") as image:
        said = json.loads(image.text["cfgan"])["spec"]
    told = {"attributes": said["request"], **{key: said[key] for key in ("truncation", "same_latents") if key in said}}
    (again,) = make_plan(told, bundle.vocabulary, latents=bundle.latents).cells
    (cell,) = plan.cells
    assert (again.stream, again.truncation) == (cell.stream, cell.truncation)
