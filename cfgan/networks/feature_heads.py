"""Discriminator heads over frozen features of a trained network, at several scales.

Sauer et al., "Projected GANs converge faster", NeurIPS 2021; beside an ordinary discriminator: Kumari et al.,
"Ensembling off-the-shelf models for GAN training", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class FeatureHeads(nn.Module):
    """One small convolutional head a feature map; each judges whether the image is real and fits the condition.

    Args:
        channels: of the maps.
        attributes: length A of a condition.
        width: channels inside a head.
    """

    def __init__(self, channels: Sequence[int], attributes: int, width: int = 64) -> None:
        super().__init__()
        self.mix = nn.ModuleList(spectral_norm(nn.Conv2d(c, width, 1)) for c in channels)
        self.look = nn.ModuleList(spectral_norm(nn.Conv2d(width, width, 3, padding=1)) for _ in channels)
        self.unconditional = nn.ModuleList(spectral_norm(nn.Conv2d(width, 1, 1)) for _ in channels)
        self.projection = nn.ModuleList(spectral_norm(nn.Linear(attributes, width, bias=False)) for _ in channels)

    def forward(self, maps: Sequence[Tensor], condition: Tensor) -> Tensor:
        """Feature maps and conditions (N, A) to realness logits (S, N), one row a scale."""
        logits = []
        for i, x in enumerate(maps):
            h = F.leaky_relu(self.mix[i](x), 0.2)  # N W H W
            h = F.leaky_relu(self.look[i](h), 0.2)  # N W H W
            anywhere = self.unconditional[i](h).mean((1, 2, 3))  # N
            fits = (self.projection[i](condition) * h.mean((2, 3))).sum(1)  # N
            logits.append(anywhere + fits)
        return torch.stack(logits)
