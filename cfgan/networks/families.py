"""The generator families behind one interface: a shape names its family, and these make its networks.

Every generator takes latents (N, Z) and conditions (N, A); every discriminator takes images and conditions and gives a
:class:`~cfgan.networks.shape.Judgement`.
"""

from __future__ import annotations

from torch import nn

from cfgan.networks.dcgan import Discriminator, Generator
from cfgan.networks.residual import ResidualDiscriminator, ResidualGenerator
from cfgan.networks.shape import GanShape

FAMILIES: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "dcgan": (Generator, Discriminator),
    "residual": (ResidualGenerator, ResidualDiscriminator),
}


def make_generator(shape: GanShape) -> nn.Module:
    """A freshly initialised generator. Raises KeyError for an unknown family."""
    return FAMILIES[shape.family][0](shape)


def make_discriminator(shape: GanShape) -> nn.Module:
    """A freshly initialised discriminator. Raises KeyError for an unknown family."""
    return FAMILIES[shape.family][1](shape)
