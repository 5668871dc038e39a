"""Trained networks with more channels than they were trained with.

The wider networks say at first what the narrow ones said: the first channels keep their weights, and of the new ones,
which start at random, nothing goes to the old ones. They are there to be learned, as in Net2Net (Chen et al., ICLR
2016), which splits channels instead.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from cfgan.errors import ConfigError
from cfgan.model.bundle import Bundle
from cfgan.networks.dcgan import Discriminator, Generator
from cfgan.networks.loading import same_each_time
from cfgan.networks.shape import GanShape

_INPUTS_FIRST = re.compile(r"\.up\.weight$")
"""Weights of transposed convolutions, which hold their inputs before their outputs."""
_PAIRS = re.compile(r"(^|\.)modulation\.(weight|bias)$")
"""Rows of which the first half are scales and the second half shifts."""


def require_widening(bundle: Bundle, key: str, known: int, asked: int) -> None:
    """Raise ConfigError unless a bundle's networks can have more channels: ``asked`` of a setting, ``width`` or
    ``least_channels``, instead of ``known``."""
    if bundle.shape.family != "dcgan":
        why = f"the {bundle.shape.family} family cannot be widened"
    elif bundle.shape.spectral_norm:
        why = "under a spectral norm its discriminator cannot be widened"
    else:
        return
    raise ConfigError(f"{why}; say --set {key}={known}.", field=key, value=asked)


def widening_sentence(bundle: Bundle, shape: GanShape) -> str:
    """What a wider run starts with, for a person to read; empty at the bundle's own width."""
    side = max(bundle.size, shape.size)
    before, now = bundle.shape.width * bundle.size, shape.width * shape.size
    known = replace(bundle.shape, size=side, width=before // side)
    finest = known.channels[-1], shape.channels[-1]
    if now > before:
        channels = f"{before // side} to {now // side} channels at half the final side"
    elif finest[1] > finest[0]:
        channels = f"{finest[0]} to {finest[1]} channels at the final side"
    else:
        return ""
    return f"It is widened from {channels}: what is new starts at random and counts for nothing yet."


def heads_sentence(bundle: Bundle, features: str | None, side: int) -> str:
    """Why a bundle's heads over frozen features do not go on in a run; empty where they do, or there are none."""
    heads = bundle.config.get("heads")
    if features is None or heads is None or heads["features"] != features or heads["side"] == side:
        return ""
    return f"Its heads look at pictures of {heads['side']} pixels, the run's at {side}: they start anew."


def widened_generator(old: Generator, width: int, least: int = 0) -> Generator:
    """A generator of another width and least number of channels, both at least as large, that makes the same pictures;
    in evaluation mode."""
    return cast(Generator, _widened(old, width, least)).eval()


def widened_discriminator(old: Discriminator, width: int, least: int = 0) -> Discriminator:
    """A discriminator of another width, at least as large, that says the same."""
    return cast(Discriminator, _widened(old, width, least))


@torch.no_grad()
def _widened(old: Generator | Discriminator, width: int, least: int) -> nn.Module:
    new = same_each_time(lambda: type(old)(replace(old.shape, width=width, least_channels=least)))
    state = new.state_dict()
    for name, value in old.state_dict().items():
        if _PAIRS.search(name):
            for mine, theirs in zip(state[name].chunk(2), value.chunk(2), strict=True):
                mine[: len(theirs)] = theirs
        elif value.ndim == 0:
            state[name].copy_(value)
        elif value.ndim == 1:
            state[name][: len(value)] = value
        else:
            _place(state[name], value, 0 if _INPUTS_FIRST.search(name) else 1)
    new.load_state_dict(state)
    return new


def _place(weight: Tensor, value: Tensor, inputs: int) -> None:
    """Put weights where the first inputs and outputs are; the other inputs do nothing to those outputs."""
    weight, value = weight.transpose(0, 1 - inputs), value.transpose(0, 1 - inputs)  # outputs first
    outputs, known = value.shape[:2]
    weight[:outputs] = 0
    weight[:outputs, :known] = value
