"""A user's own labelled images move the thresholds to where they belong, and never quietly elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.table import LabelTable
from cfgan.errors import DataError, InputError
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import balanced_accuracy
from cfgan.verify.images import Columns, Readings, choose_columns
from cfgan.verify.user_calibration import (
    NO_BETTER,
    TOO_FEW,
    CalibrationFit,
    UserCalibration,
    fit,
    read_user_calibration,
)


def readings(n: int, share: float, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a good reader whose logits are all too low by ``shift``, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < share
    logit = np.where(truth, 2.0, -2.0) + rng.normal(0, 1.2, n) - shift
    return 1 / (1 + np.exp(-logit)), truth


@pytest.mark.slow
def test_fifty_images_find_a_threshold_that_holds_on_others() -> None:
    gains = []
    for seed in range(10):
        p, truth = readings(50, 0.4, 2.5, seed)
        fitted = fit(p, truth, 0.5)
        new, new_truth = readings(4000, 0.4, 2.5, seed + 100)
        shipped = balanced_accuracy(new >= 0.5, new_truth)
        logit = np.log(new) - np.log1p(-new)
        learnt = 1 / (1 + np.exp(-(fitted.slope * logit + fitted.intercept)))
        found = balanced_accuracy(learnt >= fitted.threshold, new_truth)
        gains.append(found - shipped)
        assert fitted.after > fitted.before and found > 0.88
        # Probabilities are right again too: as many as are there, on average.
        assert abs(learnt.mean() - new_truth.mean()) < 0.12
    assert min(gains) > 0.1


def test_a_reader_that_is_right_already_is_hardly_moved() -> None:
    p, truth = readings(400, 0.5, 0.0)
    fitted = fit(p, truth, 0.5)
    assert fitted.threshold == pytest.approx(0.5, abs=0.1)
    assert fitted.after == pytest.approx(fitted.before, abs=0.01) and not fitted.is_rough


@pytest.fixture
def learnt(tiny_bundle: Bundle) -> UserCalibration:
    return collect(tiny_bundle, 60)


def collect(bundle: Bundle, n: int) -> UserCalibration:
    """Red is read too low, Round is noise, Cat has three positives."""
    columns = choose_columns(bundle)
    rng = np.random.default_rng(4)
    p, red = readings(n, 0.5, 3.0)
    probability = np.full((n, len(columns.names)), 0.5, np.float32)
    probability[:, 0] = p
    probability[:, 1] = rng.random(n)
    labels = np.full((n, 3), np.nan, np.float32)
    labels[:, 0] = np.where(red, 1, -1)
    labels[:, 1] = rng.choice([-1, 1], n)
    labels[:, 2] = [1, 1, 1] + [-1] * (n - 3)
    files = tuple(f"{k}.png" for k in range(n))
    table = LabelTable(Path("mine.csv"), Vocabulary.of(["Red", "Round", "Cat"]), labels, files)
    columns = Columns(columns.reader, columns.names, columns.places, np.full(len(columns.names), 0.5))
    taker = CalibrationFit(bundle, columns, table, [*files, "without_label.png"], "center")
    for start in range(0, n + 1, 16):
        part = [*files, "without_label.png"][start : start + 16]
        rows = np.concatenate([probability, np.full((1, len(columns.names)), 0.9, np.float32)])[start : start + 16]
        taker.add(Readings(part, rows, rows >= 0.5, [None] * len(part), None))
    return taker.learnt()


def test_what_cannot_be_learnt_stays_as_shipped_and_is_named(learnt: UserCalibration) -> None:
    assert "Red" in learnt.attributes and learnt.left["Cat"] == TOO_FEW
    noise = learnt.attributes.get("Round")
    assert learnt.left["Round"] == NO_BETTER if noise is None else noise.after >= noise.before
    assert learnt.attributes["Red"].images == 60


def test_too_few_images_are_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(DataError, match="no attribute has 10 labelled images of each value among the 12"):
        collect(tiny_bundle, 12)


def test_a_file_gives_back_what_was_learnt_and_is_applied(
    learnt: UserCalibration, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(learnt.to_bytes())
    back = read_user_calibration(path, tiny_bundle.vocabulary)
    assert back.left == learnt.left and list(back.attributes) == list(learnt.attributes)
    shipped = tiny_bundle.calibration
    applied = back.applied(shipped, tiny_bundle.vocabulary)
    logits = np.linspace(-4, 4, 9)[:, None].repeat(len(shipped.slope), 1)
    p = shipped.probabilities(logits).astype(np.float64)
    fitted = back.attributes["Red"]
    wanted = 1 / (1 + np.exp(-(fitted.slope * (np.log(p[:, 0]) - np.log1p(-p[:, 0])) + fitted.intercept)))
    assert np.allclose(applied.probabilities(logits)[:, 0], wanted, atol=1e-3)
    assert np.array_equal(applied.probabilities(logits)[:, 4:], shipped.probabilities(logits)[:, 4:])
    assert applied.threshold[0] == pytest.approx(fitted.threshold)
    assert np.array_equal(applied.gate_yes, shipped.gate_yes)  # generated faces are gated as before


def test_a_file_is_refused_where_it_does_not_belong(
    learnt: UserCalibration, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(learnt.to_bytes())
    with pytest.raises(InputError, match=r"mine.json was learnt with --crop center, not --align"):
        learnt.require(tiny_bundle, "verifier", "align", path=path)
    with pytest.raises(InputError, match="for the verifier, not the judge"):
        learnt.require(tiny_bundle, "judge", "center", path=path)
    with pytest.raises(InputError, match="for another bundle than tiny"):
        replace(learnt, bundle="x").require(tiny_bundle, "verifier", "center", path=path)
    learnt.require(tiny_bundle, "verifier", "center", path=path)
    path.write_text(path.read_text().replace('"threshold": 0', '"threshold": 1'))
    with pytest.raises(InputError, match="--calibration: .*changed after it was written"):
        read_user_calibration(path, tiny_bundle.vocabulary)
    for text in ("", "[]", '{"format": "cfgan-readings/1"}', '{"format": "cfgan-calibration/1"}'):
        path.write_text(text)
        with pytest.raises(InputError, match="--calibration"):
            read_user_calibration(path, tiny_bundle.vocabulary)
