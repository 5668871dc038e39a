"""Exports whose faces lie where recognisers of the ArcFace family expect them."""

from __future__ import annotations

import csv
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from export_helpers import make_testset
from framing_helpers import Dots, _faces, dotted
from PIL import Image

from cfgan.data.framing.faces import Framer
from cfgan.errors import InputError
from cfgan.testsets.export.align import TEMPLATE, Aligner, to_template
from cfgan.testsets.export.formats import export_testset
from cfgan.testsets.export.source import ExportOptions
from cfgan.testsets.folder import open_testset


@pytest.mark.parametrize("side", [112, 224])
def test_the_five_points_come_to_lie_on_the_template(side: int) -> None:
    picture = dotted((400, 400), [(210, 190, 1.3, 14)])
    align = Aligner(side, Framer(Dots()))
    (points,) = _faces(align("a.png", picture).transpose(1, 2, 0))
    # The drawn face's proportions are CelebA's mean, not the template's: a similarity leaves what no similarity takes.
    expected = to_template(align.done["a.png"].points, side)(align.done["a.png"].points)
    assert np.abs(points - expected).max() < 1.0 * side / 112
    assert np.abs(points - TEMPLATE * side / 112).max() < 4.0 * side / 112
    assert align.done["a.png"].found


@pytest.mark.slow
def test_where_no_face_is_found_the_usual_places_are_taken_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfgan.external.landmarks.FaceLandmarks", Dots)
    testset = open_testset(make_testset(tmp_path / "set"))
    about = export_testset(testset, "lfw", tmp_path / "lfw", ExportOptions(align=112))
    assert "alignment.csv" in " ".join(about["notes"]) and about["options"] == {"align": 112}
    with (tmp_path / "lfw" / "alignment.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == about["counts"]["images"] and {row["face_found"] for row in rows} == {"0"}
    assert 0.3 < float(rows[0]["x1"]) / 64 < 0.45 < float(rows[0]["y1"]) / 64 < 0.6  # the left eye in CelebA's crop
    for path in (tmp_path / "lfw" / "lfw_home" / "lfw").rglob("*.jpg"):
        with Image.open(path) as image:
            assert image.size == (112, 112)
    export_testset(testset, "insightface", tmp_path / "bin", ExportOptions(align=112))
    images, same = pickle.loads((tmp_path / "bin" / "matched.bin").read_bytes())  # our own file
    assert Image.open(io.BytesIO(images[0])).size == (112, 112) and len(images) == 2 * len(same)


@pytest.mark.slow
def test_scikit_learn_reads_aligned_faces_as_the_readme_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lfw = pytest.importorskip("sklearn.datasets")
    monkeypatch.setattr("cfgan.external.landmarks.FaceLandmarks", Dots)
    export_testset(open_testset(make_testset(tmp_path / "set")), "lfw", tmp_path / "lfw", ExportOptions(align=112))
    assert "slice_=(slice(0, 112), slice(0, 112))" in (tmp_path / "lfw" / "README.txt").read_text()
    how = {"data_home": tmp_path / "lfw", "funneled": False, "download_if_missing": False, "resize": None}
    read = lfw.fetch_lfw_pairs(subset="10_folds", slice_=(slice(0, 112), slice(0, 112)), **how)
    assert read.pairs.shape[1:] == (2, 112, 112) and sorted(set(read.target)) == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ExportOptions(align=112, margin=0.25), "--margin"),
        (ExportOptions(align=112, size=250), "--size"),
        (ExportOptions(align=8), "Did you mean 32"),
    ],
)
def test_what_does_not_go_with_aligning_is_refused(tmp_path: Path, options: ExportOptions, message: str) -> None:
    testset = open_testset(make_testset(tmp_path / "set"))
    with pytest.raises(InputError, match=message):
        export_testset(testset, "lfw", tmp_path / "lfw", options)
    assert not (tmp_path / "lfw").exists()
