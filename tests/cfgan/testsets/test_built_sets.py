"""What the builder makes passes the check and goes into every format that can hold it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from testset_helpers import use_colours

from cfgan.data.read.celeba import read_celeba
from cfgan.errors import InputError
from cfgan.model.bundle import Bundle
from cfgan.testsets.building.build import build_testset
from cfgan.testsets.check import check_testset
from cfgan.testsets.export.formats import FORMATS, export_testset
from cfgan.testsets.export.source import ExportOptions
from cfgan.testsets.folder import open_testset
from cfgan.testsets.info import testset_info as read_info
from cfgan.testsets.spec import make_testset_plan


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Two people: one a folder, one a single image."""
    rng = np.random.default_rng(3)
    (tmp_path / "people" / "Ann Lee").mkdir(parents=True)
    for file in ("Ann Lee/at work.png", "Ann Lee/home.png", "bob.png"):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "people" / file)
    return tmp_path / "people"


SPECS: dict[str, dict[str, Any]] = {
    "matched": {"attributes": "Red", "pairs": 12, "folds": 3},
    "transect": {"attributes": "Red", "change": ["Round", "-Very_Big"], "subjects": 8, "folds": 2},
    "factorial": {"cross": ["Red", "Round"], "per_cell": 6, "folds": 2},
    "gallery": {"match": ["Red"], "imposters": 2, "folds": 2},
    "detection": {"attacks": 6, "match": ["Red"], "folds": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("user_images", [True, False])
@pytest.mark.parametrize("design", SPECS)
def test_built_sets_are_sound_and_can_be_exported(
    tiny_bundle: Bundle, tmp_path: Path, gallery: Path, design: str, user_images: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    use_colours(monkeypatch)
    spec = {"design": design, **SPECS[design]}
    if design == "gallery":
        spec["gallery"] = str(gallery)
        if not user_images:
            (tmp_path / "people.csv").write_text("file,Red\nAnn Lee,1\nbob,0\n")
            spec["gallery"] = str(tmp_path / "people.csv")
    elif design == "detection" and user_images:
        spec["bona_fide"] = str(gallery)
    elif user_images:
        spec["change"] = ["Cat"]
    folder, out = tmp_path / "t", tmp_path / "out"
    build_testset(tiny_bundle, make_testset_plan(spec, tiny_bundle.vocabulary), folder, device="cpu")
    assert check_testset(folder) == []
    testset, about = open_testset(folder), read_info(folder)
    assert about["counts"] == {key: testset.protocol["counts"].get(key, 0) for key in about["counts"]}
    assert {name: row["rows"] for name, row in about["strata"].items()} == testset.protocol["counts"]["strata"]
    for kind in FORMATS:
        options = ExportOptions()
        if kind in ("lfw", "insightface"):
            options = ExportOptions(presumed_as_mated=True, gallery=gallery if design == "gallery" else None, size=16)
        held = True
        try:
            export_testset(testset, kind, out, options)
        except InputError as error:
            held = False
            text = str(error)
        if kind in ("huggingface", "parquet"):
            assert held
        elif design == "detection":
            assert not held and "Did you mean huggingface" in text
        elif design == "gallery" and not user_images and kind == "insightface":
            assert not held and "Ann Lee is enrolled without an image" in text
        elif kind == "celeba":
            assert held and len(read_celeba(out / "celeba").files) == about["images"]
        elif design == "gallery" and kind == "lfw":
            assert not held
        elif kind == "insightface":
            assert json.loads((out / "export.json").read_text())["synthetic"] == (design != "gallery")
            with (out / "index.csv").open(newline="") as handle:
                assert held and len(list(csv.DictReader(handle))) == about["counts"]["pairs"]
    images = pd.read_parquet(out / "attributes.parquet")
    assert len(images) == about["images"] and images["face_found"].dropna().isin([0, 1]).all()
