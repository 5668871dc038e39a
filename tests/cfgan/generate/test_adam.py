"""The search's own Adam, held against torch's, and what neither it nor a loaded network may bring along."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from cfgan.generate.projection.adam import Adam


@pytest.mark.slow
def test_it_takes_the_steps_of_torch() -> None:
    torch.manual_seed(0)
    first, target = [torch.randn(3, 5), torch.randn(4)], [torch.randn(3, 5), torch.randn(4)]
    mine, theirs = ([each.clone().requires_grad_() for each in first] for _ in range(2))
    own, reference = Adam(mine), torch.optim.Adam(theirs, betas=(0.9, 0.95))

    def loss(parameters: list[torch.Tensor]) -> torch.Tensor:
        return sum(((a - b) ** 4).sum() for a, b in zip(parameters, target, strict=True))  # type: ignore[return-value]

    for rate in (0.01, 0.1, 0.2, 0.05, 0.0):
        reference.param_groups[0]["lr"] = rate
        reference.zero_grad()
        loss(theirs).backward()
        reference.step()
        own.step(loss(mine), rate)
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


_SEARCH = """
import sys
import numpy as np
from cfgan.generate.projection.projector import Projector
from cfgan.model.bundle import open_bundle

for bundle in (open_bundle("celeba64"), open_bundle("digits32")):
    for load in (bundle.generator, bundle.discriminator, bundle.verifier, bundle.judge, bundle.guide, bundle.encoder):
        load()
projector = Projector(bundle)
faces = np.zeros((1, 3, bundle.size, bundle.size), np.uint8)
projector.render(projector.project(faces, np.zeros((1, len(bundle.vocabulary)), np.float32), steps=2))
print(sorted(name for name in ("torch._dynamo", "torch._inductor", "sympy", "torchvision") if name in sys.modules))
"""


@pytest.mark.real
def test_a_search_loads_no_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", _SEARCH], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout
