"""A store as tensors: the whole data set as uint8 in memory (or on the device), indexed and flipped there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cfgan.data.store import PackedDataset
from cfgan.errors import DataError


@dataclass(frozen=True)
class TensorData:
    """One split of a store.

    Args:
        images: uint8 (N, 3, H, W), 0..255, on the device.
        labels: float32 (N, A); 1, -1 or between; NaN unknown.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: Tensor, flip: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images as float32 in -1..1 (channels last) and labels of some rows; ``flip`` (n,) mirrors those images."""
        images = self.images[rows].float().mul_(2 / 255).sub_(1)
        if flip is not None:
            images = torch.where(flip[:, None, None, None], images.flip(3), images)
        return images.contiguous(memory_format=torch.channels_last), self.labels[rows]


def load_split(store: PackedDataset, split: str, device: torch.device, most: int | None = None) -> TensorData:
    """Copy a split into the device's memory, or ``most`` images drawn from it, always the same.

    Raises:
        DataError: it is empty.
    """
    rows = store.rows(split) if most is None else store.some_rows(split, most)
    if not len(rows):
        raise DataError(f"the store has no {split} images.", field="data", value=store.path)
    return TensorData(torch.from_numpy(store.images[rows]).to(device), torch.from_numpy(store.labels[rows]).to(device))
