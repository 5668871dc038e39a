"""What is said of a bundle whose draws look real, look wrong, or were never looked at."""

from __future__ import annotations

from typing import Any

import pytest

from cfgan.model.realism import realism_statement


def config(kid: float, auc: float | None, faces: int, *, in_training: bool = False) -> dict[str, Any]:
    row = {"extractor": "mobilenet-v2", "n": 200, "kid": kid, "kid_error": 0.0021, "kid_floor": 0.0003}
    row |= {"probe_auc": auc, "in_training": in_training}
    found = {"name": "dlib-hog", "n": 200, "faces": faces, "real_faces": 196}
    return {"evaluation": {"realism": {"networks": {"mobilenet-v2": row}, "faces": found, "crops": {}}}}


def test_good_draws_are_described_with_what_real_images_reach() -> None:
    said = realism_statement(config(0.0142, 0.91, 195))
    assert said.measured and said.enough
    assert (
        "Realism of 200 unfiltered draws: KID x 1000 14.2 (standard error 2.1, real 0.3) over mobilenet"
        in said.sentence
    )
    assert "a face in 97.5 % (real 98.0 %)" in said.sentence and "AUC 0.91" in said.sentence


@pytest.mark.parametrize(
    ("auc", "faces", "why"), [(1.0, 195, "AUC above 0.98"), (0.9, 40, "as many faces"), (None, 0, "as many")]
)
def test_texture_is_below_the_floor(auc: float | None, faces: int, why: str) -> None:
    said = realism_statement(config(0.4, auc, faces))
    assert said.measured and not said.enough
    assert why in said.sentence and "do not take them for faces" in said.sentence


@pytest.mark.parametrize(("faces", "enough"), [(17, True), (14, True), (10, False)])
def test_a_few_images_too_few_are_no_proof(faces: int, enough: bool) -> None:
    """20 of 50 real images show a face: 36 % would do, and 17 of 50 draws may well be that."""
    found = {"name": "dlib-hog", "n": 50, "faces": faces, "real_faces": 20}
    said = realism_statement({"evaluation": {"realism": {"networks": {}, "faces": found, "crops": {}}}})
    assert said.enough is enough and "Realism of 50 unfiltered draws" in said.sentence


def test_features_that_trained_the_generator_say_nothing_of_it() -> None:
    said = realism_statement(config(0.001, 0.5, 196, in_training=True))
    assert "KID" not in said.sentence and "a face in" in said.sentence


def test_what_was_not_measured_is_not_claimed() -> None:
    for empty in ({}, {"evaluation": None}, {"evaluation": {"accuracy": {}}}):
        said = realism_statement(empty)
        assert not said.measured and said.enough and "was not measured" in said.sentence
