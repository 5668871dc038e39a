from __future__ import annotations

import pytest
import torch

from cfgan.training.augment import TRANSFORMS, augment, augment_for_classifier, shift
from cfgan.training.sampling_rows import repeat_factors


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_each_is_differentiable_seeded_and_off_at_strength_zero(name: str) -> None:
    images = torch.rand(6, 3, 16, 16, requires_grad=True)
    once, twice = (augment(images, [name], 1.0, rng()) for _ in range(2))
    torch.testing.assert_close(once, twice)
    assert not torch.equal(once, images) and not torch.equal(once, augment(images, [name], 1.0, rng(1)))
    once.sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    torch.testing.assert_close(augment(images, [name], 0.0, rng()), images)


def test_shift_moves_whole_pixels_and_fills() -> None:
    images = torch.arange(64.0).view(1, 1, 8, 8) + 1
    moved = shift(images, rng(3), torch.ones(1, 1, 1, 1), 0.25)
    kept = moved[moved != 0]
    assert set(kept.tolist()) <= set(images.flatten().tolist()) and len(kept) < 64
    reflected = shift(images, rng(3), torch.ones(1, 1, 1, 1), 0.25, reflect=True)
    assert (reflected != 0).all()


def test_classifier_augmentation_lets_gradients_through() -> None:
    images = torch.rand(4, 3, 16, 16, requires_grad=True)
    augment_for_classifier(images, rng(), shift_pixels=2, brightness=0.2, cutout_share=0.2).sum().backward()
    assert images.grad is not None and (images.grad != 0).any()


def test_rare_values_are_drawn_more_often() -> None:
    labels = torch.full((1000, 2), -1.0)
    labels[:10, 0] = 1  # 1 %
    labels[:500, 1] = 1
    factors = repeat_factors(labels, 0.09)
    assert factors[0].item() == pytest.approx(3.0) and factors[10].item() == 1.0  # sqrt(0.09 / 0.01)
    assert (repeat_factors(labels, 0.0) == 1).all()
    labels[:, 0] = torch.nan
    assert torch.isfinite(repeat_factors(labels, 0.09)).all()


def test_a_classifier_of_digits_never_sees_them_mirrored() -> None:
    images = torch.rand(16, 3, 8, 8)
    plain = {"shift_pixels": 0, "brightness": 0.0, "cutout_share": 0.0}
    torch.testing.assert_close(augment_for_classifier(images, rng(), mirror=False, **plain), images)  # type: ignore[arg-type]
    seen = augment_for_classifier(images, rng(), mirror=True, **plain)  # type: ignore[arg-type]
    assert not torch.equal(seen, images)
