"""A torchvision network that learns an attribute from generated faces, through v2 transforms.

    cfgan generate -a Eyeglasses -n 500 --out with
    cfgan generate -a=-Eyeglasses -n 500 --out without
    python benchmarks/torchvision_resnet.py with without --attribute Eyeglasses

Needs `pip install 'cfgan[train,vision]'`. A ResNet-18 from noise; a fifth of the images is held out. The data set is
:class:`cfgan.ImageDataset`, which gives what was asked for as labels; a store or a labelled folder does as well.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Subset
from torchvision.models import resnet18
from torchvision.transforms import v2

import cfgan


def view(paths: Sequence[Path], attribute: str, side: int, *, augment: bool) -> ConcatDataset[Any]:
    """Images (3, side, side) and labels 0 or 1."""
    change = [v2.RandomHorizontalFlip(), v2.ColorJitter(0.2, 0.2)] if augment else []
    transform = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize((side, side), antialias=True),
            *change,
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    return ConcatDataset(
        cfgan.ImageDataset(path, attributes=[attribute], transform=transform, target_transform=lambda y: int(y[0] > 0))
        for path in paths
    )


def train(
    paths: Sequence[Path], attribute: str, *, epochs: int = 5, side: int = 64, seed: int = 0, batch: int = 16
) -> dict[str, Any]:
    """Train on four in five images; how many there were, and the share of the others that is read as asked."""
    torch.manual_seed(seed)
    learnt, shown = (view(paths, attribute, side, augment=augment) for augment in (True, False))
    order = torch.randperm(len(learnt)).tolist()
    held = max(1, len(order) // 5)
    loader = DataLoader(Subset(learnt, order[held:]), batch_size=batch, shuffle=True, drop_last=True)
    network = resnet18(num_classes=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(epochs):
        network.train()
        for images, labels in loader:
            loss = nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    network.eval()
    right = 0
    with torch.inference_mode():
        for images, labels in DataLoader(Subset(shown, order[:held]), batch_size=batch):
            right += int((network(images).argmax(1) == labels).sum())
    return {"attribute": attribute, "images": len(order), "held_out": held, "accuracy": right / held}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+", help="batch folders, or other labelled images")
    parser.add_argument("--attribute", required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    print(json.dumps(train(given.paths, given.attribute, epochs=given.epochs, side=given.side, seed=given.seed)))


if __name__ == "__main__":
    main()
