"""The extractors over networks that took no part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nsfwjs_helpers import use_small_package

from cfgan.errors import DataError
from cfgan.evaluation.outside import NAMES, NsfwjsExtractor, outside_extractors


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return use_small_package(tmp_path / "package", monkeypatch)


def test_both_networks_turn_images_into_features(package: Path) -> None:
    levels = torch.randint(0, 256, (7, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = outside_extractors(package)
    assert tuple(each.name for each in found) == NAMES
    for extractor in found:
        features = extractor(levels)
        assert features.shape == (7, extractor.dimensions) and features.dtype == torch.float32
        np.testing.assert_allclose(extractor(levels[3:5]), features[3:5], atol=1e-5)  # whatever it is beside
        with pytest.raises(DataError, match="uint8"):
            extractor(levels.float())


def test_digests_tell_networks_and_sides_apart(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {NsfwjsExtractor(package, name).digest for name in NAMES}
    assert len(digests) == 2
    monkeypatch.setitem(NsfwjsExtractor.SIDES, "mobilenet-v2", 96)
    assert NsfwjsExtractor(package, "mobilenet-v2").digest not in digests
