"""Unknown labels take part in nothing: no loss, no sampling weight, no figure; halves are no answer either."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import SEEN, SMALL, small_store

from cfgan.assemble.parts import _validation
from cfgan.data.store import PackedDataset
from cfgan.evaluation.fidelity import intra_attribute_fd
from cfgan.model.calibration import classifier_figures, fit_calibration
from cfgan.training import losses
from cfgan.training.classifier import train_classifier
from cfgan.training.config import ClassifierConfig, GanConfig, make_config
from cfgan.training.data import load_split
from cfgan.training.networks import gan_shape, make_networks
from cfgan.training.sampling_rows import repeat_factors
from cfgan.training.state import step_generator
from cfgan.training.step import Inputs, draw_inputs, generator_loss

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    whole = small_store(tmp_path_factory.mktemp("unknown"))
    labels = whole.labels.copy()
    labels[::2, 1] = np.nan
    return dataclasses.replace(whole, labels=labels)


@pytest.fixture(scope="module")
def guide(store: PackedDataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    run = tmp_path_factory.mktemp("guide") / "run"
    train_classifier(store, run, make_config(ClassifierConfig, SEEN))
    return str(run)


@pytest.mark.slow
def test_the_generator_is_pulled_by_known_labels_alone(store: PackedDataset, guide: str, tmp_path: Path) -> None:
    settings = SMALL | {"guide": guide, "guide_pull": 1.0, "attribute_pull": 1.0}
    config = make_config(GanConfig, settings)
    networks = make_networks(config, gan_shape(config, 3, 16), CPU)
    z = torch.randn(4, config.z_dim)
    labels = torch.tensor([[1.0, math.nan, -1.0]] * 4)
    real = torch.rand(4, 3, 16, 16) * 2 - 1
    inputs = Inputs(real, labels, torch.nan_to_num(labels), z)
    fake = networks.generator(z, inputs.condition)
    _, figures = generator_loss(networks, inputs, fake, config, step_generator(0, 0, 0))
    # Whatever is said of an attribute of which nothing is known, the pulls stay as they are.
    for network, last in ((networks.discriminator, "attributes"), (networks.guide, "head")):
        with torch.no_grad():
            getattr(network, last).bias[1] += 50.0
    _, again = generator_loss(networks, inputs, fake, config, step_generator(0, 0, 0))
    for name in ("g_attributes", "g_guide"):
        torch.testing.assert_close(again[name], figures[name])
    nothing = dataclasses.replace(inputs, labels=torch.full((4, 3), math.nan))
    _, figures = generator_loss(networks, nothing, fake, config, step_generator(0, 0, 0))
    assert figures["g_attributes"].item() == 0 and figures["g_guide"].item() == 0


def test_conditions_of_unknown_labels_are_neither_yes_nor_no(store: PackedDataset) -> None:
    config = make_config(GanConfig, SMALL)
    train = load_split(store, "train", CPU)
    inputs = draw_inputs(train, torch.ones(len(train)), config, step_generator(0, 0, 0))
    unknown = torch.isnan(inputs.labels)
    assert unknown.any() and (inputs.condition[unknown] == 0).all()
    torch.testing.assert_close(inputs.condition[~unknown], inputs.labels[~unknown])


def test_mirroring_can_be_switched_off_without_moving_what_is_drawn(store: PackedDataset) -> None:
    train = load_split(store, "train", CPU)
    both = [
        draw_inputs(
            train, torch.ones(len(train)), make_config(GanConfig, SMALL | {"mirror": mirror}), step_generator(0, 0, 8)
        )
        for mirror in (True, False)
    ]
    torch.testing.assert_close(both[0].z, both[1].z)
    same = [(a == b).all() or (a.flip(2) == b).all() for a, b in zip(both[0].real, both[1].real, strict=True)]
    assert all(same) and not torch.equal(both[0].real, both[1].real)
    plain = [train.batch(torch.tensor([i]))[0][0] for i in range(len(train))]
    assert all(any(torch.equal(image, one) for one in plain) for image in both[1].real)


def test_a_rare_value_is_rare_among_known_labels() -> None:
    labels = torch.full((100, 1), math.nan)
    labels[:10] = torch.tensor([[1.0]] * 5 + [[-1.0]] * 5)
    assert (repeat_factors(labels, 0.1) == 1).all()  # half of those that are known
    labels[:10] = torch.tensor([[1.0]] + [[-1.0]] * 9)
    labels[10:100] = -1.0
    assert repeat_factors(labels, 0.1)[0] == pytest.approx(math.sqrt(0.1 / 0.01))


def test_a_loss_over_nothing_known_is_zero_and_graded_labels_are_targets() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    loss = losses.attribute_loss(logits, torch.full((2, 2), math.nan))
    loss.backward()
    assert loss.item() == 0 and (logits.grad == 0).all()
    graded = torch.tensor([[0.5, math.nan]])
    best = torch.tensor([[math.log(3.0), 7.0]], requires_grad=True)  # sigmoid is 0.75
    losses.attribute_loss(best, graded).backward()
    torch.testing.assert_close(best.grad, torch.zeros(1, 2), atol=1e-7, rtol=0)


@pytest.mark.slow
def test_figures_and_calibration_leave_unknown_and_halfway_labels_out() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((400, 2)) < 0.5, 1.0, -1.0).astype(np.float32)
    logits = labels * 2 + rng.normal(size=(400, 2))
    known = classifier_figures(logits[:, :1], labels[:, :1], ("A",))["A"]
    more_labels = np.concatenate([labels[:, :1], np.full((300, 1), np.nan), np.zeros((300, 1))])
    more_logits = np.concatenate([logits[:, :1], np.full((600, 1), -9.0)])
    fitted, again = fit_calibration(logits[:, :1], labels[:, :1]), fit_calibration(more_logits, more_labels)
    np.testing.assert_allclose(again.threshold, fitted.threshold)
    np.testing.assert_allclose(again.gate_no, fitted.gate_no)
    more = classifier_figures(more_logits, more_labels, ("A",))["A"]
    assert (more["n"], more["positives"]) == (known["n"], known["positives"])
    assert more["accuracy"] == known["accuracy"]
    nothing = classifier_figures(logits, np.full((400, 2), np.nan), ("A", "B"))["B"]
    assert nothing["n"] == 0 and math.isnan(nothing["accuracy"]) and math.isnan(nothing["calibration_error"])


def test_what_a_bundle_keeps_says_unknown_where_nothing_is_known() -> None:
    from safetensors.numpy import load

    labels = np.asarray([[1.0, np.nan], [-0.5, 0.0]], dtype=np.float32)
    kept = load(_validation({"verifier": (np.zeros((2, 2)), labels)}))
    np.testing.assert_array_equal(kept["labels"], [[1, 0], [-1, 0]])


def test_fidelity_of_an_attribute_is_over_images_that_are_known_to_carry_it() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    labels = np.full((40, 1), np.nan)
    labels[:10], labels[10:16] = 1, -1
    found = intra_attribute_fd(("A",), real, labels, fake, np.ones((40, 1)), least=2)
    assert found["attributes"]["A"]["yes"]["n"] == 10 and found["attributes"]["A"]["no"]["n"] == 0
