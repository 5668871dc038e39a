"""Would a gate of realism help? A network that tells real faces from draws, and what keeping its best draws does.

    python benchmarks/realism_gate.py --data STORE [--images 160000] [--sheets FOLDER]

Trained on the store's train split against as many draws, with blur, shifts and colour on both, so that it looks at
structure and not at a draw's last decimals. Then, over fresh draws: KID over EfficientNet-Lite0 at 128 px (of which the
gate knows nothing) of the draws that it likes best, beside any draws of the same number. A gate is worth having if KID
falls as it gets stricter.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.data.store import PackedDataset, open_store
from cfgan.evaluation.extractors import EfficientNetExtractor, extract
from cfgan.evaluation.fidelity import kid
from cfgan.generate.sampling import CHUNK, latents
from cfgan.io.files import write_bytes
from cfgan.io.png import encode_png, grid
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.model.engines import open_engine

Levels = npt.NDArray[np.uint8]
SHARES = (1.0, 0.9, 0.75, 0.5, 0.35)


class Residual(nn.Module):
    """Two convolutions beside a short cut, at half the side."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, 2, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])
        self.short = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(F.relu(self.norms[0](self.first(x))))
        return F.relu(self.norms[1](inner) + self.short(x))


class Gate(nn.Module):
    """One logit an image, higher for real; 0.6 M weights at a width of 24."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        stem = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        stages = [Residual(width * a, width * b) for a, b in ((1, 2), (2, 4), (4, 6))]
        self.body, self.head = nn.Sequential(*stem, *stages), nn.Linear(6 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.dropout(self.body(x).mean((2, 3)), 0.2, self.training))[:, 0]


def blurred(x: Tensor, sigma: float) -> Tensor:
    taps = torch.exp(-0.5 * (torch.arange(-3, 4) / sigma) ** 2)
    taps = (taps / taps.sum()).view(1, 1, 1, 7).repeat(3, 1, 1, 1)
    x = F.pad(x, (3, 3, 3, 3), mode="reflect")
    return F.conv2d(F.conv2d(x, taps, groups=3), taps.transpose(2, 3), groups=3)


def changed(x: Tensor, rng: np.random.Generator) -> Tensor:
    """The same flip, shift and blur for real and drawn; contrast, brightness and tint of each image for itself."""
    side = x.shape[-1]
    if rng.random() < 0.5:
        x = x.flip(3)
    top, left = rng.integers(0, 9, 2)
    x = F.pad(x, (4, 4, 4, 4), mode="reflect")[:, :, top : top + side, left : left + side]

    def chance(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal((len(x), *shape)).astype(np.float32))

    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (1 + 0.1 * chance(1, 1, 1)) + mean + 0.2 * chance(1, 1, 1) + 0.08 * chance(3, 1, 1)
    return blurred(x, float(rng.uniform(0.5, 1.3)))


def tensor(levels: Levels) -> Tensor:
    return torch.from_numpy(levels.astype(np.float32) / 127.5 - 1)


def draws(bundle: Bundle, labels: npt.NDArray[np.float32], seed: int) -> Levels:
    """A draw for each row of labels, as the bundle draws them."""
    generator = open_engine(bundle).generator()
    z = latents(seed, range(len(labels)), bundle.z_dim, bundle.latents.truncation)
    parts = [generator(z[k : k + CHUNK], labels[k : k + CHUNK]) for k in range(0, len(labels), CHUNK)]
    return np.concatenate(parts)


def trained(real: Levels, drawn: Levels, images: int, batch: int = 64) -> Gate:
    torch.manual_seed(0)
    gate, rng, steps = Gate(), np.random.default_rng(0), max(10, images // batch)
    optimizer = torch.optim.AdamW(gate.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    target = torch.tensor([0.95] * (batch // 2) + [0.05] * (batch // 2))
    for step in range(steps):
        rows = rng.integers(0, len(real), batch // 2), rng.integers(0, len(drawn), batch // 2)
        x = changed(tensor(np.concatenate([real[rows[0]], drawn[rows[1]]])), rng)
        loss = F.binary_cross_entropy_with_logits(gate(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 500 == 0:
            print(f"{(step + 1) * batch:,} images, loss {loss.item():.3f}", flush=True)
    return gate.eval()


@torch.no_grad()
def logits(gate: Gate, levels: Levels) -> npt.NDArray[np.float64]:
    """Mean over three blurs."""

    def parts(sigma: float) -> Iterator[Tensor]:
        for k in range(0, len(levels), 128):
            yield gate(blurred(tensor(levels[k : k + 128]), sigma))

    return np.mean([torch.cat(list(parts(sigma))).numpy() for sigma in (0.6, 0.9, 1.2)], 0)


class Large(EfficientNetExtractor):
    """EfficientNet-Lite0 on images enlarged to 128 pixels."""

    SIDE = 128


def split(store: PackedDataset, name: str) -> tuple[Levels, npt.NDArray[np.float32]]:
    rows = store.rows(name)
    return np.asarray(store.images[rows]), np.nan_to_num(np.asarray(store.labels[rows])).astype(np.float32)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", default="celeba64")
    parser.add_argument("--images", type=int, default=160_000)
    parser.add_argument("--sheets", type=Path, help="folder for 64 draws of the best and of the worst half")
    given = parser.parse_args(arguments)
    store, bundle = open_store(given.data), open_bundle(given.bundle)
    (real, labels), (held, held_labels) = split(store, "train"), split(store, "validation")
    gate = trained(real, draws(bundle, labels, 101), given.images)
    fresh = draws(bundle, held_labels, 202)
    liked, of_real = logits(gate, fresh), logits(gate, held)
    print(f"\nAUC on held-out faces and fresh draws: {(of_real[:, None] > liked[None]).mean():.3f}\n")
    extractor = Large()
    reference, features = extract(extractor, held), extract(extractor, fresh)
    order, any_order = np.argsort(-liked), np.random.default_rng(0).permutation(len(liked))
    print("| kept | KID x 1000, the best | any |\n|--:|--:|--:|")
    for share in SHARES:
        count = max(2, round(share * len(order)))
        best, other = (1000 * kid(reference, features[rows[:count]])[0] for rows in (order, any_order))
        print(f"| {100 * share:.0f} % | {best:.1f} | {other:.1f} |")
    if given.sheets is not None:
        given.sheets.mkdir(parents=True, exist_ok=True)
        for name, half in (("best", order[: len(order) // 2]), ("worst", order[len(order) // 2 :])):
            some = np.random.default_rng(0).permutation(half)[:64]
            write_bytes(given.sheets / f"{name}.png", encode_png(grid(fresh[some], 8)))


if __name__ == "__main__":
    main()
