"""Starting a run from a bundle's generator and discriminator instead of from noise.

Everything that does not depend on the vocabulary is copied. What belongs to one attribute (a column where a condition
enters, a row where the attribute head leaves) is copied by the attribute's name; attributes that the bundle does not
know start at zero, so that they have no effect until they are learned.
"""

from __future__ import annotations

import re
from dataclasses import asdict

import torch
from torch import nn

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import ConfigError
from cfgan.model.bundle import Bundle
from cfgan.training.networks import TrainingNetworks

_COLUMNS = re.compile(r"(^|\.)(input|style|projection(\.\d+)?)\.(weight|parametrizations\.weight\.original)$")
"""Weights whose last columns belong to the attributes, one each, where the condition enters there at all."""
_ROWS = ("attributes.weight", "attributes.bias")
"""Weights whose rows belong to the attributes, one each."""


def start_from(networks: TrainingNetworks, vocabulary: Vocabulary, bundle: Bundle) -> list[str]:
    """Load a bundle's networks into freshly made ones.

    Args:
        networks: networks as made for this run; the weight average starts from the bundle's generator too.
        vocabulary: of this run.
        bundle: to start from.

    Returns:
        The names that both vocabularies know.

    Raises:
        ConfigError: the bundle's networks have another shape; names the first setting that differs.
        BundleError: the bundle is damaged.
    """
    shape = networks.generator.shape
    for key, value in asdict(bundle.shape).items():
        mine = getattr(shape, key)
        if key == "refine" and set(mine) >= set(value):
            continue  # further refinements start as the identity
        if key != "attributes" and mine != value:
            hint = f"pack the images at {value} pixels" if key == "size" else f"say --set {key}={value}"
            raise ConfigError(f"{bundle.name} has {key} = {value!r}, this run {mine!r}; {hint}.", field=key, value=mine)
    known = {name: j for j, name in enumerate(bundle.vocabulary.names)}
    pairs = [(i, known[name]) for i, name in enumerate(vocabulary.names) if name in known]
    _transplant(networks.generator, bundle.generator(), len(vocabulary), len(known), pairs)
    _transplant(networks.discriminator, bundle.discriminator(), len(vocabulary), len(known), pairs)
    for average in networks.averages:
        average.module.load_state_dict(networks.generator.state_dict())
    if networks.heads is not None and (heads := bundle.heads()) is not None:
        mine, theirs = networks.heads.shape, heads.shape
        if (mine.features, mine.side, mine.channels) == (theirs.features, theirs.side, theirs.channels):
            _transplant(networks.heads, heads, len(vocabulary), len(known), pairs)
            networks.heads_are_new = False
    training = bundle.config.get("training", {})
    networks.guides += [guide for guide in training.get("guides", []) if guide not in networks.guides]
    networks.feature_networks = list(dict.fromkeys([*training.get("features", []), *networks.feature_networks]))
    networks.start = {"name": bundle.name, "digest": bundle.digest, "images": int(training.get("images", 0))}
    return [vocabulary.names[i] for i, _ in pairs]


@torch.no_grad()
def _transplant(target: nn.Module, source: nn.Module, mine: int, theirs: int, pairs: list[tuple[int, int]]) -> None:
    state = target.state_dict()
    for name, value in source.state_dict().items():
        value = value.to(state[name].device)
        if _COLUMNS.search(name) and state[name].shape[1] - mine == value.shape[1] - theirs >= 0:
            kept = value.shape[1] - theirs  # columns of the latent
            fresh = torch.cat([value[:, :kept], value.new_zeros(len(value), mine)], 1)
            for i, j in pairs:
                fresh[:, kept + i] = value[:, kept + j]
            value = fresh
        elif name in _ROWS:
            fresh = value.new_zeros(mine, *value.shape[1:])
            for i, j in pairs:
                fresh[i] = value[j]
            value = fresh
        elif value.shape != state[name].shape:
            continue  # a power-iteration vector of a spectral norm: it finds its way again
        state[name] = value
    target.load_state_dict(state)
