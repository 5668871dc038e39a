"""Classes, of which exactly one holds: vocabulary, prior, requests and control."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from helpers import make_bundle

from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.classes import attribute_name, class_vocabulary, one_hot
from cfgan.errors import DataError, RequestError, VocabularyError
from cfgan.evaluation.control import Control, measure_control
from cfgan.evaluation.requests import balanced
from cfgan.training.prior import fit_prior

SHARES = (0.5, 0.3, 0.2)


@pytest.fixture(scope="module")
def classes() -> Vocabulary:
    return class_vocabulary({"kind": ("cat", "dog", "7")}, ("red", "big"))


@pytest.fixture(scope="module")
def class_labels() -> np.ndarray:
    """4,000 rows: dogs are red four times in five, others one time in five; big goes with nothing."""
    rng = np.random.default_rng(2)
    kind = rng.choice(3, 4000, p=SHARES)
    red = np.where(rng.random(4000) < np.where(kind == 1, 0.8, 0.2), 1, -1)
    big = np.where(rng.random(4000) < 0.4, 1, -1)
    return np.concatenate([red[:, None], big[:, None], one_hot(kind.tolist(), 3)], 1).astype(np.float32)


@pytest.fixture(scope="module")
def class_prior(classes: Vocabulary, class_labels: np.ndarray) -> Prior:
    return fit_prior(classes, class_labels, iterations=400)


def test_an_empty_request_draws_exactly_one_class_as_common_as_it_is(
    class_prior: Prior, class_labels: np.ndarray
) -> None:
    drawn = class_prior.sample({}, 0, range(4000))
    assert ((drawn[:, 2:] > 0).sum(1) == 1).all()
    np.testing.assert_allclose((drawn > 0).mean(0), (class_labels > 0).mean(0), atol=0.03)
    red_dogs = (drawn[drawn[:, 3] > 0, 0] > 0).mean()
    assert red_dogs == pytest.approx(0.8, abs=0.05)  # what goes with a class is kept


def test_the_block_sampler_agrees_with_exact_enumeration(class_prior: Prior) -> None:
    states = np.asarray([s for s in itertools.product((-1.0, 1.0), repeat=5) if sum(v > 0 for v in s[2:]) == 1])
    energy = states @ class_prior.bias / 2 + np.einsum("ni,ij,nj->n", states, class_prior.weights, states) / 4
    weight = np.exp(energy - energy.max())
    for request, keep in (({}, slice(None)), ({"red": 1.0}, states[:, 0] > 0), ({"7": -1.0}, states[:, 4] < 0)):
        exact = (weight[keep] / weight[keep].sum()) @ (states[keep] > 0)
        found = class_prior.conditional_marginals(request, chains=4000)
        assert np.abs(found - exact).max() < 0.03, request


def test_requests_for_and_against_a_class(class_prior: Prior) -> None:
    assert (class_prior.sample({"dog": 1.0}, 0, range(50))[:, 2:] == [-1, 1, -1]).all()
    against = class_prior.sample({"dog": -1.0}, 0, range(200))[:, 2:]
    assert ((against > 0).sum(1) == 1).all() and (against[:, 1] < 0).all()
    last = class_prior.sample({"dog": -1.0, "7": -1.0}, 0, range(20))[:, 2:]
    assert (last == [1, -1, -1]).all()
    assert class_prior.check({"cat": -1.0, "dog": -1.0}) == []
    with pytest.raises(RequestError, match="cat and dog exclude each other: exactly one of"):
        class_prior.check({"cat": 1.0, "dog": 1.0})
    with pytest.raises(RequestError, match="wants none of them"):
        class_prior.check({"cat": -1.0, "dog": -1.0, "7": -1.0})


def test_a_draw_does_not_depend_on_its_company(class_prior: Prior) -> None:
    together = class_prior.sample({"red": 1.0}, seed=3, draws=range(40))
    alone = np.concatenate([class_prior.sample({"red": 1.0}, seed=3, draws=[i]) for i in (0, 17, 39)])
    np.testing.assert_array_equal(together[[0, 17, 39]], alone)


def test_rows_of_unknown_class_are_not_counted_against_any(classes: Vocabulary, class_labels: np.ndarray) -> None:
    partly = class_labels.copy()
    partly[::2, 2:] = np.nan
    prior = fit_prior(classes, partly, iterations=200)
    np.testing.assert_allclose(prior.marginals[2:], (class_labels[1::2, 2:] > 0).mean(0))
    drawn = prior.sample({}, 0, range(1000))
    assert ((drawn[:, 2:] > 0).sum(1) == 1).all()


def test_a_vocabulary_of_classes_survives_json_and_is_checked(classes: Vocabulary) -> None:
    assert Vocabulary.from_dict(classes.to_dict()) == classes
    assert "one_of" not in Vocabulary(("a",)).to_dict()
    with pytest.raises(VocabularyError, match="not marked as exclusive"):
        Vocabulary(("a", "b"), one_of=(frozenset({"a", "b"}),))
    pairs = (frozenset({"a", "b"}), frozenset({"b", "c"}))
    with pytest.raises(VocabularyError, match="class of two sets"):
        Vocabulary(("a", "b", "c"), exclusive=pairs, one_of=pairs)


def test_class_titles_become_names_and_numbers_in_a_spec_are_names(classes: Vocabulary) -> None:
    assert attribute_name(" T-shirt/top ") == "T-shirt_top"
    with pytest.raises(DataError):
        attribute_name("!?")
    with pytest.raises(DataError, match="two are needed"):
        class_vocabulary({"kind": ["only"]})
    for attributes in (7, [7], {7: True}, "7"):
        assert make_plan({"attributes": attributes, "count": 1}, classes).cells[0].request == {"7": 1.0}


def test_labels_of_classes() -> None:
    np.testing.assert_array_equal(one_hot([1, -1], 3), [[-1, 1, -1], [np.nan] * 3])


def test_balanced_requests_and_control_keep_exactly_one_class(
    classes: Vocabulary, class_prior: Prior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = balanced(class_prior, 3, 4, 0)
    assert ((drawn.conditions[:, 2:] > 0).sum(1) == 1).all()
    asked = []
    from cfgan.evaluation import control as module

    real = module.draw_levels
    monkeypatch.setattr(module, "draw_levels", lambda render, drawn: asked.append(drawn) or real(render, drawn))
    measure_control(make_bundle(tmp_path / "b", classes, class_prior), latents=8)
    assert len(asked) == 10 and all(((one.conditions[:, 2:] > 0).sum(1) == 1).all() for one in asked)
    off, on = asked[4].conditions, asked[5].conditions  # cat
    assert (off[:, 2] == -1).all() and (on[:, 2] == 1).all()
    np.testing.assert_array_equal(off[:, :2], on[:, :2])


def test_classes_are_no_leak_of_one_another() -> None:
    moved = np.asarray([[1.0, 0.1, 0.3], [0.2, 1.0, -1.0], [0.4, -1.0, 1.0]])
    none = np.zeros(3)
    strips = np.zeros((3, 2, 1, 3, 2, 2), np.uint8)
    group = (frozenset({"b", "c"}),)
    control = Control(("a", "b", "c"), "judge", 9, moved, moved, none, none, strips, group)
    np.testing.assert_allclose(control.leak, [0.2, 0.2, 0.4])
    assert [name for name, _ in control.largest_leaks(1)] == ["a"]
