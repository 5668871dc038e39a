from __future__ import annotations

import sys

import numpy as np
import pytest

from cfgan.errors import ConfigError, DataError
from cfgan.external.detector import FaceDetector, share_with_face
from cfgan.model.bundle import open_bundle

pytestmark = pytest.mark.slow


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'cfgan\[evaluate\]'"):
        share_with_face(np.zeros((1, 3, 64, 64), np.uint8))


def test_no_face_is_found_in_noise_and_flat_images_of_any_size() -> None:
    pytest.importorskip("dlib")
    rng = np.random.default_rng(0)
    calls: list[tuple[int, int]] = []
    noise = rng.integers(0, 256, (6, 3, 64, 64), dtype=np.uint8)
    assert share_with_face(noise, progress=lambda stage, *call: calls.append(call)) == (0, 6) and calls == [(6, 6)]
    assert share_with_face(np.full((2, 3, 32, 48), 128, np.uint8)) == (0, 2)
    assert share_with_face(np.zeros((0, 3, 64, 64), np.uint8)) == (0, 0)


def test_other_types_and_shapes_are_refused() -> None:
    pytest.importorskip("dlib")
    detector = FaceDetector()
    for bad in (np.zeros((1, 3, 8, 8), np.float32), np.zeros((3, 8, 8), np.uint8), np.zeros((1, 8, 8, 3), np.uint8)):
        with pytest.raises(DataError, match="uint8"):
            detector(bad)


@pytest.mark.real
def test_faces_of_the_shipped_bundle_are_found_until_they_are_cut_up() -> None:
    pytest.importorskip("dlib")
    from cfgan.attributes.spec import RequestCell, VerifySpec
    from cfgan.generate.sampling import Sampler

    cell = RequestCell("any", {}, 32, 1, verify=VerifySpec(enabled=False))
    faces = Sampler(open_bundle("celeba64"), "cpu").draw(cell, range(32)).pixels
    detector = FaceDetector()
    found = detector(faces)
    assert found.shape == (32,) and found.mean() > 0.8 and detector.count(faces) == found.sum()
    # Tiles of 8 x 8 pixels in another order: the same colours, no face.
    tiles = faces.reshape(32, 3, 8, 8, 8, 8).transpose(0, 2, 4, 1, 3, 5).reshape(32, 64, 3, 8, 8)
    shuffled = tiles[:, np.random.default_rng(0).permutation(64)].reshape(32, 8, 8, 3, 8, 8).transpose(0, 3, 1, 4, 2, 5)
    assert share_with_face(np.ascontiguousarray(shuffled.reshape(32, 3, 64, 64)), detector=detector)[0] <= 1
