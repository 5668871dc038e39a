"""A look at whether the discriminator memorises, and the augmentation that follows from it."""

from __future__ import annotations

import torch
from torch import Tensor

from cfgan.data.store import PackedDataset
from cfgan.training.config import GanConfig
from cfgan.training.data import load_split
from cfgan.training.networks import TrainingNetworks

_IMAGES = 512  # real images a split that are looked at
_CHUNK = 128


class Probe:
    """Mean logit of train, validation and generated images, none of them augmented.

    ``overfit`` is (D(train) - D(validation)) / (D(train) - D(fake)): 0 for a discriminator that tells nothing apart
    that it should not, 1 for one to which unseen faces look as false as generated ones (r_v of Karras et al., NeurIPS
    2020).
    """

    def __init__(self, store: PackedDataset, config: GanConfig, device: torch.device) -> None:
        self.splits: dict[str, tuple[Tensor, Tensor]] = {}
        for split in ("train", "validation"):
            if len(store.rows(split)):
                data = load_split(store, split, device, most=_IMAGES)
                images, labels = data.batch(torch.arange(len(data), device=device))
                self.splits[split] = images, torch.nan_to_num(labels)
        rng = torch.Generator().manual_seed(1)
        count = len(self.splits["train"][1])
        self._latents = torch.randn(count, config.z_dim, generator=rng).to(device)

    @torch.no_grad()
    def measure(self, networks: TrainingNetworks) -> dict[str, float]:
        """``d_train``, ``d_generated``, and with a validation split ``d_validation`` and ``overfit``."""
        conditions = self.splits["train"][1]
        fakes = torch.cat(
            [
                networks.average.module(z, c)
                for z, c in zip(torch.split(self._latents, _CHUNK), torch.split(conditions, _CHUNK), strict=True)
            ]
        )
        groups = {**self.splits, "generated": (fakes, conditions)}
        networks.discriminator.eval()
        row = {}
        for name, (images, labels) in groups.items():
            parts = [
                networks.discriminator(x, c).logit
                for x, c in zip(torch.split(images, _CHUNK), torch.split(labels, _CHUNK), strict=True)
            ]
            row[f"d_{name}"] = round(float(torch.cat(parts).float().mean()), 5)
        networks.discriminator.train()
        if "validation" in self.splits:
            room = row["d_train"] - row["d_generated"]
            row["overfit"] = round((row["d_train"] - row["d_validation"]) / room, 5) if room > 0 else 1.0
        return row


def adapted(strength: float, overfit: float, target: float, images: int, speed: float) -> float:
    """The augmentation's strength moved towards its target: up if the discriminator overfits more, else down.

    Args:
        strength: now, 0..1.
        overfit: of :meth:`Probe.measure`.
        target: of the configuration.
        images: seen since the last adaptation.
        speed: images in which the strength can go from 0 to 1.
    """
    change = images / speed
    return min(1.0, max(0.0, strength + (change if overfit > target else -change)))
