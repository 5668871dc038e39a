"""Hats that are hats: the readers of parts of the face, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from testset_helpers import use_colours

from cfgan.model.bundle import Bundle
from cfgan.testsets.building import faces, regions
from cfgan.testsets.building.build import build_testset
from cfgan.testsets.building.regions import ROWS, RegionReader, region_features, region_readers
from cfgan.testsets.folder import open_testset
from cfgan.testsets.spec import make_testset_plan


def drawn_head(*, hat: bool = False, glasses: bool = False, mark: bool = False) -> np.ndarray:
    """A face of 64 pixels on grey, by code; a mark is a dark bar on the chin, where neither belongs."""
    y, x = np.mgrid[0:64, 0:64] / 64
    image = np.full((3, 64, 64), 150.0)
    hair = ((x - 0.5) / 0.3) ** 2 + ((y - 0.45) / 0.4) ** 2 < 1
    image[:, hair] = np.asarray([[70], [50], [40]])
    skin = ((x - 0.5) / 0.24) ** 2 + ((y - 0.6) / 0.34) ** 2 < 1
    image[:, skin] = np.asarray([[205], [160], [135]])
    for middle in (0.39, 0.61):
        image[:, (x - middle) ** 2 + (y - 0.52) ** 2 < 0.025**2] = 40
    if hat:
        image[:, (abs(x - 0.5) < 0.36) & (y > 0.08) & (y < 0.4)] = np.asarray([[30], [60], [140]])
        image[:, (abs(x - 0.5) < 0.45) & (y > 0.36) & (y < 0.41)] = 15
    if glasses:
        for middle in (0.39, 0.61):
            image[:, (abs(x - middle) < 0.1) & (abs(y - 0.53) < 0.06)] = 15
        image[:, (abs(x - 0.5) < 0.3) & (abs(y - 0.5) < 0.012)] = 10
    if mark:
        image[:, (abs(x - 0.5) < 0.3) & (y > 0.85) & (y < 0.95)] = 10
    return image.astype(np.uint8)


def test_the_shipped_readers_tell_real_faces_apart() -> None:
    for name, reader in region_readers().items():
        columns = region_features(drawn_head()[None], ROWS[name]).shape[1]
        assert reader.weights.shape == (columns,) and np.isfinite(reader.weights).all()
    figures = regions.FIGURES.read_text()
    assert '"auc"' in figures and '"sure_as"' in figures


@pytest.mark.parametrize(("name", "worn"), [("Wearing_Hat", {"hat": True}), ("Eyeglasses", {"glasses": True})])
def test_a_worn_thing_is_seen_in_its_place_and_nothing_elsewhere_moves_the_reader(
    name: str, worn: dict[str, bool]
) -> None:
    reader = region_readers()[name]
    plain, changed, marked = (drawn_head(**kind) for kind in ({}, worn, {"mark": True}))
    scores = reader.score(np.stack([plain, changed, marked]))
    assert scores[1] > scores[0] + 1
    assert scores[2] == pytest.approx(scores[0], abs=1e-9)


def test_faces_of_another_size_are_read_as_well() -> None:
    reader = region_readers()["Wearing_Hat"]
    face = drawn_head(hat=True)
    large = face.repeat(2, axis=1).repeat(2, axis=2)
    assert reader.score(large[None]) == pytest.approx(reader.score(face[None]))


class _Brightness(RegionReader):
    """Sees the change where an image is brighter than a level, as the tiny networks' faces are now and then."""

    level = 0.0

    def score(self, levels: np.ndarray) -> np.ndarray:
        return levels.reshape(len(levels), -1).mean(1) - self.level


@pytest.mark.slow
def test_what_is_not_where_it_belongs_is_refused_and_counted(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_colours(monkeypatch)
    spec = {"design": "transect", "attributes": "Red", "change": ["Round"], "subjects": 12, "folds": 2}

    def built(out: str, level: float) -> dict[str, object]:
        reader = _Brightness("Round", np.zeros(0), 0.0, 0.0)
        object.__setattr__(reader, "level", level)
        monkeypatch.setattr(faces, "regions_of", lambda bundle, plan: {"Round": reader})
        monkeypatch.setattr("cfgan.testsets.building.describe._region", lambda maker, role: None)
        plan = make_testset_plan(spec, tiny_bundle.vocabulary)
        return build_testset(tiny_bundle, plan, tmp_path / out, device="cpu").survival["Round"]

    nobody, everybody = built("nobody", 1e9), built("before", -1e9)
    for row in (nobody, everybody):  # never seen, and seen before the change already
        assert row["kept"]["hits"] == 0 and row["in_place"] == 0  # type: ignore[index]
        refused = row["refused"]
        assert refused["region"] == row["moved"] > 0  # type: ignore[index]
        assert sum(refused.values()) == row["tried"]  # type: ignore[attr-defined]
    assert "not where it belongs" in (tmp_path / "nobody" / "datasheet.md").read_text()
    assert open_testset(tmp_path / "nobody").protocol["unmet"] == {"changes to Round": 12}


def test_readers_are_asked_for_faces_and_for_what_is_put_on(tiny_bundle: Bundle) -> None:
    plan = make_testset_plan(
        {"design": "transect", "change": ["Round"], "subjects": 4, "folds": 1}, tiny_bundle.vocabulary
    )
    assert faces.regions_of(tiny_bundle, plan) == {}
    assert "regions" not in plan.resolved
    off = make_testset_plan(
        {"design": "transect", "change": ["Round"], "regions": False, "folds": 1}, tiny_bundle.vocabulary
    )
    assert off.resolved["regions"] is False
