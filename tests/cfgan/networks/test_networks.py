from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from cfgan.networks.classifier import AttributeClassifier, ClassifierShape
from cfgan.networks.dcgan import Discriminator, ResizeConv, ShuffleConv
from cfgan.networks.families import make_discriminator, make_generator
from cfgan.networks.residual import Block, Down, ResidualGenerator
from cfgan.networks.shape import FAMILY_NAMES, GanShape


def test_resize_convolution_equals_resize_then_convolve() -> None:
    torch.manual_seed(0)
    layer = ResizeConv(5, 7)
    layer.bias.data.normal_()
    x = torch.randn(2, 5, 6, 9)
    plain = F.conv2d(
        F.interpolate(x, scale_factor=2, mode="nearest"), layer.weight.transpose(0, 1), layer.bias, padding=1
    )
    torch.testing.assert_close(layer(x), plain, atol=1e-5, rtol=1e-5)
    for as_product in (False, True):
        layer.keep_kernel(as_product=as_product)
        torch.testing.assert_close(layer(x), plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize(
    ("family", "upsample"), [("dcgan", "resize"), ("dcgan", "transposed"), ("dcgan", "shuffle"), ("residual", "resize")]
)
def test_shapes_and_ranges(size: int, family: str, upsample: str) -> None:
    shape = GanShape(attributes=3, size=size, width=8, z_dim=5, embed=6, upsample=upsample, family=family)
    images = make_generator(shape)(torch.randn(2, 5), torch.ones(2, 3))
    assert images.shape == (2, 3, size, size) and images.abs().max() <= 1
    judged = make_discriminator(shape)(images, torch.ones(2, 3))
    assert judged.logit.shape == (2,) and judged.attributes.shape == (2, 3)


@pytest.mark.parametrize("conditioning", ["both", "concat", "modulate"])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_attribute_reaches_the_image(conditioning: str, family: str) -> None:
    torch.manual_seed(0)
    shape = GanShape(attributes=4, size=16, width=8, z_dim=5, embed=6, conditioning=conditioning, family=family)
    generator = make_generator(shape).eval()
    if isinstance(generator, ResidualGenerator):
        for block in generator.blocks:  # branches start at zero: let them take part
            torch.nn.init.normal_(block.conv2.weight, std=0.1)
    condition = torch.zeros(1, 4, requires_grad=True)
    generator(torch.randn(1, 5), condition).square().sum().backward()
    assert condition.grad is not None and (condition.grad.abs() > 0).all()


def test_a_fresh_residual_block_is_its_skip_path() -> None:
    block = Block(8, 6)
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(block(x, torch.randn(2, 6)), x)


def test_filtered_resampling_keeps_a_flat_image_flat_and_removes_a_checkerboard() -> None:
    down = Down(1, 1)
    torch.nn.init.ones_(down.conv.weight)
    flat = down(torch.ones(1, 1, 16, 16))[:, :, 1:-1, 1:-1]  # the border sees the zeros outside
    torch.testing.assert_close(flat, torch.ones_like(flat))
    board = (torch.arange(16)[:, None] + torch.arange(16)[None]).remainder(2).mul(2.0).sub(1)[None, None]
    assert down(board)[:, :, 1:-1, 1:-1].abs().max() < 1e-6


def test_pixel_shuffle_starts_without_a_checkerboard() -> None:
    layer = ShuffleConv(3, 5)
    torch.nn.init.zeros_(layer.conv.bias)
    y = layer(torch.randn(2, 3, 8, 8))
    assert y.shape == (2, 5, 16, 16)
    torch.testing.assert_close(y[:, :, ::2, ::2], y[:, :, 1::2, 1::2])


def test_unknown_families_and_kinds_are_named() -> None:
    with pytest.raises(ValueError, match=f"family must be one of {', '.join(FAMILY_NAMES)}, not 'vae'"):
        GanShape(attributes=1, family="vae")
    with pytest.raises(ValueError, match="upsample"):
        GanShape(attributes=1, upsample="cubic")


def test_a_zero_projection_does_not_blind_the_discriminator() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(GanShape(attributes=4, size=16, width=8, embed=6))
    torch.nn.init.zeros_(discriminator.projection.weight)
    logit = discriminator(torch.randn(8, 3, 16, 16), torch.ones(8, 4)).logit
    assert logit.std() > 0


def test_spectral_norm_bounds_the_weights() -> None:
    discriminator = Discriminator(GanShape(attributes=4, size=16, width=8, embed=6, spectral_norm=True))
    for _ in range(60):
        discriminator(torch.randn(2, 3, 16, 16), torch.ones(2, 4))
    assert torch.linalg.matrix_norm(discriminator.features.weight, 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("size", [8, 48, 63])
def test_impossible_sizes(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        GanShape(attributes=1, size=size)


def test_classifier_reads_any_size_and_its_shape_round_trips() -> None:
    shape = ClassifierShape(5, (4, 8, 16), 0.1)
    assert ClassifierShape.from_dict(shape.to_dict()) == shape
    classifier = AttributeClassifier(shape).eval()
    for size in (16, 32, 64):
        assert classifier(torch.zeros(2, 3, size, size)).shape == (2, 5)
