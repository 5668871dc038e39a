"""What a bundle's ``config.json`` must say before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgan.attributes.latents import LatentRule
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.io.files import is_safe_name
from cfgan.model.calibration import Calibration
from cfgan.model.classifiers import calibrations_of
from cfgan.networks.shape import GanShape

GATES = ("value", "request")
"""What a draw must be as sure as: real faces that carry each value, or the request as a whole."""

_NETWORKS = {"judge", "guide", "heads", "encoder"}  # beside generator and verifier, which every bundle has
_LONGEST = 16  # entries of a list in a network's shape: stages, sides, maps
_SMALLEST = 8  # pixels that a classifier reads
_LARGEST = 4096  # channels, sides in pixels and lengths in a network's shape


def checked_config(config: Mapping[str, Any]) -> tuple[Vocabulary, dict[str, Calibration]]:
    """Check everything that later code takes for granted. Raises ValueError, KeyError, TypeError or VocabularyError."""
    vocabulary = Vocabulary.from_dict(config["vocabulary"])
    calibrations = calibrations_of(config, vocabulary)
    generator, verifier = config["generator"], config["verifier"]["shape"]
    for shape in (generator, verifier, *(config[role].get("shape", config[role]) for role in _NETWORKS & {*config})):
        _check_shape(shape)
    GanShape(**generator)
    LatentRule.from_dict(config.get("latents", {}))
    if config.get("gate", "value") not in GATES:
        raise ValueError(f"gate is {config['gate']!r}, neither {' nor '.join(GATES)}")
    if not isinstance(config["name"], str) or not is_safe_name(config["name"]):
        raise ValueError("the name is not a plain name")
    if generator["attributes"] != len(vocabulary) or verifier["attributes"] != len(vocabulary):
        raise ValueError("networks and vocabulary differ in length")
    if not all(generator[key] for key in ("size", "z_dim", "width")):
        raise ValueError("size, z_dim or width of the generator is missing")
    if "encoder" in config:
        check_encoder(config["encoder"]["shape"], GanShape(**generator))
    for role in ("verifier", "judge", "guide"):
        reads = config.get(role, {}).get("shape", {}).get("reads") or generator["size"]
        if not isinstance(reads, int) or reads < _SMALLEST or generator["size"] % reads:
            raise ValueError(f"the {role} reads images of {reads} pixels, the generator makes {generator['size']}")
    return vocabulary, calibrations


def _check_shape(shape: Mapping[str, Any]) -> None:
    """Refuse numbers in a network's shape that no network of ours has. Raises ValueError."""
    for key, value in shape.items():
        values = value if isinstance(value, list) else [value]
        if len(values) > _LONGEST:
            raise ValueError(f"{key} has {len(values)} entries")
        for each in values:
            if isinstance(each, float) and key != "dropout":
                raise ValueError(f"{key} is not a whole number")
            if isinstance(each, int | float) and not 0 <= each <= _LARGEST:
                raise ValueError(f"{key} is out of range")


def check_encoder(shape: Mapping[str, Any], generator: GanShape) -> None:
    """Refuse an encoder that reads other images than the generator makes, or guesses for another one.

    Raises ValueError, KeyError or TypeError.
    """
    _check_shape(shape)
    for key, value in generator.codes.items():
        if shape[key] != value:
            raise ValueError(f"the encoder's {key} is {shape[key]}, the generator's {value}")
    if 4 * 2 ** len(shape["widths"]) != generator.size:
        raise ValueError(f"{len(shape['widths'])} stages of the encoder do not take {generator.size} pixels to 4")
