from __future__ import annotations

import math

import pytest
import torch

from cfgan.training import losses


def test_r1_of_a_linear_critic_is_its_squared_norm() -> None:
    torch.manual_seed(0)
    w = torch.randn(3, 4, 4, dtype=torch.float64, requires_grad=True)
    penalty = losses.gradient_penalty(lambda x: (x * w).sum((1, 2, 3)), torch.randn(5, 3, 4, 4, dtype=torch.float64))
    torch.testing.assert_close(penalty, w.detach().square().sum())
    penalty.backward()
    torch.testing.assert_close(w.grad, 2 * w.detach())  # it can be trained on


def test_r1_of_a_quadratic_critic() -> None:
    x = torch.randn(6, 1, 2, 2, dtype=torch.float64)
    penalty = losses.gradient_penalty(lambda y: 0.5 * y.square().sum((1, 2, 3)), x)
    torch.testing.assert_close(penalty, x.square().sum((1, 2, 3)).mean())


def test_the_finite_difference_penalty_meets_the_exact_one_in_expectation() -> None:
    torch.manual_seed(0)
    w = torch.randn(1, 6, 6, dtype=torch.float64)

    def critic(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh((x * w).sum((1, 2, 3)))

    x = torch.randn(4, 1, 6, 6, dtype=torch.float64) * 0.1
    exact = losses.gradient_penalty(critic, x)
    rng = torch.Generator().manual_seed(1)
    finite = torch.stack([losses.finite_gradient_penalty(critic, x, rng, 1e-3) for _ in range(4000)]).mean()
    assert finite.item() == pytest.approx(exact.item(), rel=0.06)


def test_relativistic_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])
    d = (math.log1p(math.exp(-2)) + math.log1p(math.exp(1))) / 2
    g = (math.log1p(math.exp(2)) + math.log1p(math.exp(-1))) / 2
    assert losses.relativistic_discriminator(real, fake).item() == pytest.approx(d)
    assert losses.relativistic_generator(real, fake).item() == pytest.approx(g)
    shifted = losses.relativistic_discriminator(real + 5, fake + 5).item()
    assert shifted == pytest.approx(d)  # only differences count


def test_hinge_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])
    assert losses.hinge_discriminator(real, fake).item() == pytest.approx(0.25 + 1.0)
    assert losses.hinge_generator(fake).item() == pytest.approx(1.0)


def test_attribute_loss_masks_the_unknown() -> None:
    logits = torch.tensor([[0.0, 3.0], [0.0, -1.0]], requires_grad=True)
    labels = torch.tensor([[1.0, math.nan], [-1.0, math.nan]])
    loss = losses.attribute_loss(logits, labels)
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert logits.grad is not None and (logits.grad[:, 1] == 0).all() and (logits.grad[:, 0] != 0).all()
    nothing = losses.attribute_loss(torch.zeros(2, 2), torch.full((2, 2), math.nan))
    assert nothing.item() == 0


def test_graded_labels_pull_to_their_probability() -> None:
    logit = torch.tensor([[math.log(3.0)]], requires_grad=True)  # sigmoid 0.75, which label 0.5 stands for
    losses.attribute_loss(logit, torch.tensor([[0.5]])).backward()
    assert logit.grad is not None and abs(logit.grad.item()) < 1e-6
