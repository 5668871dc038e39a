"""MobileNet-v2 (Sandler et al., CVPR 2018), for inference only, as far as the maps at 1/16 of the side.

Named as Keras names its layers, whose "same" padding puts the odd row and column of zeros below and to the right.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.networks.efficientnet import InvertedResidual, SameConv, fused

# repeats, stride, expansion, channels out; what follows at 1/32 of the side is left out
_STAGES = ((1, 1, 1, 16), (2, 2, 6, 24), (3, 2, 6, 32), (4, 2, 6, 64), (3, 1, 6, 96))
_STEM = 32
_EPSILON = 1e-3


class MobileNetV2(nn.Module):
    """Images (N, 3, H, W) in -1..1 to maps (N, 96, H/16, W/16); any side that 16 divides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem: nn.Module = SameConv(3, _STEM, 3, 2)
        self.bn0: nn.Module = nn.BatchNorm2d(_STEM, _EPSILON)
        blocks, inputs = [], _STEM
        for repeats, stride, expansion, outputs in _STAGES:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, 3, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu6(self.bn0(self.conv_stem(images)))  # N 32 H/2 W/2
        maps: Tensor = self.blocks(x)  # N 96 H/16 W/16
        return maps

    def load_keras(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> MobileNetV2:
        """Load weights by Keras's names (``block_1_expand/kernel``), fold the normalisations and return itself.

        Args:
            weights: kernels as TensorFlow has them: height, width, in, out; depthwise ones height, width, in, 1.

        Raises:
            KeyError: a weight is missing.
            RuntimeError: a shape does not match, as torch does.
        """
        state = self.state_dict()
        _take(weights, "Conv1", "bn_Conv1", state, "conv_stem", "bn0")
        for place in range(len(self.blocks)):
            theirs, mine = "expanded_conv" if place == 0 else f"block_{place}", f"blocks.{place}."
            for layer, norm in (("expand", "bn0"), ("depthwise", "bn1"), ("project", "bn2")):
                if place or layer != "expand":  # the first block does not expand
                    name = f"{theirs}_{layer}"
                    _take(weights, name, f"{name}_BN", state, f"{mine}{layer}_conv", f"{mine}{norm}")
        self.load_state_dict(state, strict=True)
        return self.fuse()

    def fuse(self) -> MobileNetV2:
        """Make it ready for inference only: fold each normalisation into the convolution before it; returns itself."""
        self.eval().requires_grad_(False)
        self.conv_stem, self.bn0 = fused(self.conv_stem, self.bn0)
        for block in self.blocks:
            if isinstance(block, InvertedResidual):
                block.fuse()
        return self


def _take(
    weights: Mapping[str, npt.NDArray[np.float32]],
    convolution: str,
    norm: str,
    state: dict[str, Tensor],
    mine: str,
    my_norm: str,
) -> None:
    deep = convolution.endswith("_depthwise")
    kernel = weights[f"{convolution}/{'depthwise_kernel' if deep else 'kernel'}"]
    state[f"{mine}.weight"] = torch.from_numpy(kernel.transpose((2, 3, 0, 1) if deep else (3, 2, 0, 1)).copy())
    for their_name, name in (
        ("gamma", "weight"),
        ("beta", "bias"),
        ("moving_mean", "running_mean"),
        ("moving_variance", "running_var"),
    ):
        state[f"{my_norm}.{name}"] = torch.from_numpy(weights[f"{norm}/{their_name}"].copy())
