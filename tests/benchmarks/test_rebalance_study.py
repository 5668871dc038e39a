"""The study of benchmarks/rebalance.py: its statistics, and the whole of it on drawn images."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers import draw_celeba
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp
from sklearn.metrics import balanced_accuracy_score

from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import PackedDataset, pack
from cfgan.model.bundle import Bundle


@pytest.fixture(scope="module")
def study() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        import rebalance

    return rebalance


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    folder = tmp_path_factory.mktemp("study")
    return pack(read_celeba(draw_celeba(folder / "celeba", 60, ("Red", "Round"))), folder / "store", 16)[0]


def options(store: PackedDataset, bundle: Bundle, out: Path) -> list[str]:
    given: dict[str, Any] = {"data": store.path, "bundle": bundle.path, "out": out, "attributes": "Red,Round"}
    given |= {"seeds": 2, "images": 8, "share": 0.25, "held": 4, "steps": 2, "batch": 4, "side": 16}
    return [f"--{key}={value}" for key, value in given.items()]


@pytest.mark.slow
def test_the_whole_study_goes_on_where_it_was(
    study: ModuleType, store: PackedDataset, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs"
    wanted = options(store, tiny_bundle, out)
    study.main(wanted)
    lines = (out / "runs.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 2 * 2 * len(study.ARMS)
    whole = (out / "rebalance.json").read_text()
    figures = json.loads(whole)["results"]
    assert set(figures) == {"Red", "Round", "mean of them"} and set(figures["Red"]) == set(study.ARMS)
    assert all(len(figures[n][arm]["auc"]["values"]) == 2 for n in figures for arm in study.ARMS)
    for text in ("labels of the whole train split", "| nothing |", "the bundle's verifier", "--attributes=Red,Round"):
        assert text in (out / "README.md").read_text()
    assert "against the best ordinary row" in (out / "README.md").read_text()
    assert "<image" not in (out / "rebalance.svg").read_text()  # figures only, no face
    added = {run["arm"]: run["added"] for run in map(json.loads, lines)}
    assert (added["oversampling"], added["synthetic positives"], added["synthetic both"]) == (0, 4, 8)
    # Killed in the middle of a line: that run is made again, the others are not.
    (out / "runs.jsonl").write_text("".join(lines[:-1]) + lines[-1][:30])
    trained = []
    work = study.run_arm
    monkeypatch.setattr(study, "run_arm", lambda arm, *rest: trained.append(arm) or work(arm, *rest))
    study.main(wanted)
    assert trained == [study.ARMS[json.loads(lines[-1])["arm"]]] and (out / "rebalance.json").read_text() == whole
    study.main(wanted)
    assert len(trained) == 1


def test_the_subsets_are_disjoint_and_as_unbalanced_as_stated(study: ModuleType, store: PackedDataset) -> None:
    asked = study.Settings(8, 0.25, 4, 2, 4, 16, 1e-3, 1, "", "")
    tasks = [study.make_task(store, "Red", seed, asked) for seed in (0, 0, 1)]
    for task in tasks:
        assert len(task.train) == 8 and len(task.held) == 4
        parts = [set(task.train.tolist()), set(task.held.tolist()), set(task.spare.tolist())]
        assert len(set.union(*parts)) == sum(map(len, parts)) and set.union(*parts) <= set(store.rows("train").tolist())
        assert (store.labels[task.train, 0] > 0).sum() == 2 and (store.labels[task.held, 0] > 0).sum() == 1
        assert (store.labels[task.spare, 0] > 0).all()
    assert (tasks[0].train == tasks[1].train).all() and set(tasks[0].train) != set(tasks[2].train)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=30))
@settings(deadline=None)
def test_no_threshold_is_better_than_the_best(pairs: list[tuple[int, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        from rebalance import best_threshold
    score = np.asarray([p[0] for p in pairs], dtype=np.float64)
    truth = np.asarray([p[1] for p in pairs])
    if truth.all() or not truth.any():
        return
    found = balanced_accuracy_score(truth, score >= best_threshold(score, truth))
    every = [balanced_accuracy_score(truth, score >= t) for t in np.arange(-0.5, 9.5)]
    assert found == pytest.approx(max(every))


def test_oversampling_shows_both_classes_alike(study: ModuleType) -> None:
    labels = np.asarray([1.0] * 2 + [-1.0] * 98)
    seen = study.order(np.random.default_rng(0), labels, 4000, True)
    assert np.mean(seen < 2) == pytest.approx(0.5, abs=0.05)
    plain = study.order(np.random.default_rng(0), labels, 250, False)
    assert sorted(plain[:100]) == list(range(100)) and len(plain) == 250


def test_intervals_are_students(study: ModuleType) -> None:
    from rebalance_report import interval, verdict

    values = [0.3, 0.5, 0.1, 0.45, 0.2]
    mean, half = interval(values)
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert math.isnan(interval([0.5])[1])
    assert [verdict(pair) for pair in ((0.2, 0.1), (-0.2, 0.1), (0.1, 0.2), (0.1, math.nan))] == [
        "better",
        "worse",
        "not shown",
        "not shown",
    ]
