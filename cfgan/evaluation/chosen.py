"""The extractors that a person names for a bundle, and those that its realism is measured over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cfgan.errors import InputError, unknown
from cfgan.evaluation.extractors import ClassifierExtractor, EfficientNetExtractor, Extractor, open_extractor
from cfgan.evaluation.outside import outside_extractors
from cfgan.model.bundle import Bundle

if TYPE_CHECKING:
    import torch

CHOICES = ("judge", "efficientnet-lite0", "verifier", "inception")


def extractors_for(
    bundle: Bundle, names: Sequence[str], device: torch.device, inception_weights: Path | None = None
) -> list[Extractor]:
    """Extractors by name, each once; "judge" and "verifier" are the bundle's own.

    Raises:
        InputError: an unknown name, a judge that the bundle does not have, or a file that is missing or wrong.
        ConfigError: an extra is missing.
    """
    found: list[Extractor] = []
    for name in dict.fromkeys(names):
        if name not in CHOICES:
            raise unknown("extractor", name, CHOICES, field="--extractor")
        if name == "judge":
            judge = bundle.judge()
            if judge is None:
                raise InputError(f"{bundle.name} has no judge.", field="--extractor", value=name)
            found.append(ClassifierExtractor(judge, name, size=bundle.size, device=device))
        elif name == "verifier":
            found.append(ClassifierExtractor(bundle.verifier(), name, size=bundle.size, device=device))
        else:
            found.append(open_extractor(name, device=device, inception_weights=inception_weights))
    return found


def realism_extractors(nsfwjs: Path | None, device: torch.device) -> list[Extractor]:
    """The networks of an unpacked nsfwjs; without it EfficientNet-Lite0, which may have had a part in the training.

    Raises:
        InputError: the folder is not that package.
        ConfigError: without it, the extra cfgan[evaluate] is missing.
    """
    return [EfficientNetExtractor(device)] if nsfwjs is None else outside_extractors(nsfwjs, device)
