"""One recogniser chooses, another controls; what screening and gates cost is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from testset_helpers import GreyEmbedder, use_colours

from cfgan.attributes.spec import make_plan
from cfgan.generate.job import generate
from cfgan.model.bundle import Bundle
from cfgan.testsets.building.build import build_testset
from cfgan.testsets.building.identity import Identity
from cfgan.testsets.building.writer import Face
from cfgan.testsets.check import check_testset
from cfgan.testsets.folder import Testset, open_testset
from cfgan.testsets.spec import make_testset_plan

pytestmark = pytest.mark.slow

MATCHED = {"design": "matched", "attributes": "Red", "pairs": 24, "folds": 3, "seed": 4}


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    use_colours(monkeypatch)
    monkeypatch.setattr("cfgan.external.human_models.FaceresEmbedder", GreyEmbedder)


def build(bundle: Bundle, out: Path, values: dict[str, Any], human_models: Path | None = None) -> Testset:
    plan = make_testset_plan(values, bundle.vocabulary)
    build_testset(bundle, plan, out, human_models=human_models, device="cpu")
    assert check_testset(out) == []
    return open_testset(out)


def test_both_similarities_stand_beside_each_other_and_the_choice_is_the_choosers(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    alone = build(tiny_bundle, tmp_path / "a", MATCHED)
    both = build(tiny_bundle, tmp_path / "b", {**MATCHED, "change": ["Round"]}, tmp_path)
    chosen = [pair for pair in both.pairs if pair.stratum == "nearest"]
    assert all(pair.control is not None and pair.control != pair.similarity for pair in both.pairs)
    assert all(pair.rank is not None for pair in chosen)
    assert {pair.control for pair in alone.pairs} == {None}
    assert both.manifest["control"]["name"] == "greys" and alone.manifest["control"] is None
    sheet = (tmp_path / "b" / "datasheet.md").read_text()
    assert "Control: greys" in sheet and "Rank of the probes taken" in sheet
    assert "Chooser and control are the same recogniser" in (tmp_path / "a" / "datasheet.md").read_text()


def test_a_control_has_a_say_in_who_stayed_the_same(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"design": "transect", "attributes": "Red", "change": ["Round", "-Very_Big"], "subjects": 16, "folds": 2}

    def survival(out: str, human_models: Path | None = None) -> list[dict[str, Any]]:
        return list(build(tiny_bundle, tmp_path / out, spec, human_models).protocol["survival"].values())

    alone, both = survival("a"), survival("b", tmp_path)
    assert [row["moved"] for row in alone] == [row["moved"] for row in both]
    kept = [rows["identity"] for rows in alone if rows["kept"]["hits"]]
    assert kept and all([row["embedder"] for row in each["by"]] == ["colours"] for each in kept)
    kept = [rows["identity"] for rows in both if rows["kept"]["hits"]]
    assert kept and all([row["embedder"] for row in each["by"]] == ["colours", "greys"] for each in kept)
    assert all(0 <= each["by"][0]["real_mated"] <= 1 for each in kept)
    monkeypatch.setattr("cfgan.testsets.building.identity.Identity.same_person", _refusing_control)
    assert sum(row["kept"]["hits"] for row in survival("c", tmp_path)) == 0 < sum(row["moved"] for row in both)


def _refusing_control(identity: Identity, base: Face, face: Face, pixels: np.ndarray) -> Face | None:
    identity.keep["greys"] = 1.0  # no two faces are that alike
    return _SAME_PERSON(identity, base, face, pixels)


_SAME_PERSON = Identity.same_person


def test_what_screening_leaves_out_is_counted_and_none_leaves_nothing_out(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_colours(monkeypatch, screen=-0.15)
    cut = build(tiny_bundle, tmp_path / "a", MATCHED)
    whole = build(tiny_bundle, tmp_path / "b", {**MATCHED, "identity": {"screen": "none"}})
    for level in ("random", "matched", "nearest"):
        row = cut.protocol["screening"][level]
        assert row["faces"] == 24 and row["with_one_too_alike"] > 0 and row["comparisons"] > 0
    assert all(pair.similarity is not None and pair.similarity < -0.15 for pair in cut.pairs)
    assert any(pair.similarity is not None and pair.similarity >= -0.15 for pair in whole.pairs)
    assert whole.protocol["screening"]["nearest"]["with_one_too_alike"] > 0
    assert "cuts the upper tail" in (tmp_path / "a" / "datasheet.md").read_text()
    assert "cuts the upper tail" not in (tmp_path / "b" / "datasheet.md").read_text()


def test_bias_is_measured_without_screening_and_old_words_go_on_working(tiny_bundle: Bundle) -> None:
    def screen(values: dict[str, Any]) -> str:
        plan = make_testset_plan(values, tiny_bundle.vocabulary)
        assert make_testset_plan(plan.resolved, tiny_bundle.vocabulary).screen == plan.screen
        return plan.screen

    factorial = {"design": "factorial", "cross": ["Red"]}
    assert screen(factorial) == "none" and screen(MATCHED) == "compared"
    assert screen({**factorial, "identity": {"screen": "pairs"}}) == "compared"
    assert screen({**MATCHED, "identity": {"screen": "all", "keep_fnmr": 0.01}}) == "all"


def test_a_gallery_with_several_images_a_person_gives_mated_pairs(tiny_bundle: Bundle, tmp_path: Path) -> None:
    generate(tiny_bundle, make_plan({"count": 9, "verify": {"enabled": False}}, tiny_bundle.vocabulary), tmp_path / "x")
    for i in range(9):
        person = tmp_path / "people" / f"s0000{i % 3 + 1}"  # named as a synthetic subject is
        person.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / "images" / f"{i:06d}.png").rename(person / f"{i}.png")
    spec = {"design": "gallery", "gallery": str(tmp_path / "people"), "match": ["Red"], "imposters": 2, "folds": 1}
    found = build(tiny_bundle, tmp_path / "t", {**spec, "mated": 2, "copy_gallery": True}, tmp_path)
    kinds = {(pair.stratum, pair.mated) for pair in found.pairs}
    assert kinds == {("gallery", "0"), ("mated", "1"), ("random", "0")}
    mated = [pair for pair in found.pairs if pair.mated == "1"]
    assert len(mated) == 6 and len({frozenset((pair.a, pair.b)) for pair in mated}) == 6
    for pair in found.pairs:
        assert pair.similarity is not None and pair.control is not None
        if pair.stratum != "gallery":
            same = pair.a.split("/")[1] == pair.b.split("/")[1]
            assert pair.b.startswith("gallery/") and same == (pair.mated == "1")
    assert found.protocol["counts"]["mated"] == 6
