"""The shipped bundle itself: what a user gets right after install."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cfgan.attributes.spec import read_spec
from cfgan.attributes.spec_files import shipped_specs
from cfgan.evaluation.accuracy import unfiltered_accuracy
from cfgan.generate.batch_check import check_batch
from cfgan.generate.job import check_plan
from cfgan.generate.sampling import latents
from cfgan.model.bundle import Bundle, open_bundle, shipped_bundles
from cfgan.model.engines import open_engine

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=["celeba128", "celeba64"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return open_bundle(request.param)


@pytest.fixture(scope="module")
def default() -> Bundle:
    """What is meant where none is named."""
    return open_bundle()


def cfgan(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cfgan_cli.main", *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def pixels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted((folder / "images").iterdir())]).astype(float)


def test_it_is_whole_small_and_licensed(bundle: Bundle) -> None:
    bundle.verify()
    assert sum(path.stat().st_size for path in bundle.path.iterdir()) < 45 * 2**20
    kinds = {".json", ".safetensors", ".onnx", ".md", ".png", ".svg"}
    assert {path.suffix for path in bundle.path.iterdir()} == kinds
    card = (bundle.path / "README.md").read_text()
    assert "non-commercial" in card and "/work/" not in card and "/root/" not in card
    assert len(bundle.vocabulary) == 40 and f"celeba{bundle.size}" == bundle.name


@pytest.mark.parametrize("name", sorted(shipped_bundles()))
def test_a_draw_is_the_same_bytes_however_many_are_drawn(name: str) -> None:
    """On this kind of processor too: batches leave out draws that nobody wants."""
    bundle = open_bundle(name)
    engine = open_engine(bundle, "onnxruntime:cpu")
    assert engine.batch_invariant
    z = latents(7, range(33), bundle.z_dim)
    conditions = np.where(np.random.default_rng(0).random((33, len(bundle.vocabulary))) < 0.3, 1, -1).astype(np.float32)
    levels, verifier = engine.generator()(z, conditions), engine.classifier("verifier")
    for size in (1, 7):
        parts = [slice(k, k + size) for k in range(0, 33, size)]
        drawn = [engine.generator()(z[part], conditions[part]) for part in parts]
        np.testing.assert_array_equal(np.concatenate(drawn), levels)
        read = [verifier.logits(levels[part]) for part in parts]
        np.testing.assert_array_equal(np.concatenate(read), verifier.logits(levels))


def test_the_verifier_is_good_on_real_faces(bundle: Bundle) -> None:
    figures = bundle.config["verifier"]["figures"]
    assert np.mean([row["accuracy"] for row in figures.values()]) >= 0.90
    assert np.mean([row["balanced_accuracy"] for row in figures.values()]) >= 0.82
    assert min(row["auc"] for row in figures.values()) > 0.6
    assert max(row["calibration_error"] for row in figures.values()) < 0.06


def test_the_judge_is_another_network_nearly_as_good_and_does_not_repeat_the_verifier_s_mistakes(
    bundle: Bundle,
) -> None:
    figures = bundle.config["judge"]["figures"]
    assert np.mean([row["accuracy"] for row in figures.values()]) >= 0.89
    assert np.mean([row["balanced_accuracy"] for row in figures.values()]) >= 0.81
    validation = bundle.validation()
    assert validation is not None and len(validation.labels) == 2720
    truth = validation.labels > 0
    wrong = {role: (logits > 0) != truth for role, logits in validation.logits.items()}
    shared = (wrong["judge"] & wrong["verifier"]).mean() / wrong["judge"].mean()
    assert shared < 0.75, "most mistakes of two good classifiers are label noise, but not all"


def test_the_judge_sees_what_was_asked_for_in_verified_faces(default: Bundle, tmp_path: Path) -> None:
    """Not the gate's own word: another classifier's, beside its rate on real faces that carry the value."""
    bundle = default
    judge, validation = bundle.judge(), bundle.validation()
    assert judge is not None and bundle.judge_calibration is not None and validation is not None
    threshold = bundle.judge_calibration.threshold
    real = bundle.judge_calibration.probabilities(validation.logits["judge"]) >= threshold
    for name in ("Eyeglasses", "Smiling", "Male", "Blond_Hair"):
        out = tmp_path / name
        assert cfgan("generate", "-a", name, "-n", 96, "--seed", 9, "--out", out, "-q").returncode == 0
        images = torch.from_numpy(pixels(out).transpose(0, 3, 1, 2).astype(np.float32)) / 127.5 - 1
        with torch.inference_mode():
            seen = bundle.judge_calibration.probabilities(judge(images).numpy()) >= threshold
        i = bundle.vocabulary.index(name)
        ceiling = real[validation.labels[:, i] > 0, i].mean()
        assert seen[:, i].mean() > ceiling - 0.08, name


def test_the_card_has_the_whole_evaluation(bundle: Bundle) -> None:
    found = bundle.config["evaluation"]
    assert found["fidelity"]["efficientnet-lite0"]["n"] == found["fidelity"]["judge"]["n"] == 2720
    by_judge = found["accuracy"]["judge"]
    assert by_judge["prior"]["ceiling"] - by_judge["prior"]["agreement"] < 0.04
    assert found["detector"]["faces"] / found["detector"]["n"] > 0.93
    assert found["diversity"]["ratio"] > 0.8
    assert found["memorisation"]["share_closer"] < 0.01, "the faces are no copies"
    card = bundle.file("README.md").read_text(encoding="utf-8")
    assert "## Measured against real faces" in card and "## What was compared" in card


def test_the_faces_are_measured_over_networks_that_took_no_part(bundle: Bundle) -> None:
    realism = bundle.config["evaluation"]["realism"]
    outside = [row for row in realism["networks"].values() if not row["in_training"]]
    assert {row["extractor"] for row in outside} == {"mobilenet-v2", "inception-v3"}
    assert all(row["kid"] > row["kid_floor"] and row["probe_auc"] < 0.95 for row in outside)
    assert set(realism["crops"]) == {"eyes", "mouth", "background"}
    assert bundle.realism.measured and bundle.realism.enough
    assert bundle.config["training"]["features"] == ["efficientnet-lite0"]
    assert bundle.config["judge"]["shape"]["trunk"] == "mobilenet-v2", "the judge reads what trained nothing"
    assert bundle.heads() is not None, "training goes on with them"


def test_a_precision_that_can_be_had_and_one_that_cannot(tmp_path: Path) -> None:
    good = cfgan("generate", "-a", "Male", "-n", 8, "--precision", 0.97, "--out", tmp_path / "good", "-q")
    assert good.returncode == 0, good.stderr
    bad = cfgan("generate", "-a", "Oval_Face", "-n", 8, "--precision", 0.97, "--out", tmp_path / "bad")
    assert bad.returncode == 2 and "Oval_Face cannot be verified with a precision of 0.97" in bad.stderr
    assert not (tmp_path / "bad").exists()


def test_the_readme_s_command_gives_32_verified_faces_in_time(tmp_path: Path) -> None:
    start = time.monotonic()
    result = cfgan("generate", "--attrs", "Male,Smiling,Eyeglasses", "-n", 32, "--out", tmp_path / "b", "--json")
    seconds = time.monotonic() - start
    assert result.returncode == 0, result.stderr
    value = json.loads(result.stdout)
    assert value["accepted"] == 32 and value["draws"] < 32 * 20
    assert set(value["attributes"]) == {"Male", "Smiling", "Eyeglasses"}
    assert check_batch(tmp_path / "b") == []
    images = pixels(tmp_path / "b")
    assert images.shape == (32, 128, 128, 3)
    assert images.std(axis=0).mean() > 20, "the faces differ from one another"
    assert seconds < 30, "under 10 s on two free cores; three times that when they are busy"


def test_the_same_seed_gives_the_same_faces_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        options = ["-n", 4, "--seed", seed, "--out", tmp_path / name, "-q"]
        assert cfgan("generate", "-a", "-Male,Smiling", *options).returncode == 0
    assert np.abs(pixels(tmp_path / "a") - pixels(tmp_path / "b")).max() <= 1
    assert np.abs(pixels(tmp_path / "a") - pixels(tmp_path / "c")).mean() > 5


def test_requests_change_the_faces(default: Bundle) -> None:
    """Unfiltered: asking for an attribute makes the verifier see it far more often than asking it away."""
    table = unfiltered_accuracy(default, 500, 3)
    assert table["agreement"] > 0.75
    for name in ("Male", "Smiling", "Blond_Hair", "Black_Hair", "Wearing_Lipstick", "Mouth_Slightly_Open", "Bangs"):
        assert table["attributes"][name]["balanced"] > 0.75, name
    for name in ("Eyeglasses", "Wearing_Hat"):
        on = unfiltered_accuracy(default, 96, 4, request={name: 1.0})["attributes"][name]["yes"]
        off = unfiltered_accuracy(default, 96, 4, request={name: -1.0})["attributes"][name]["no"]
        assert on + off - 1 > 0.4, name


def test_no_attribute_is_dead(bundle: Bundle) -> None:
    """A mean may hide an attribute that nothing happens for; these are the card's 2,720 draws."""
    rows = bundle.config["measured"]["unfiltered"]["attributes"]
    dead = [name for name, row in rows.items() if row["yes"] is None or row["yes"] + row["no"] < 1.1]
    assert not dead


@pytest.mark.parametrize("name", sorted(shipped_specs()))
def test_every_shipped_spec_is_plausible(bundle: Bundle, name: str) -> None:
    plan = read_spec(name, bundle.vocabulary)
    rare = check_plan(plan, bundle)
    assert not rare or name == "Disguise"


def test_kill_9_and_go_on(tmp_path: Path) -> None:
    arguments = ["generate", "-a", "Smiling", "-n", 400, "-q", "--out"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert cfgan(*arguments, whole).returncode == 0
    command = [sys.executable, "-m", "cfgan_cli.main", *(str(a) for a in arguments), str(broken)]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(broken.glob("images/*.png"))) < 100:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "manifest.csv").exists()
    assert cfgan(*arguments, broken).returncode == 0
    assert check_batch(broken) == []
    assert (broken / "manifest.csv").read_text().count("\n") == 401
    a, b = ([row.split(",")[1] for row in (d / "manifest.csv").read_text().splitlines()] for d in (whole, broken))
    assert a == b, "no draw repeated, none lost"
    assert np.abs(pixels(whole) - pixels(broken)).max() <= 1


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    if not Path("/dev/full").exists() or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs a small file system")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("no right to mount")
    try:
        result = cfgan("generate", "-a", "Smiling", "-n", 200, "-q", "--out", small / "b")
        assert result.returncode == 1 and "the disk is full" in result.stderr and "Traceback" not in result.stderr
        assert not list(small.rglob("*.partial"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_read_only_folder_is_one_sentence() -> None:
    result = cfgan("generate", "-a", "Smiling", "-n", 2, "-q", "--out", "/proc/nowhere/b")
    assert result.returncode == 1 and result.stderr.startswith("Error: cannot write") and "\n" not in result.stderr[:-1]


def test_help_is_quick() -> None:
    times = []
    for _ in range(5):
        start = time.monotonic()
        assert cfgan("--help").returncode == 0
        times.append(time.monotonic() - start)
    assert min(times) < 1.0, "0.3 to 0.5 s on a free core"


def test_the_card_says_how_near_training_images_are_and_what_witnesses_see() -> None:
    from cfgan.assemble.build import model_card

    bundle = open_bundle()
    copies = {"share_closer": 0.002, "interval": [0.001, 0.004], "median_generated": 0.61, "median_held_out": 0.62}
    copies |= {"extractor": "dlib-resnet", "training_images": 3000, "n": 2000, "n_held_out": 2500}
    figure = {"rate": 0.951, "interval": [0.93, 0.97], "n": 1000, "ceiling": 0.944, "real": 1004, "gap": -0.007}
    classifier = {
        "attribute": "Male",
        "source": "some package",
        "licence": "MIT",
        "digest": "",
        "yes": figure,
        "no": figure,
    }
    external_classifiers = {"some gender": {**classifier, "unsaid": 7, "unsaid_real": 54}}
    evaluation = {**bundle.config["evaluation"], "privacy": copies, "witnesses": external_classifiers}
    card = model_card({**bundle.config, "evaluation": evaluation}, bundle, pictures={"distances.svg"})
    line = "by face embedding, dlib-resnet: 0.2 % (95 %: 0.1 to 0.4) of 2,000 draws are nearer to the nearest of 3,000"
    assert line in card and "2,500 held-out real faces" in card and "](distances.svg)" in card
    assert "| some gender | Male | 95.1 of 1000 | 93.0-97.0 | 94.4 of 1004 |" in card and "| 7 (54) |" in card
    without = {k: v for k, v in bundle.config["evaluation"].items() if k not in ("privacy", "witnesses")}
    plain = model_card({**bundle.config, "evaluation": without}, bundle)
    assert "by features of the judge" in plain and "distances.svg" not in plain and "xternal classifier" not in plain


def test_the_card_begins_as_the_hub_reads_it() -> None:
    from huggingface_hub import ModelCardData
    from huggingface_hub.repocard_data import model_index_to_eval_results

    from cfgan.assemble.hub import card_head
    from cfgan.io.yaml import parse_yaml

    bundle = open_bundle()
    _, head, rest = card_head(bundle.config).split("---\n")
    assert rest == ""
    data = parse_yaml(head, name="card")
    name, results = model_index_to_eval_results(data["model-index"])
    realism = bundle.config["evaluation"]["realism"]["networks"]["mobilenet-v2"]
    assert name == "celeba128" and results[0].metric_value == round(1000 * realism["kid"], 2)
    assert {"kid", "auc", "accuracy", "detection-rate"} <= {result.metric_type for result in results}
    assert ModelCardData(**data).license == "other" and "face-generation" in data["tags"]
    assert "model-index" not in card_head({"name": "plain", "licence": "none", "data": "drawn"})
