"""Starting a run from a bundle's generator and discriminator instead of from noise.

Everything that does not depend on the vocabulary is copied. What belongs to one attribute (a column where a condition
enters, a row where the attribute head leaves) is copied by the attribute's name. Attributes that the bundle does not
know start at zero, so that they have no effect until they are learned. Attributes that the run does not know count from
then on as they are on average in the bundle's training labels, which the bias of the layer takes over: left out, they
would be conditions of 0, which no generator has ever seen.

A run on images of twice the side starts from networks that were given a block more (:mod:`cfgan.training.growth`), a
wider one from networks that were given more channels (:mod:`cfgan.training.widening`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import ConfigError
from cfgan.model.bundle import Bundle
from cfgan.networks.dcgan import Discriminator, Generator
from cfgan.networks.shape import GanShape
from cfgan.training.growth import grown_discriminator, grown_generator, grown_shape, require_growth
from cfgan.training.networks import TrainingNetworks
from cfgan.training.widening import require_widening, widened_discriminator, widened_generator

_COLUMNS = re.compile(r"(^|\.)(input|style|projection(\.\d+)?)\.(weight|parametrizations\.weight\.original)$")
"""Weights whose last columns belong to the attributes, one each, where the condition enters there at all."""
_ROWS = ("attributes.weight", "attributes.bias")
"""Weights whose rows belong to the attributes, one each."""
_NORMED_PROJECTION = re.compile(r"(^|\.)projection(\.\d+)?\.parametrizations\.")
_ABSORBS = {"input.weight": "input.bias", "style.weight": "style.bias", "projection.weight": "unconditional.weight"}
"""Weights with columns -> what takes over those of dropped attributes. (projection(c) * h).sum() is linear in h as the
unconditional logit is. Under a spectral norm it has no such place: what is added there changes the norm."""

_SHOWN = 5  # names in a sentence


@dataclass(frozen=True)
class Fit:
    """How the vocabulary of a run fits that of the bundle that it starts from.

    Args:
        kept: names that both know.
        dropped: names that only the bundle knows.
        new: names that only the run knows.
    """

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def sentence(self) -> str:
        parts = [f"knows {_named(self.kept)} already"]
        if self.new:
            parts.append(f"starts without any effect of {_named(self.new)}")
        if self.dropped:
            parts.append(f"holds {_named(self.dropped)} at the average of its training images")
        return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]

    @classmethod
    def of(cls, mine: Vocabulary, theirs: Vocabulary) -> Fit:
        return cls(
            tuple(name for name in mine.names if name in theirs.names),
            tuple(name for name in theirs.names if name not in mine.names),
            tuple(name for name in mine.names if name not in theirs.names),
        )


def shape_settings(bundle: Bundle, size: int) -> dict[str, Any]:
    """The settings of a run on images of ``size`` pixels whose networks start from a bundle's.

    Raises:
        ConfigError: they cannot, at that size.
    """
    return {
        key: value for key, value in _start_shape(bundle, size).to_dict().items() if key not in ("attributes", "size")
    }


def require_same_networks(shape: GanShape, bundle: Bundle) -> None:
    """Raise ConfigError, with what to do, if the networks of a run cannot start from those of a bundle.

    Only the vocabulary may differ, the run may have more refinements and channels, and its images twice the side.
    """
    for key, value in asdict(_start_shape(bundle, shape.size)).items():
        mine = getattr(shape, key)
        if key == "attributes" or mine == value or (key == "refine" and set(mine) >= set(value)):
            continue  # further refinements start as the identity
        if key in ("width", "least_channels") and mine > value:
            require_widening(bundle, key, value, mine)
            continue
        shown = json.dumps(list(value) if isinstance(value, tuple) else value)
        grown = "" if shape.size == bundle.size else f"for images of {shape.size} pixels "
        raise ConfigError(
            f"{grown}{bundle.name} has {key} = {shown}, this run {mine!r}; say --set '{key}={shown}'.",
            field=key,
            value=mine,
        )


def _start_shape(bundle: Bundle, size: int) -> GanShape:
    """The shape of networks that start from a bundle's and make images of ``size`` pixels. Raises ConfigError."""
    require_growth(bundle, size)
    return bundle.shape if size == bundle.size else grown_shape(bundle.shape)


def require_other_guide(guides: Sequence[str], bundle: Bundle) -> None:
    """Raise ConfigError if one of these classifiers, by sha256, is the bundle's verifier or judge.

    A generator that was trained against them makes what they take for the attribute: they could prove nothing of it.
    """
    for role in bundle.classifiers:
        if bundle.sums.get(f"{role}.safetensors") in guides:
            raise ConfigError(
                f"is the {role} of {bundle.name}; a generator that it has guided cannot be checked by it. "
                "Train another classifier with another seed (`cfgan train verifier --config guide64`).",
                field="guide",
            )


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
    shape: GanShape = networks.generator.shape  # type: ignore[assignment]
    require_same_networks(shape, bundle)
    known = {name: j for j, name in enumerate(bundle.vocabulary.names)}
    pairs = [(i, known[name]) for i, name in enumerate(vocabulary.names) if name in known]
    left = torch.from_numpy(mean_condition(bundle.prior()))
    left[[j for _, j in pairs]] = 0
    generator, discriminator = bundle.generator(), bundle.discriminator()
    if shape.size != bundle.size:
        generator = grown_generator(cast(Generator, generator), bundle.prior())
        discriminator = grown_discriminator(cast(Discriminator, discriminator))
    if shape.channels != cast(Generator, generator).shape.channels:
        generator = widened_generator(cast(Generator, generator), shape.width, shape.least_channels)
        discriminator = widened_discriminator(cast(Discriminator, discriminator), shape.width, shape.least_channels)
    _transplant(networks.generator, generator, len(vocabulary), left, pairs)
    _transplant(networks.discriminator, discriminator, len(vocabulary), left, pairs)
    for average in networks.averages:
        average.module.load_state_dict(networks.generator.state_dict())
    if networks.heads is not None and (heads := bundle.heads()) is not None:
        mine, theirs = networks.heads.shape, heads.shape
        same_maps = shape.size == bundle.size or mine.side > 0  # else they see features of pictures of another size
        if same_maps and (mine.features, mine.side, mine.channels) == (theirs.features, theirs.side, theirs.channels):
            _transplant(networks.heads, heads, len(vocabulary), left, pairs)
            networks.heads_are_new = False
    training = bundle.config.get("training", {})
    networks.guides += [guide for guide in training.get("guides", []) if guide not in networks.guides]
    networks.feature_networks = list(dict.fromkeys([*training.get("features", []), *networks.feature_networks]))
    networks.start = {"name": bundle.name, "digest": bundle.digest, "images": int(training.get("images", 0))}
    if shape.size != bundle.size:
        networks.start["size"] = bundle.size
    if len(pairs) < len(vocabulary):
        networks.start["new_attributes"] = [name for name in vocabulary.names if name not in known]
    return [vocabulary.names[i] for i, _ in pairs]


def _named(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_SHOWN]) or "none of the attributes"
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def mean_condition(prior: Prior) -> npt.NDArray[np.float32]:
    """float32 (A,), -1..1: each attribute as it is on average in the training labels; 0 where no label is known."""
    known = np.diag(prior.known) > 0
    return np.where(known, 2 * prior.marginals - 1, 0).astype(np.float32)


@torch.no_grad()
def _transplant(target: nn.Module, source: nn.Module, mine: int, left: Tensor, pairs: list[tuple[int, int]]) -> None:
    """Copy what fits. ``left`` (A of the source) is the constant condition that dropped attributes stand for, 0 at
    those that are kept."""
    state = target.state_dict()
    theirs = len(left)
    latents = getattr(source.shape, "z_dim", 0)
    absorbed: dict[str, Tensor] = {}
    for name, value in source.state_dict().items():
        if not pairs and _NORMED_PROJECTION.search(name):
            continue  # of zeros alone there is no spectral norm to divide by: it starts fresh
        value = value.to(state[name].device)
        kept = latents if name.startswith(("input.", "style.")) else 0  # columns of the latent
        if _COLUMNS.search(name) and value.shape[1] == kept + theirs:  # else the condition does not enter here
            if name in _ABSORBS:
                absorbed[_ABSORBS[name]] = value[:, kept:] @ left.to(value)
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
    for name, constant in absorbed.items():
        if name in state and bool(constant.any()):
            state[name] = state[name] + constant.view_as(state[name])
    target.load_state_dict(state)
