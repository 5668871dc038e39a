from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import make_bundle
from safetensors.numpy import save

from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import Plan, make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import BundleError, RequestError, SpecError
from cfgan.generate.job import check_plan, generate
from cfgan.model.bundle import Bundle, write_bundle
from cfgan.model.calibration import Calibration, fit_calibration
from cfgan.verify.gate import verifier_gate
from cfgan.verify.precision import operating_points, point_for_precision, points_for_request


def judged_on(bundle: Bundle, folder: Path, logits: np.ndarray, labels: np.ndarray) -> Bundle:
    """The bundle with validation readings and plain probabilities."""
    config = json.loads(json.dumps(dict(bundle.config)))
    a = len(bundle.vocabulary)
    config["verifier"]["calibration"] = Calibration(np.ones(a), np.zeros(a), np.full(a, 0.5)).to_dict()
    files = {name: bundle.file(name).read_bytes() for name in bundle.sums if name.endswith(".safetensors")}
    files["validation.safetensors"] = save({"labels": labels.astype(np.int8), "verifier": logits.astype(np.float16)})
    return write_bundle(folder, config, files, "# tiny")


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    """Of 400 faces half carry each attribute. Red is read perfectly, Round at random, the others in between."""
    tmp = tmp_path_factory.mktemp("precision")
    rng = np.random.default_rng(0)
    labels = rng.choice([-1, 1], (400, len(vocabulary)))
    logits = labels * 1.0 + rng.normal(size=labels.shape)
    logits[:, 0] = labels[:, 0] * (2 + rng.random(400))
    logits[:, 1] = rng.normal(size=400)
    labels[:5, 2] = 0  # unknown
    return judged_on(make_bundle(tmp / "plain", vocabulary, prior), tmp / "read", logits, labels)


def test_operating_points_by_hand() -> None:
    probability = np.array([0.9] * 10 + [0.8] * 5 + [0.2] * 5)
    truth = np.array([True] * 9 + [False] + [True] * 3 + [False] * 2 + [False] * 4 + [True])
    points = operating_points(probability, truth)
    assert [(p.threshold, p.n) for p in points] == [(0.9, 10), (0.8, 15), (0.2, 20)]
    assert [p.precision for p in points] == pytest.approx([0.9, 0.8, 0.65])
    assert points[0].recall == pytest.approx(9 / 13) and points[2].recall == 1
    best = point_for_precision(probability, truth, 0.75)
    assert best is not None and best.threshold == 0.8
    assert point_for_precision(probability, truth, 0.95) is None


def test_a_precision_becomes_a_threshold_for_each_value(read: Bundle) -> None:
    names = read.vocabulary.names
    points = points_for_request(read, {names[0]: 1.0, names[2]: -1.0, names[4]: 0.5}, 0.95)
    assert set(points) == {names[0], names[2]}  # graded values are not gated
    assert points[names[0]].recall == 1 and points[names[0]].precision == 1
    assert points[names[2]].precision >= 0.95 and points[names[2]].recall < 1
    loose = points_for_request(read, {names[2]: -1.0}, 0.8)
    assert loose[names[2]].threshold < points[names[2]].threshold
    plan = make_plan({"attributes": {names[2]: -1.0}, "verify": {"precision": 0.95}}, read.vocabulary)
    gate = verifier_gate(read, plan.cells[0])
    assert gate.least[0] == pytest.approx(points[names[2]].threshold)
    passing = np.full((1, len(names)), 1 - gate.least[0], dtype=np.float64)
    assert gate.sees(passing - 1e-6).all() and not gate.sees(passing + 1e-3).any()


def test_a_precision_out_of_reach_is_refused_before_anything_is_written(read: Bundle, tmp_path: Path) -> None:
    plan = make_plan({"attributes": read.vocabulary.names[1], "verify": {"precision": 0.99}}, read.vocabulary)
    with pytest.raises(
        RequestError, match=r"Round cannot be verified with a precision of 0.99: on 400 real faces .* at most"
    ):
        generate(read, plan, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_without_readings_a_precision_cannot_be_had(tiny_bundle: Bundle) -> None:
    with pytest.raises(RequestError, match="give a threshold instead"):
        points_for_request(tiny_bundle, {"Red": 1.0}, 0.9)


def test_threshold_and_precision_exclude_each_other_but_the_later_one_wins(vocabulary: Vocabulary) -> None:
    both = {"attributes": "Red", "verify": {"threshold": 0.5, "precision": 0.9}}
    with pytest.raises(SpecError, match="not both"):
        make_plan(both, vocabulary)
    spec = {"attributes": "Red", "verify": {"threshold": 0.5}}
    verify = make_plan(spec, vocabulary, {"verify": {"precision": 0.9}}).cells[0].verify
    assert verify.precision == 0.9 and verify.threshold is None


def test_damaged_readings_are_named(read: Bundle, tmp_path: Path) -> None:
    bad = judged_on(read, tmp_path / "bad", np.zeros((4, 2)), np.ones((4, 2)))
    with pytest.raises(BundleError, match="validation readings"):
        bad.validation()


def test_the_scaling_with_the_smaller_error_is_taken() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((6000, 2)) < 0.5
    logits = np.where(truth, 1.0, -1.0) + rng.normal(size=truth.shape)
    logits[:, 1] += 3  # only a shift mends these
    calibration = fit_calibration(logits, np.where(truth, 1.0, -1.0))
    assert calibration.method[1] == "platt" and calibration.intercept[1] < -3
    assert Calibration.from_dict(calibration.to_dict()).method == calibration.method
    if calibration.method[0] == "temperature":
        assert calibration.intercept[0] == 0


@pytest.mark.slow
def test_the_bundle_s_gate_is_not_given_for_a_value_that_hardly_any_real_face_carries(
    tmp_path: Path, vocabulary: Vocabulary, prior: Prior
) -> None:
    """ "As sure as of four in five real faces" means nothing where three carry it: said before the first draw."""
    rng = np.random.default_rng(0)
    labels = rng.choice([-1, 1], (300, len(vocabulary)))
    labels[:, 2] = -1
    labels[:3, 2] = 1  # Striped
    logits = labels + rng.normal(size=labels.shape)
    bundle = judged_on(make_bundle(tmp_path / "plain", vocabulary, prior), tmp_path / "few", logits, labels)
    config = json.loads(json.dumps(dict(bundle.config)))
    config["verifier"]["calibration"] = fit_calibration(logits, labels.astype(float)).to_dict()
    files = {name: bundle.file(name).read_bytes() for name in bundle.sums if name.endswith(".safetensors")}
    bundle = write_bundle(tmp_path / "bundle", config, files, "# tiny")

    def plan(text: str, **verify: object) -> Plan:
        return make_plan({"attributes": text, "count": 2, "verify": verify}, bundle.vocabulary)

    out = tmp_path / "out"
    for text in ("Striped", "Red,Striped"):
        with pytest.raises(RequestError, match=r"Striped cannot be promised: 3 of 300 .* takes 20.*--threshold 0.5"):
            generate(bundle, plan(text), out, device="cpu")
        assert not out.exists()
    for told in (plan("Striped", threshold=0.2), plan("Striped", enabled=False), plan("Red,-Striped")):
        check_plan(told, bundle)
    check_plan(make_plan({"attributes": {"Striped": 0.5}, "count": 1}, bundle.vocabulary), bundle)  # graded: not gated
