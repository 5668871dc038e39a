"""Fine-tuning the shipped bundle to other attributes starts from its faces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.generate.sampling import latents
from cfgan.model.bundle import open_bundle
from cfgan.training.config import GanConfig, make_config
from cfgan.training.growth import grown_generator
from cfgan.training.networks import gan_shape, make_networks
from cfgan.training.transfer import start_from

pytestmark = pytest.mark.real

KEPT = ("Male", "Smiling")
COUNT = 64


def levels(images: torch.Tensor) -> np.ndarray:
    return ((images + 1) * 127.5).round().clamp(0, 255).byte().numpy()


@torch.no_grad()
def test_with_two_of_forty_attributes_kept_every_latent_is_still_a_face() -> None:
    """Before, the other 38 were set to 0, which no generator has seen: hardly one image in thirty showed a face."""
    pytest.importorskip("dlib")
    from cfgan.external.detector import FaceDetector

    bundle = open_bundle("celeba64")
    config = make_config(GanConfig, {"width": bundle.shape.width, "refine": list(bundle.shape.refine), "device": "cpu"})
    networks = make_networks(config, gan_shape(config, 2, bundle.size), torch.device("cpu"))
    start_from(networks, Vocabulary(KEPT), bundle)

    z = torch.from_numpy(latents(0, range(COUNT), bundle.shape.z_dim))
    asked = torch.from_numpy(bundle.prior().sample({}, 0, range(COUNT)))[:, [bundle.vocabulary.index(n) for n in KEPT]]
    zeros = torch.zeros(COUNT, len(bundle.vocabulary))
    zeros[:, [bundle.vocabulary.index(name) for name in KEPT]] = asked
    detector = FaceDetector()
    assert detector.count(levels(bundle.generator()(z, zeros))) <= 32
    assert detector.count(levels(networks.average.module.eval()(z, asked))) >= 62


@torch.no_grad()
def test_at_twice_the_size_it_starts_from_the_same_faces() -> None:
    bundle = open_bundle("celeba64")
    old = bundle.generator()
    new = grown_generator(old, bundle.prior())  # type: ignore[arg-type]
    z = torch.from_numpy(latents(0, range(16), bundle.shape.z_dim, 0.8))
    asked = torch.from_numpy(bundle.prior().sample({}, 0, range(16)))
    before, after = old(z, asked), new(z, asked)
    small = torch.nn.functional.avg_pool2d(after, 2)
    assert after.shape[2:] == (128, 128) and float((small - before).abs().mean()) * 127.5 < 1  # grey level
    large = torch.nn.functional.interpolate(before, scale_factor=2, mode="bicubic")
    assert float((after - large).abs().mean()) * 127.5 < 8
