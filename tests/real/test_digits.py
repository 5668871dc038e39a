"""Another data set end to end: scikit-learn's digits, trained here in short, and the shipped bundle in full.

The reader is a support vector classifier on 8 x 8 pixels, trained on real digits alone (``benchmarks/digits.py``).
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cfgan.attributes.prior import Prior
from cfgan.model.bundle import Bundle, open_bundle

pytestmark = pytest.mark.real

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "digits.py"


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *(str(a) for a in arguments)], capture_output=True, text=True, env=environment, **options
    )
    assert done.returncode == 0, done.stderr
    return done


def cfgan(*arguments: object) -> str:
    return run("-m", "cfgan_cli.main", *arguments).stdout


def independent(bundle: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(BENCHMARK, "--bundle", bundle, "--json").stdout)
    return found


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle("digits32")


def test_it_is_whole_small_and_names_source_and_licence(bundle: Bundle) -> None:
    bundle.verify()
    assert sum(path.stat().st_size for path in bundle.path.iterdir()) < 8 * 2**20
    card = (bundle.path / "README.md").read_text()
    assert "CC BY 4.0" in card and "Optical Recognition of Handwritten Digits" in card
    assert "/work/" not in card and "/root/" not in card and "celebrities" not in card
    assert bundle.vocabulary.names == tuple("0123456789") and bundle.size == 32 and not bundle.of_faces


def test_an_independent_classifier_reads_the_shipped_digits_as_asked(bundle: Bundle) -> None:
    found = independent("digits32")
    assert found["rate"] >= 0.95 and found["interval"][0] >= 0.95
    assert min(found["digits"].values()) / found["each"] >= 0.9
    assert found["real"] > 0.95  # the reader itself can read


def test_any_digit_is_exactly_one(bundle: Bundle) -> None:
    prior: Prior = bundle.prior()
    drawn = prior.sample({}, 0, range(500))
    assert ((drawn > 0).sum(1) == 1).all() and (drawn > 0).any(0).all()


def test_every_command_works_on_it(tmp_path: Path) -> None:
    seven = tmp_path / "seven"
    made = json.loads(cfgan("generate", "--bundle", "digits32", "-a", "7", "-n", "16", "--out", seven, "--json"))
    assert made["accepted"] == 16
    with Image.open(seven / "images" / "000000.png") as image:
        assert image.size == (32, 32)
    cfgan("generate", "--bundle", "digits32", "-a", "any", "-n", "24", "--out", tmp_path / "any")
    with (tmp_path / "any" / "manifest.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    classes = np.asarray([[float(row[f"condition.{k}"]) for k in range(10)] for row in rows])
    assert ((classes > 0).sum(1) == 1).all() and len(set(classes.argmax(1))) > 4
    read = list(csv.DictReader(cfgan("verify", seven, "--bundle", "digits32", "-a", "7").splitlines()))
    assert np.mean([row["meets"] == "1" for row in read]) > 0.9
    report = tmp_path / "report"
    cfgan("report", seven, "--bundle", "digits32", "--out", report)
    assert json.loads((report / "report.json").read_text())["verdict"] == "holds"
    control = tmp_path / "control"
    cfgan("report", "control", "digits32", "--out", control)
    assert json.loads((control / "control.json").read_text())["mean_effect"] > 0.9
    listed = json.loads(cfgan("attributes", "--bundle", "digits32", "--json"))
    assert [row["name"] for row in listed["attributes"]] == list("0123456789") and len(listed["one_of"]) == 1
    assert json.loads(cfgan("bundle", "info", "digits32", "--json"))["attributes"] == 10
    assert json.loads(cfgan("evaluate", "digits32", "-n", "400", "--json"))["agreement"] > 0.95
    wrong = subprocess.run(
        [sys.executable, "-m", "cfgan_cli.main", "generate", "--bundle", "digits32", "-a", "7,3", "--out", "x"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert wrong.returncode == 2 and "exactly one of" in wrong.stderr


def test_from_nothing_to_digits_that_an_independent_classifier_reads(tmp_path: Path) -> None:
    """The recipe at a third of its length, so with a lower bar: 85 % instead of 95 %."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    store, threads = tmp_path / "store", ("--set", "threads=1", "-q")
    split = ("--validation", "0.2", "--test", "0.1")
    cfgan("data", "import", "sklearn:digits", "--out", store, "--size", "32", *split, "-q")
    for name in ("verifier", "guide"):
        shorter = ("--set", "images=20000")
        cfgan(
            "train",
            "verifier",
            "--data",
            store,
            "--out",
            tmp_path / name,
            "--config",
            f"digits32_{name}",
            *shorter,
            *threads,
        )
    guide = ("--set", f"guide={tmp_path / 'guide'}", "--set", f"features={tmp_path / 'guide'}")
    shorter = ("--set", "images=13000")
    cfgan(
        "train", "gan", "--data", store, "--out", tmp_path / "gan", "--config", "digits32", *guide, *shorter, *threads
    )
    cfgan("train", "prior", "--data", store, "--out", tmp_path / "prior.safetensors", "-q")
    parts = ("--gan", tmp_path / "gan", "--verifier", tmp_path / "verifier", "--prior", tmp_path / "prior.safetensors")
    said = ("--name", "digits", "--data", "digits", "--licence", "CC BY 4.0", "--no-faces", "--draws", "200", "-q")
    cfgan("bundle", "build", "--out", tmp_path / "bundle", *parts, *said)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 300
    )  # of one thread, whoever else works
    assert independent(tmp_path / "bundle")["rate"] >= 0.85
    cfgan("generate", "--bundle", tmp_path / "bundle", "-a", "3", "-n", "8", "--out", tmp_path / "three")
