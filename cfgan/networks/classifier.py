"""A small residual multi-label classifier (He et al., CVPR 2016; average-pooled shortcuts: He et al., CVPR 2019)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ClassifierShape:
    """What a classifier is built from.

    Args:
        attributes: outputs A.
        widths: channels of the stem and of each residual stage; every one of them halves the side.
        dropout: share of pooled features dropped while training, 0..1.
        reads: side in pixels to which larger images are averaged before they are read; 0: they are read as they come.
    """

    attributes: int
    widths: tuple[int, ...] = (32, 64, 128, 256)
    dropout: float = 0.2
    reads: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ClassifierShape:
        return cls(**{**data, "widths": tuple(data["widths"])})


def averaged(images: Tensor, side: int) -> Tensor:
    """Images (N, C, H, H) at ``side`` pixels, each the mean of a square of theirs; as they are where they are no larger
    or ``side`` is 0."""
    return images if not side or images.shape[-1] <= side else F.avg_pool2d(images, images.shape[-1] // side)


class HalvingBlock(nn.Module):
    """conv-BN-ReLU-conv-BN at half the side, added to an average-pooled 1x1 shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm_shortcut = nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.norm2.weight)  # each block starts as its shortcut (Goyal et al. 2017)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))  # N C H/2 W/2
        y = self.norm2(self.conv2(y))  # N C H/2 W/2
        short = self.norm_shortcut(self.shortcut(F.avg_pool2d(x, 2)))  # N C H/2 W/2
        return F.relu(y + short)


class AttributeClassifier(nn.Module):
    """Images to one logit an attribute."""

    def __init__(self, shape: ClassifierShape) -> None:
        super().__init__()
        self.shape = shape
        first, *rest = shape.widths
        self.stem = nn.Conv2d(3, first, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(first)
        self.stages = nn.ModuleList(HalvingBlock(a, b) for a, b in zip(shape.widths, rest, strict=False))
        self.dropout = nn.Dropout(shape.dropout)
        self.head = nn.Linear(shape.widths[-1], shape.attributes)

    @property
    def map_channels(self) -> tuple[int, ...]:
        """Channels of the maps that :meth:`maps` gives."""
        return self.shape.widths[1:]

    def maps(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in -1..1 to the stages' feature maps (N, C_i, H_i, W_i), finest first."""
        x = F.relu(self.norm(self.stem(averaged(images, self.shape.reads))))  # N C0 H/2 W/2
        found = []
        for stage in self.stages:
            x = stage(x)  # N Ci H/2^(i+1) W/2^(i+1)
            found.append(x)
        return found

    def features(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to pooled features (N, C)."""
        return self.maps(images)[-1].mean((2, 3))  # N C

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 to logits (N, A)."""
        logits: Tensor = self.head(self.dropout(self.features(images)))  # N A
        return logits


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters of a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def load_frozen(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load weights where every name and shape must match, and make the module ready for inference only.

    Raises:
        RuntimeError: a name or shape does not match, as torch does.
    """
    with torch.no_grad():
        module.load_state_dict(tensors, strict=True)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.eval().requires_grad_(False)
