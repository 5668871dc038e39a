"""Witnesses and duplicates in a report."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from report_helpers import Make, judge_with, report_on

import cfgan.evaluation.external
import cfgan.reports.batch.external
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.evaluation.external import external_agreement
from cfgan.external.real_faces import RealFigures, RealReadings
from cfgan.model.bundle import Bundle, write_bundle
from cfgan.reports.batch.duplicates import NEAR, nearest_others, nearest_pair
from cfgan.reports.batch.output import csv_tables
from cfgan.reports.batch.page import render_page

pytestmark = pytest.mark.slow


class Finder:
    """Finds a face in every image whose first pixel is not black."""

    name = "finder"

    def __call__(self, levels: np.ndarray, progress: object = None) -> np.ndarray:
        return np.where(levels[:, :, 0, 0].sum(1, keepdims=True) > 0, [[1, 1, 9, 9]], 0)


class Brightness:
    """A witness that takes a bright image for one of its attribute."""

    source, licence, sign = "the tests", "CC0-1.0", 1

    def __init__(self, name: str, attribute: str, digest: str = "e" * 64) -> None:
        self.name, self.attribute, self.digest = name, attribute, digest

    def __call__(self, levels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        mean = levels.mean((1, 2, 3)) / 255
        return np.where(boxes[:, 2] > 0, mean, np.nan).astype(np.float32)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    real = RealFigures(
        {"data": "a" * 64, "split": "validation", "images": 100, "size": 16},
        (98, 100),
        {"e" * 64: RealReadings(yes=(45, 50), no=(4, 48), unsaid=2)},
    )
    monkeypatch.setattr(cfgan.reports.batch.external, "FaceFinder", Finder)
    monkeypatch.setattr(cfgan.evaluation.external, "FaceFinder", Finder)
    monkeypatch.setattr(cfgan.reports.batch.external, "real_figures", lambda: real)


@pytest.mark.usefixtures("stand_ins")
def test_witnesses_stand_beside_the_judge_with_their_own_rates_on_real_faces(
    bundle: Bundle, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge_with(monkeypatch, None)
    folders = make("good", attributes="Red,-Striped", count=70), make("few", attributes="-Red", count=20)
    external_classifiers = [
        Brightness("bright", "Red"),
        Brightness("unknown here", "Striped", "f" * 64),
        Brightness("no", "Hat"),
    ]
    report = report_on(
        *folders, bundle=bundle, external_classifiers=external_classifiers, missing=["No external classifier for hats."]
    )
    heard = report.data["witnesses"]
    assert [one["name"] for one in heard["witnesses"]] == ["bright", "unknown here"], "nobody asked for a hat"
    pooled = {(row["witness"], row["value"]): row for row in heard["rows"] if row["cell"] is None}
    red, striped = pooled["bright", 1], pooled["unknown here", -1]
    assert red["delivered"]["n"] + red["unsaid"] == 70 and pooled["bright", -1]["delivered"]["n"] <= 20
    assert (red["real"]["hits"], red["real"]["n"]) == (45, 50) and red["real_without"]["hits"] == 4
    assert pooled["bright", -1]["real"]["hits"] == 44
    assert red["gap"]["value"] == pytest.approx(0.9 - red["delivered"]["rate"], abs=1e-5)
    assert striped["real"] is None and striped["gap"] is None, "no counts of it on real faces are known"
    assert {row["cell"] for row in heard["rows"]} == {None, "1.1", "2.1"}
    assert heard["faces"]["real"]["hits"] == 98 and heard["faces"]["delivered"]["n"] == 90
    assert any(line.startswith("The external classifier bright sees Red in") for line in report.data["summary"])
    page = render_page(report)
    assert "by external classifiers" in page and "No external classifier for hats." in page
    rows = list(csv.DictReader(io.StringIO(csv_tables(report)["witnesses.csv"].decode())))
    assert len(rows) == len(heard["rows"]) and rows[0]["real"] == "0.9"


@pytest.mark.usefixtures("stand_ins")
def test_witnesses_do_not_move_the_verdict_and_rates_of_another_size_are_not_used(
    bundle: Bundle, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge_with(monkeypatch, None)
    folder = make("good", attributes="Red,-Striped", count=70)
    plain = report_on(folder, bundle=bundle)
    assert plain.data["witnesses"] is None and "witnesses.csv" not in csv_tables(plain)
    assert "external classifiers" not in render_page(plain)
    other = RealFigures({"data": "a" * 64, "split": "validation", "images": 1, "size": 128}, (1, 1), {})
    monkeypatch.setattr(cfgan.reports.batch.external, "real_figures", lambda: other)
    report = report_on(folder, bundle=bundle, external_classifiers=[Brightness("bright", "Striped")])
    assert {key: report.data[key] for key in ("verdict", "reasons")} == {
        key: plain.data[key] for key in ("verdict", "reasons")
    }
    assert report.data["witnesses"]["real"] is None and report.data["witnesses"]["rows"][0]["real"] is None
    assert "of this size are not known" in render_page(report)
    silent = report_on(
        make("few", attributes="Cat", count=5), bundle=bundle, external_classifiers=[], missing=["None."]
    )
    assert silent.data["witnesses"]["rows"] == [] and "None." in render_page(silent)


@pytest.mark.usefixtures("stand_ins")
def test_evaluate_hears_witnesses_on_generated_and_on_real_faces(vocabulary: Vocabulary) -> None:
    level = np.array([250, 240, 5, 10, 0], np.uint8)
    faces = np.broadcast_to(level[:, None, None, None], (5, 3, 16, 16))
    values = np.zeros((5, len(vocabulary)), np.float32)
    column = vocabulary.index("Red")
    values[:, column] = [1, -1, -1, 1, 1]
    right = values.copy()
    right[:, column] = [1, 1, -1, -1, -1]
    stages: list[str] = []
    found = external_agreement(
        [Brightness("bright", "Red"), Brightness("no", "Hat")],
        vocabulary,
        (faces, values),
        (faces, right),
        lambda stage, *rest: stages.append(stage),
    )
    assert set(found) == {"bright"} and set(stages) == {"bright: generated", "bright: real"}
    yes, no = found["bright"]["yes"], found["bright"]["no"]
    assert (yes["rate"], yes["n"], yes["ceiling"], yes["real"]) == (0.5, 2, 1.0, 2) and no["rate"] == 0.5
    assert found["bright"]["unsaid"] == found["bright"]["unsaid_real"] == 1
    assert external_agreement([Brightness("no", "Hat")], vocabulary, (faces, values), (faces, right)) == {}


# Duplicates


def test_nearest_others_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(1000, 1, (700, 5)).astype(np.float32)
    x[650] = x[3]
    distance, other = nearest_others(x)
    all_of_them = np.linalg.norm(x[:, None].astype(np.float64) - x[None], axis=2)
    np.fill_diagonal(all_of_them, np.inf)
    assert distance == pytest.approx(all_of_them.min(1), abs=1e-6) and (other == all_of_them.argmin(1)).mean() > 0.99
    assert distance[650] == 0 and other[650] == 3
    files = [f"{k}.png" for k in range(700)]
    found = nearest_pair(x, files, 1e-6)
    assert found["files"] == ["3.png", "650.png"] and found["faces"] == 2 and found["median"] > 0.1
    assert nearest_pair(x, files, None)["faces"] is None


def test_the_page_names_the_nearest_pair_and_flags_it_only_where_the_bundle_has_a_measure(
    bundle: Bundle, make: Make, tmp_path: Path
) -> None:
    folder = make("good", attributes="Red,-Striped", count=70)
    report = report_on(folder, bundle=bundle)
    nearest = report.data["batches"][0]["nearest"]
    assert nearest["limit"] is None and nearest["faces"] is None and 0 <= nearest["distance"] <= nearest["median"]
    assert nearest["files"][0] in render_page(report) and "duplicates" not in render_page(report)
    held = {"extractor": "judge", "limit": 2 * (nearest["median"] + 1e-4) / NEAR}
    files = {name: bundle.file(name).read_bytes() for name in bundle.sums if name.endswith(".safetensors")}
    measured = write_bundle(tmp_path / "m", {**bundle.config, "evaluation": {"memorisation": held}}, files, "# tiny")
    again = report_on(folder, bundle=measured)
    flagged = again.data["batches"][0]["nearest"]
    assert flagged["faces"] >= 35 and "duplicates, or nearly" in render_page(again)
