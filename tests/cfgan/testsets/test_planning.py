from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cfgan.errors import InputError
from cfgan.testsets.planning import expected_rates, plan_size
from cfgan.testsets.spec import make_testset_plan
from cfgan_cli.app import app


@pytest.mark.slow
@given(st.floats(1e-6, 0.2), st.floats(0.5, 0.999))
def test_so_many_comparisons_without_an_error_are_just_enough(fmr: float, confidence: float) -> None:
    pairs = plan_size(fmr, confidence).pairs
    assert (1 - fmr) ** pairs <= (1 - confidence) * (1 + 1e-4)
    assert (1 - fmr) ** (pairs - 2) > 1 - confidence


def test_one_in_ten_thousand_takes_thirty_thousand_pairs_and_twice_the_subjects() -> None:
    size = plan_size(1e-4, 0.95, acceptance=0.25)
    assert (size.pairs, size.pairs_within_30_percent, size.subjects) == (29_956, 300_000, 59_912)
    assert size.draws == 4 * size.subjects and plan_size(1e-4, groups=8).pairs == 8 * size.pairs
    found = CliRunner().invoke(app, ["testset", "plan", "--fmr", "1e-4", "--confidence", "0.95", "--json"])
    assert found.exit_code == 0 and json.loads(found.stdout)["pairs"] == 29_956
    assert "29,956" in CliRunner().invoke(app, ["testset", "plan", "--fmr", "1e-4"]).stdout


@pytest.mark.parametrize("values", [{"fmr": 0.0}, {"fmr": 1.0}, {"fmr": 0.1, "confidence": 1.0}])
def test_rates_outside_their_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        plan_size(**values)
    assert CliRunner().invoke(app, ["testset", "plan", "--fmr", "2"]).exit_code == 2


def test_a_plan_says_what_it_will_be_able_to_show(tiny_bundle: object) -> None:
    def rates(**values: object) -> dict[str, float]:
        return expected_rates(make_testset_plan(values, tiny_bundle.vocabulary))  # type: ignore[attr-defined]

    assert rates(design="matched", pairs=300) == {"random": 0.01, "matched": 0.02, "nearest": 0.02}
    assert rates(design="transect", change=["Round"], subjects=60) == {"imposter": 0.1}
    assert math.isclose(rates(design="factorial", cross=["Red"], per_cell=60)["each combination"], 0.1)
