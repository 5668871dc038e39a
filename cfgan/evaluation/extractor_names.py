"""The extractors that a person can choose by name, and those that realism is measured over.

Each is imported when it is opened, so that help and error messages can list the names without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cfgan.errors import InputError, unknown

if TYPE_CHECKING:
    import torch

    from cfgan.evaluation.extractors import Extractor
    from cfgan.model.bundle import Bundle


@dataclass(frozen=True)
class Wanted:
    """What an extractor is opened for: the bundle under test, the device, and files that the user brought."""

    bundle: Bundle
    device: torch.device
    inception_weights: Path | None = None


def _judge(wanted: Wanted) -> Extractor:
    from cfgan.evaluation.extractors import ClassifierExtractor

    judge = wanted.bundle.judge()
    if judge is None:
        raise InputError(f"{wanted.bundle.name} has no judge.", field="--extractor", value="judge")
    return ClassifierExtractor(judge, "judge", size=wanted.bundle.size, device=wanted.device)


def _verifier(wanted: Wanted) -> Extractor:
    from cfgan.evaluation.extractors import ClassifierExtractor

    bundle = wanted.bundle
    return ClassifierExtractor(bundle.verifier(), "verifier", size=bundle.size, device=wanted.device)


def _efficientnet(wanted: Wanted) -> Extractor:
    from cfgan.evaluation.extractors import EfficientNetExtractor

    return EfficientNetExtractor(wanted.device)


def _inception(wanted: Wanted) -> Extractor:
    from cfgan.evaluation.inception import InceptionExtractor

    if wanted.inception_weights is None:
        raise InputError("the extractor 'inception' needs the file of its weights.", field="inception-weights")
    return InceptionExtractor(wanted.inception_weights, wanted.device)


EXTRACTORS: Mapping[str, Callable[[Wanted], Extractor]] = {
    "judge": _judge,
    "efficientnet-lite0": _efficientnet,
    "verifier": _verifier,
    "inception": _inception,
}


def extractors_for(
    bundle: Bundle, names: Sequence[str], device: torch.device, inception_weights: Path | None = None
) -> list[Extractor]:
    """Extractors by name, each once; "judge" and "verifier" are the bundle's own.

    Raises:
        InputError: an unknown name, a judge that the bundle does not have, or a file that is missing or wrong.
        ConfigError: an extra is missing.
    """
    unique = list(dict.fromkeys(names))
    for name in unique:
        if name not in EXTRACTORS:
            raise unknown("extractor", name, list(EXTRACTORS), field="--extractor")
    wanted = Wanted(bundle, device, inception_weights)
    return [EXTRACTORS[name](wanted) for name in unique]


def realism_extractors(nsfwjs: Path | None, device: torch.device) -> list[Extractor]:
    """The networks of an unpacked nsfwjs; without it EfficientNet-Lite0, which may have had a part in the training.

    Raises:
        InputError: the folder is not that package.
        ConfigError: without it, the extra cfgan[evaluate] is missing.
    """
    if nsfwjs is None:
        from cfgan.evaluation.extractors import EfficientNetExtractor

        return [EfficientNetExtractor(device)]
    from cfgan.evaluation.outside import outside_extractors

    return outside_extractors(nsfwjs, device)
