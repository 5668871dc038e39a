"""Image quality: what is measured, where it stands, and whether it says which comparisons fail."""

from __future__ import annotations

import csv
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from score_helpers import draw_pairs, make_set, score_pairs, simulate
from testset_helpers import ColourEmbedder, use_colours

from cfgan.external.face_embedder import Embedded
from cfgan.model.bundle import Bundle
from cfgan.reports.score.report import score_files, score_schema
from cfgan.testsets.building.build import build_testset
from cfgan.testsets.building.quality import MEASURES, image_quality
from cfgan.testsets.check import check_testset
from cfgan.testsets.folder import Testset as OpenedSet
from cfgan.testsets.folder import open_testset
from cfgan.testsets.scores.quality import discard_curve, pair_qualities
from cfgan.testsets.scores.scoring import Settings
from cfgan.testsets.spec import make_testset_plan


def test_a_sharp_image_is_sharper_and_a_flat_one_has_no_contrast() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (3, 64, 64), dtype=np.uint8)
    soft = ((sharp.astype(int) + np.roll(sharp, 1, 1) + np.roll(sharp, 1, 2)) // 3).astype(np.uint8)
    assert image_quality(sharp)[0] > 2 * image_quality(soft)[0] and image_quality(sharp)[1] > image_quality(soft)[1]
    assert image_quality(np.full((3, 64, 64), 99, np.uint8)) == (0.0, 0.0)


def test_the_curve_falls_where_the_worst_fail_and_stays_where_nothing_is_known() -> None:
    error = np.arange(100) < 10
    told = discard_curve(np.arange(100.0), error)  # the ten of poorest quality are the errors
    assert told[0] == 0.1 and told[5] == pytest.approx(5 / 95) and (told[10:] == 0).all()
    assert discard_curve(-np.arange(100.0), error)[90] == 1.0
    assert discard_curve(np.ones(100), error) == pytest.approx(0.1)  # one quality: no order among them


def with_quality(folder: Path, testset: OpenedSet, quality: dict[str, dict[str, float]]) -> OpenedSet:
    """The table of images with a column a measure; images that a measure lacks have an empty cell."""
    files = sorted({name for pair in testset.pairs for name in (pair.a, pair.b)})
    with (folder / "attributes.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "subject", "seed", "draw", *(f"quality.{name}" for name in quality)])
        for file in files:
            writer.writerow([file, file.split("/")[1], 0, 0, *(of.get(file, "") for of in quality.values())])
    return testset


@pytest.fixture
def scored(tmp_path: Path) -> tuple[OpenedSet, np.ndarray]:
    testset = make_set(tmp_path / "set", draw_pairs(120))
    return testset, simulate(testset.pairs, 3)


@pytest.mark.slow
def test_the_measure_that_predicts_failures_comes_first(scored: tuple[OpenedSet, np.ndarray]) -> None:
    testset, score = scored
    poor = {pair.b: float(value) for pair, value in zip(testset.pairs, score, strict=True) if pair.mated != "0"}
    rng = np.random.default_rng(1)
    names = {name for pair in testset.pairs for name in (pair.a, pair.b)}
    guess = {name: float(rng.normal()) for name in names}
    best = {name: poor.get(name, 99.0) for name in names}
    with_quality(testset.path, testset, {"guess": guess, "sharpness": best})
    data = score_pairs(testset, score, Settings(resamples=20))
    jsonschema.validate(data, score_schema())
    (side,) = data["quality"]
    first, second = side["measures"]
    assert (side["kind"], first["measure"], second["measure"]) == ("presumed", "sharpness", "guess")
    assert first["rates"][0] == pytest.approx(0.1, abs=0.01) and first["rates"][4] == 0
    assert first["area"] == pytest.approx(first["ideal"]) and 0.7 < second["area"] < 1.3
    page = score_files(data)
    assert b"Does image quality say what fails?" in page["report.html"] and b"sharpness" in page["quality.csv"]


def test_a_comparison_is_as_good_as_its_worse_image_and_unknown_where_one_is(
    scored: tuple[OpenedSet, np.ndarray],
) -> None:
    testset, _ = scored
    first = testset.pairs[0]
    with_quality(testset.path, testset, {"eyes": {first.a: 20.0, first.b: 12.5}})
    found = pair_qualities(testset)["eyes"]
    assert found[0] == 12.5 and np.isnan(found).any()


@pytest.mark.slow
def test_sets_without_such_columns_have_no_curve(scored: tuple[OpenedSet, np.ndarray]) -> None:
    testset, score = scored
    data = score_pairs(testset, score, Settings(resamples=20))
    assert data["quality"] == [] and "quality.csv" not in score_files(data)
    jsonschema.validate(data, score_schema())


class _Measuring(ColourEmbedder):
    def __call__(self, levels: np.ndarray, progress: object = None) -> Embedded:
        seen = super().__call__(levels)
        return Embedded(seen.vectors, seen.found, np.full(len(levels), 1.25), np.full(len(levels), np.nan))


@pytest.mark.slow
def test_a_built_set_says_how_good_each_image_is(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_colours(monkeypatch)
    monkeypatch.setattr("cfgan.external.face_embedder.FaceEmbedder", _Measuring)
    spec = {"design": "capture", "subjects": 6, "folds": 2, "capture": {"blur": [8]}}
    build_testset(tiny_bundle, make_testset_plan(spec, tiny_bundle.vocabulary), tmp_path / "t", device="cpu")
    assert check_testset(tmp_path / "t") == []
    with (tmp_path / "t" / "attributes.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert set(rows[0]) >= {f"quality.{name}" for name in MEASURES}
    assert {row["quality.detector"] for row in rows} == {"1.25"} and {row["quality.eyes"] for row in rows} == {""}
    sharp = {bool(row["capture"]): [] for row in rows}  # type: ignore[var-annotated]
    for row in rows:
        sharp[bool(row["capture"])].append(float(row["quality.sharpness"]))
    assert np.mean(sharp[True]) < np.mean(sharp[False]) / 2
    assert set(pair_qualities(open_testset(tmp_path / "t"))) == set(MEASURES)
