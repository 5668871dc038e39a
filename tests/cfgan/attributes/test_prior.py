from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import CELEBA, Vocabulary
from cfgan.data.table import read_labels
from cfgan.errors import DataError, RequestError
from cfgan.training.prior import fit_prior, load_prior, save_prior


def test_it_meets_the_labels_conditional_marginals(prior: Prior, labels: np.ndarray, vocabulary: Vocabulary) -> None:
    for request in ({}, {"Red": 1.0}, {"Cat": 1.0}, {"Striped": 1.0, "Red": -1.0}):
        keep = np.ones(len(labels), bool)
        for name, value in request.items():
            keep &= labels[:, vocabulary.index(name)] == value
        found = prior.conditional_marginals(request, chains=2000)
        assert np.abs(found - (labels[keep] > 0).mean(0)).max() < 0.05, request


def test_gibbs_agrees_with_exact_enumeration(prior: Prior) -> None:
    states = np.asarray(list(itertools.product((-1.0, 1.0), repeat=6)))
    energy = states @ prior.bias / 2 + np.einsum("ni,ij,nj->n", states, prior.weights, states) / 4
    weight = np.exp(energy - energy.max())
    exact = (weight / weight.sum()) @ (states > 0)
    assert np.abs(prior.conditional_marginals({}, chains=4000) - exact).max() < 0.03


def test_a_draw_does_not_depend_on_its_company(prior: Prior) -> None:
    together = prior.sample({"Red": 1.0}, seed=3, draws=range(40))
    alone = np.concatenate([prior.sample({"Red": 1.0}, seed=3, draws=[i]) for i in (0, 17, 39)])
    np.testing.assert_array_equal(together[[0, 17, 39]], alone)
    assert not np.array_equal(together, prior.sample({"Red": 1.0}, seed=4, draws=range(40)))
    assert len(np.unique(together, axis=0)) > 5


def test_requested_values_are_clamped_graded_ones_too(prior: Prior, vocabulary: Vocabulary) -> None:
    drawn = prior.sample({"Dog": 1.0, "Red": 0.25}, seed=0, draws=range(16))
    assert (drawn[:, vocabulary.index("Dog")] == 1).all() and (drawn[:, vocabulary.index("Red")] == 0.25).all()
    assert set(np.unique(np.delete(drawn, [0, 5], axis=1))) <= {-1.0, 1.0}


def test_impossible_is_an_error_and_implausible_a_warning(prior: Prior, labels: np.ndarray) -> None:
    with pytest.raises(RequestError, match="Cat and Dog exclude"):
        prior.check({"Cat": 1.0, "Dog": 1.0})
    with pytest.raises(RequestError, match=r"none of the 4,000 training labels has both, where chance would give \d+"):
        prior.check({"Striped": 1.0, "Very_Big": 1.0})
    assert prior.check({"Red": 1.0, "Round": 1.0}) == []
    rare = labels.copy()
    rare[:, 0] = -1
    rare[:2, 0] = 1
    warned = fit_prior(prior.vocabulary, rare, iterations=50).check({"Red": 1.0})
    assert len(warned) == 1 and "about 2 of the 4,000" in warned[0]


def test_pair_shares_are_counts(prior: Prior, labels: np.ndarray) -> None:
    expected = ((labels[:, 0] > 0) & (labels[:, 1] < 0)).mean()
    assert prior.pair_share(("Red", True), ("Round", False)) == pytest.approx(expected)
    assert prior.share({"Red": 1.0, "Round": -1.0}) == pytest.approx(expected)
    three = ((labels[:, 0] > 0) & (labels[:, 1] > 0) & (labels[:, 4] > 0)).mean()
    assert prior.share({"Red": 1.0, "Round": 1.0, "Cat": 1.0}) == pytest.approx(three, abs=0.03)


def test_it_holds_no_rows_and_survives_the_disk(prior: Prior, tmp_path: Path) -> None:
    assert sum(array.size for array in prior.to_arrays().values()) == 6 + 3 * 36 + 1
    save_prior(prior, tmp_path / "p.safetensors")
    again = load_prior(tmp_path / "p.safetensors")
    assert again.vocabulary == prior.vocabulary
    np.testing.assert_array_equal(again.weights, prior.weights)
    (tmp_path / "p.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="no prior"):
        load_prior(tmp_path / "p.safetensors")


def test_label_tables_are_checked(tmp_path: Path) -> None:
    good = tmp_path / "l.csv"
    good.write_text("id,A,B\n1,1,0\n2,-1,\n")
    with pytest.raises(DataError, match="0 or -1, not both"):
        read_labels(good)  # 0 may stand for unknown
    good.write_text("id,A,B\n1,1,0\n2,0,\n")
    table = read_labels(good)
    assert table.vocabulary.names == ("A", "B")
    np.testing.assert_array_equal(table.labels, [[1, -1], [-1, np.nan]])
    good.write_text("id,A,B\n1,7,0\n")
    with pytest.raises(DataError, match="row 1: A is 7"):
        read_labels(good)
    with pytest.raises(DataError):
        fit_prior(CELEBA, np.ones((3, 2)))


@pytest.mark.slow
@pytest.mark.celeba
def test_celeba_held_out_marginals_within_two_points(real_celeba: Path) -> None:
    """Requests of one to three attributes, fitted on the official train labels, met by the validation labels."""
    table = read_labels(real_celeba / "labels_train_val_full.csv.gz")
    vocabulary, values = table.vocabulary, table.labels
    train, held_out = values[:162770], values[162770:]
    prior = fit_prior(vocabulary, train)
    rng = np.random.default_rng(0)
    errors = []
    while len(errors) < 45:
        chosen = rng.choice(len(vocabulary), 1 + len(errors) // 15, replace=False)
        row = held_out[rng.integers(len(held_out))]
        meets = (held_out[:, chosen] == row[chosen]).all(1)
        if meets.sum() < 300:
            continue  # too few held-out rows to know what is right
        found = prior.conditional_marginals({vocabulary.names[i]: float(row[i]) for i in chosen}, chains=400)
        errors.append(np.delete(np.abs(found - (held_out[meets] > 0).mean(0)), chosen).mean())
    assert np.mean(errors) < 0.02


def test_unknown_labels_are_not_absent_ones(labels: np.ndarray, vocabulary: Vocabulary) -> None:
    partly = labels.copy()
    partly[:2000, 0] = np.nan
    partly[2000:, 1] = np.nan
    prior = fit_prior(vocabulary, partly, iterations=100)
    assert prior.marginals[0] == pytest.approx((labels[2000:, 0] > 0).mean())
    assert prior.check({"Red": 1.0, "Round": 1.0}) is not None  # never known together: not a contradiction
