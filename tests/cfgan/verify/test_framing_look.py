"""Whether images are framed as a reader learnt: counted, and said where they are not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cfgan.verify.framing import LOOKED_AT, FramingLook


def boxed(size: float, x: float = 0.517, y: float = 0.629) -> list[float]:
    """A box of some times the size of CelebA's, its middle at shares of the side, in a picture with a margin of 1/4."""
    half = size * 90 / 178 / 2
    return [(side + 0.25) / 1.5 * 256 for side in (x - half, y - half, x + half, y + half)]


def look(boxes: list[list[float]]) -> FramingLook:
    made = FramingLook(len(boxes))
    for k in range(len(boxes)):
        made.take(k, np.full((64, 64, 3), k, np.uint8))
    return made


def finder(boxes: list[list[float]]):  # noqa: ANN201 - a plain function
    def find(levels: np.ndarray) -> np.ndarray:
        assert levels.shape == (len(boxes), 3, 96, 96)
        return np.asarray(boxes).round().astype(np.int64)

    return find


def test_images_as_learnt_are_not_remarked_on() -> None:
    boxes = [boxed(1.0), boxed(1.15), boxed(0.9, 0.55), boxed(1.05, 0.5, 0.6)] * 3
    found = look(boxes).result(finder(boxes))
    assert found.counts["as_learnt"] == 12 and found.remarks() == []
    assert found.size == pytest.approx(1.02, abs=0.05)


def test_other_framings_are_counted_and_said() -> None:
    boxes = [boxed(1.6)] * 6 + [boxed(0.6)] * 2 + [boxed(1.0, 0.3)] * 2 + [[0.0, 0, 0, 0]] * 2
    found = look(boxes).result(finder(boxes))
    assert found.to_dict() | {"face_size": None} == {
        "looked_at": 12,
        "as_learnt": 0,
        "tighter": 6,
        "looser": 2,
        "shifted": 2,
        "without_face": 2,
        "face_size": None,
    }
    assert found.remarks()[0] == "6 of 12 are tighter than CelebA's frame" and len(found.remarks()) == 4


def test_a_few_among_many_are_not_remarked_on_and_many_are_sampled() -> None:
    boxes = [boxed(1.0)] * 19 + [boxed(1.7)]
    assert look(boxes).result(finder(boxes)).remarks() == []
    many = FramingLook(10 * LOOKED_AT)
    for k in range(10 * LOOKED_AT):
        many.take(k, np.zeros((8, 8, 3), np.uint8))
    assert many.result(lambda levels: np.zeros((len(levels), 4), np.int64)).looked_at == LOOKED_AT
    nothing = FramingLook(0).result(lambda levels: np.zeros((0, 4), np.int64))
    assert nothing.looked_at == 0 and math.isnan(nothing.size) and nothing.to_dict()["face_size"] is None
