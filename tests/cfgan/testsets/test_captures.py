"""Changes of capture: what each does to the pixels, and the sets that compare a face with itself under them."""

from __future__ import annotations

import csv
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from testset_helpers import use_colours

from cfgan.errors import SpecError, StoppedError
from cfgan.model.bundle import Bundle
from cfgan.testsets.building.build import build_testset
from cfgan.testsets.building.capturing import Pixels, captured_pixels
from cfgan.testsets.captures import KINDS, Capture, captures_of, resolved_captures
from cfgan.testsets.check import check_testset
from cfgan.testsets.folder import Testset, open_testset
from cfgan.testsets.scores.comparisons import join_scores, names_of
from cfgan.testsets.scores.scoring import Settings, score_testset
from cfgan.testsets.scores.tables import read_scores
from cfgan.testsets.spec import make_testset_plan


def drawn_face(side: int = 64) -> Pixels:
    """Skin, two eyes and a mouth at their places in the frame, on a background that gets lighter to one side."""
    y, x = np.mgrid[0:side, 0:side] / side
    image = (60 + 90 * x)[None] * np.ones((3, 1, 1))
    skin = ((x - 0.5) / 0.28) ** 2 + ((y - 0.58) / 0.38) ** 2 < 1
    image[:, skin] = np.asarray([[205], [160], [135]])
    for middle in (0.39, 0.61):
        image[:, (x - middle) ** 2 + (y - 0.52) ** 2 < 0.03**2] = 30
    image[:, (abs(x - 0.5) < 0.1) & (abs(y - 0.75) < 0.02)] = 60
    return image.astype(np.uint8)


def change(name: str, value: float, pixels: Pixels, seed: int = 1, draw: int = 0) -> np.ndarray:
    return captured_pixels(pixels, Capture(KINDS[name], value, 1), seed, draw).astype(np.int64)


@pytest.mark.parametrize("name", KINDS)
def test_grades_run_from_mild_to_strong_and_are_the_same_again(name: str) -> None:
    face = drawn_face()
    away = []
    for value in KINDS[name].grades:
        first, again = change(name, value, face), change(name, value, face)
        assert first.shape == face.shape and (first == again).all()
        away.append(float(np.abs(first - face).mean()))
    assert 0 < away[0] < away[1] < away[2]


def test_each_change_does_what_it_says() -> None:
    face = drawn_face()
    blurred = change("blur", 4, face)
    assert (
        abs(blurred.mean() - face.mean()) < 1 and np.diff(blurred, axis=2).std() < np.diff(face.astype(int)).std() / 2
    )
    noise = change("noise", 8, np.full((3, 64, 64), 128, np.uint8)) - 128
    assert abs(noise.std() - 8) < 0.3 and abs(noise.mean()) < 0.3
    flat = np.full((3, 64, 64), 188, np.uint8)  # half of full light in sRGB
    assert abs(change("gain", 1, flat).mean() - 255) < 1 and abs(change("gain", -1, flat).mean() - 137) < 1
    lit = change("light", 60, flat)
    assert lit.max() >= 186 and 110 < lit.min() < 130  # 40 % of half the light is level 123
    eyes, mouth = (slice(30, 37), slice(20, 44)), (slice(44, 52), slice(26, 38))
    glasses, mask = change("sunglasses", 100, face), change("mask", 70, face)
    assert glasses[:, 31:36, 23:27].max() < 70 and (glasses[:, *mouth] == face[:, *mouth]).all()
    assert (mask[:, *eyes] == face[:, *eyes]).all() and np.abs(mask[:, *mouth] - face[:, *mouth]).mean() > 20
    assert 0.2 < change("sunglasses", 50, face)[:, 33, 28].mean() / face[:, 33, 28].mean() < 0.8


def test_turns_and_shifts_move_the_picture_by_what_they_say() -> None:
    dot = np.zeros((3, 64, 64), np.uint8)
    dot[:, 30:34, 46:50] = 255  # 16 pixels right of the middle

    def centre(levels: np.ndarray) -> np.ndarray:
        weight = levels[0] / levels[0].sum()
        y, x = np.mgrid[0:64, 0:64] + 0.5
        return np.asarray([(weight * x).sum(), (weight * y).sum()])

    from_middle = centre(change("turn", 20, dot)) - 32
    assert abs(np.degrees(np.arctan2(*abs(from_middle[::-1]))) - 20) < 1 and abs(np.hypot(*from_middle) - 16) < 0.3
    assert abs(np.hypot(*(centre(change("shift", 8, dot)) - centre(dot))) - 0.08 * 64) < 0.2
    directions = {tuple(np.round(centre(change("shift", 8, dot, draw=draw)))) for draw in range(8)}
    assert len(directions) > 3  # another face, another way


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["blurr"], "Did you mean blur"),
        ({"blurr": [1]}, "Did you mean blur"),
        ({"jpeg": [200]}, "Did you mean 95"),
        ({"jpeg": [20.5]}, "whole number"),
        ({"gain": [0]}, "0 left out"),
        ({"blur": []}, "at least one value"),
        ({"blur": [1, 1.0]}, "twice"),
        (["blur", "blur"], "twice"),
    ],
)
def test_a_wrong_change_names_the_nearest(given: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolved_captures(given, "capture")


def test_names_alone_give_three_grades_in_one_order() -> None:
    listed = captures_of({"capture": resolved_captures(["mask", "blur"], "capture")})
    assert [each.name for each in listed] == ["blur=1", "blur=2", "blur=4", "mask=50", "mask=70", "mask=90"]
    assert [each.level for each in listed] == [1, 2, 3] * 2


SPEC = {
    "design": "capture",
    "attributes": "Red",
    "subjects": 12,
    "folds": 2,
    "capture": {"blur": [3], "gain": [-1, -3]},
}


def build(bundle: Bundle, out: Path, values: dict[str, Any], **kind: Any) -> Testset:
    build_testset(bundle, make_testset_plan(values, bundle.vocabulary), out, device="cpu", **kind)
    return open_testset(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_a_capture_set_has_mated_and_other_pairs_of_every_change(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_colours(monkeypatch)
    found = build(tiny_bundle, tmp_path / "t", SPEC)
    assert check_testset(tmp_path / "t") == []
    changes = ("blur=3", "gain=-1", "gain=-3")
    assert Counter((p.stratum, p.mated) for p in found.pairs) == {
        ("random", "0"): 12,
        **{(name, mated): 12 for name in changes for mated in ("0", "1")},
    }
    with (tmp_path / "t" / "attributes.csv").open(newline="") as handle:
        table = {row["file"]: row for row in csv.DictReader(handle)}
    for pair in found.pairs:
        kind, _, value = pair.stratum.partition("=")
        row = table[pair.b]
        expected = ("", "", "") if pair.stratum == "random" else (kind, value, KINDS[kind].unit)
        assert (row["capture"], row["capture_value"], row["capture_unit"]) == expected
        assert table[pair.a]["capture"] == "" and (pair.mated == "0" or row["of"] == pair.a)
    assert {row["capture_level"] for row in table.values()} == {"", "1", "2"}
    # The same imposters are compared unchanged and under each change.
    couples = {s: [(p.a, p.b.split("/")[1]) for p in found.pairs if p.stratum == s and p.mated == "0"] for s in changes}
    assert len({tuple(listed) for listed in couples.values()}) == 1
    assert [row["name"] for row in found.protocol["captures"]] == list(changes)
    assert "Changes of capture" in (tmp_path / "t" / "datasheet.md").read_text()


@pytest.mark.slow
def test_error_rates_of_every_change_come_out_of_the_score(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_colours(monkeypatch)
    found = build(tiny_bundle, tmp_path / "t", SPEC)
    lines = [f"{p.pair},{0.2 if p.stratum == 'gain=-3' else 0.9 if p.mated == '1' else 0.4}" for p in found.pairs]
    (tmp_path / "s.csv").write_text("\n".join(["pair,score", *lines]))
    table = read_scores(tmp_path / "s.csv", names_of(found)[0], key="pair", column="score")
    data = score_testset(
        found,
        join_scores(found, table, distance=False, allow_missing=False),
        table,
        Settings(0.5, (0.5,), resamples=20),
    )
    rates = {
        row["name"]: row["rates"][0]["rate"]
        for row in data["rows"]
        if row["error"] == "FNMR" and row["family"] == "stratum"
    }
    assert rates == {"blur=3": 0.0, "gain=-1": 0.0, "gain=-3": 1.0}
    eer = {curve["stratum"]: curve["eer"] for curve in data["curves"]}
    assert eer["blur=3"] == 0.0 and eer["gain=-3"] > 0.4
    assert "random" not in eer  # it has no mated pairs of its own, and those of all changes together are a mixture
    assert data["settings"]["threshold_from"] == "random"  # thresholds come from unchanged faces
    assert any("the change alone" in note for note in data["notes"])


@pytest.mark.slow
def test_a_capture_set_is_the_same_after_a_stop(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_colours(monkeypatch)
    build(tiny_bundle, tmp_path / "a", SPEC)

    def stop(stage: str, done: int, total: int, remark: str = "") -> None:
        if stage == "gain=-1":
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="goes on"):
        build(tiny_bundle, tmp_path / "b", SPEC, progress=stop)
    build(tiny_bundle, tmp_path / "b", SPEC)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
@pytest.mark.parametrize("design", ["matched", "transect", "factorial"])
def test_other_designs_take_changes_of_capture_too(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, design: str
) -> None:
    use_colours(monkeypatch)
    spec: dict[str, Any] = {
        "matched": {"attributes": "Red", "pairs": 12},
        "transect": {"attributes": "Red", "change": ["Round"], "subjects": 12},
        "factorial": {"cross": ["Red"], "per_cell": 6},
    }[design]
    spec |= {"design": design, "folds": 2}
    plain = build(tiny_bundle, tmp_path / "plain", spec)
    found = build(tiny_bundle, tmp_path / "t", {**spec, "capture": {"blur": [3]}})
    assert check_testset(tmp_path / "t") == []
    mated = [pair for pair in found.pairs if pair.mated == "1"]
    others = [(p.a, p.b, p.stratum, p.mated, p.fold) for p in found.pairs if p.mated != "1"]
    assert len(mated) == 12 and others == [(p.a, p.b, p.stratum, p.mated, p.fold) for p in plain.pairs]
    if design == "factorial":  # groups are the strata there: the change stands beside them
        assert {(pair.stratum, pair.differing) for pair in mated} == {("Red", ("blur=3",)), ("-Red", ("blur=3",))}
    else:
        assert {(pair.stratum, pair.differing) for pair in mated} == {("blur=3", ())}
    assert "capture" not in (tmp_path / "plain" / "spec.yaml").read_text()
