"""EfficientNet-Lite0 (Tan & Le, ICML 2019; the Lite variant: no squeeze-and-excitation, ReLU6), for inference only.

Written here because the published weights come with code that loads them by unpickling. Padding is TensorFlow's "SAME",
which puts the odd row and column of zeros below and to the right; with torch's symmetric padding the weights would see
images moved by half a stride at each of five halvings.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

FEATURES = 1280
"""Channels of the pooled features."""

# repeats, kernel, stride, expansion, channels out (efficientnet_lite_builder of the TensorFlow models)
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
_NORM_EPSILON = 1e-3


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's "SAME": output side = ceil(input side / stride)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return F.conv2d(x, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:])
        x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return F.conv2d(x, self.weight, self.bias, stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise, 1x1 projection without activation (Sandler et al., CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands, self.skips = expansion > 1, stride == 1 and inputs == outputs
        if self.expands:
            self.expand_conv: nn.Module = SameConv(inputs, inner, 1)
            self.bn0: nn.Module = nn.BatchNorm2d(inner, _NORM_EPSILON)
        self.depthwise_conv: nn.Module = SameConv(inner, inner, kernel, stride, groups=inner)
        self.bn1: nn.Module = nn.BatchNorm2d(inner, _NORM_EPSILON)
        self.project_conv: nn.Module = SameConv(inner, outputs, 1)
        self.bn2: nn.Module = nn.BatchNorm2d(outputs, _NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu6(self.bn0(self.expand_conv(x)), inplace=True) if self.expands else x  # N E*Cin H W
        y = F.relu6(self.bn1(self.depthwise_conv(y)), inplace=True)  # N E*Cin H/s W/s
        y = self.bn2(self.project_conv(y))  # N Cout H/s W/s
        return x + y if self.skips else y

    def fuse(self) -> None:
        """Fold each normalisation into the convolution before it."""
        if self.expands:
            self.expand_conv, self.bn0 = fused(self.expand_conv, self.bn0)
        self.depthwise_conv, self.bn1 = fused(self.depthwise_conv, self.bn1)
        self.project_conv, self.bn2 = fused(self.project_conv, self.bn2)


def maps_of(conv_stem: nn.Module, blocks: nn.Sequential, x: Tensor, places: Container[int]) -> list[Tensor]:
    """Images (N, 3, H, W), scaled as the weights expect them, to the maps after some blocks, in order."""
    x = F.relu6(conv_stem(x))  # N 32 H/2 W/2
    found = []
    for place, block in enumerate(blocks):
        x = block(x)
        if place in places:
            found.append(x)
    return found


class EfficientNetLite0(nn.Module):
    """Images to 1,280 pooled features and 1,000 ImageNet logits; any side of at least 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem: nn.Module = SameConv(3, _STEM, 3, 2)
        self.bn0: nn.Module = nn.BatchNorm2d(_STEM, _NORM_EPSILON)
        blocks, inputs = [], _STEM
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.conv_head: nn.Module = SameConv(inputs, FEATURES, 1)
        self.bn1: nn.Module = nn.BatchNorm2d(FEATURES, _NORM_EPSILON)
        self.fc = nn.Linear(FEATURES, 1000)

    def features(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), pixel levels as (level - 127) / 128, to pooled features (N, 1280), each 0..6."""
        x = F.relu6(self.bn0(self.conv_stem(images)), inplace=True)  # N 32 H/2 W/2
        x = self.blocks(x)  # N 320 H/32 W/32
        x = F.relu6(self.bn1(self.conv_head(x)), inplace=True)  # N 1280 H/32 W/32
        return x.mean((2, 3))  # N 1280

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), pixel levels as (level - 127) / 128, to logits (N, 1000)."""
        logits: Tensor = self.fc(self.features(images))  # N 1000
        return logits

    def load_published(self, tensors: Mapping[str, Tensor]) -> EfficientNetLite0:
        """Load the weights as published (names begin with underscores) and fold the normalisations; returns itself.

        Raises:
            RuntimeError: a name or shape does not match, as torch does.
        """
        self.load_state_dict({re.sub(r"(^|\.)_", r"\1", name): value for name, value in tensors.items()}, strict=True)
        return self.fuse()

    def fuse(self) -> EfficientNetLite0:
        """Make it ready for inference only: fold each normalisation into the convolution before it; returns itself.

        The convolutions have a bias from then on. Nothing but rounding changes, and it is faster.
        """
        self.eval().requires_grad_(False)
        self.conv_stem, self.bn0 = fused(self.conv_stem, self.bn0)
        self.conv_head, self.bn1 = fused(self.conv_head, self.bn1)
        for block in self.blocks:
            assert isinstance(block, InvertedResidual)
            block.fuse()
        return self


def fused(convolution: nn.Module, norm: nn.Module) -> tuple[nn.Module, nn.Module]:
    if isinstance(norm, nn.Identity):
        return convolution, norm  # done before
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    if convolution.weight.is_meta:  # shapes alone: for arithmetic on these torch loads its compiler
        convolution.bias = nn.Parameter(torch.empty(convolution.out_channels, device="meta"))
        return convolution, nn.Identity()
    return fuse_conv_bn_eval(convolution, norm), nn.Identity()
