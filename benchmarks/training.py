"""Where a training step's time goes on this CPU: images a second of the shipped recipe, each row changing one thing.

python benchmarks/training.py --data stores/celeba64 --guide runs/guide64 --threads 1
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from cfgan.data.store import open_store
from cfgan.networks.dcgan import ResizeConv
from cfgan.training.config import GanConfig, load_config
from cfgan.training.data import TensorData, load_split
from cfgan.training.networks import gan_shape, make_networks
from cfgan.training.sampling_rows import repeat_factors
from cfgan.training.state import step_generator
from cfgan.training.step import draw_inputs, step

RECIPE = Path(__file__).parents[1] / "cfgan/training/recipes/celeba64.yaml"
PLAIN = ["features=null", "refine=[]"]
ROWS: dict[str, list[str]] = {
    "shipped recipe, without guide, feature heads and refinements": [],
    "guide": ["guide={guide}"],
    "heads over the guide's features": ["features={guide}"],
    "heads over ImageNet features at 64 px": ["features=efficientnet-lite0", "features_side=64"],
    "heads over ImageNet features at 128 px": ["features=efficientnet-lite0"],
    "refinements at 8, 16, 32 and 64 px": ["refine=[8, 16, 32, 64]"],
    "guide, ImageNet heads and refinements, as shipped": [
        "guide={guide}",
        "features=efficientnet-lite0",
        "refine=[8, 16, 32, 64]",
    ],
    "width 40": ["width=40"],
    "residual family": ["family=residual"],
    "penalties at every step instead of every 8th": ["penalty_steps=1"],
    "finite-difference penalties at every step": ["penalty_steps=1", "penalty=finite"],
    "no penalties": ["r1_gamma=0", "r2_gamma=0"],
    "transposed convolutions (same cost, checkerboard)": ["upsample=transposed"],
    "pixel shuffle": ["upsample=shuffle"],
    "batch 16": ["batch=16"],
    "batch 64": ["batch=64"],
    "no augmentation": ["augment=[]"],
}


def rate(train: TensorData, settings: list[str], steps: int, *, channels_last: bool = True) -> float:
    """Images a second of training steps, the weight average included; the median of three runs."""
    config = load_config(GanConfig, file=RECIPE, settings=[*PLAIN, *settings])
    device = torch.device("cpu")
    networks = make_networks(config, gan_shape(config, train.labels.shape[1], train.images.shape[-1]), device)
    if not channels_last:
        for module in (networks.generator, networks.discriminator):
            module.to(memory_format=torch.contiguous_format)
    weights = repeat_factors(train.labels, config.rare_threshold)

    def one(images: int) -> None:
        rng = step_generator(config.seed, 0, images)
        step(networks, draw_inputs(train, weights, config, rng), config, images, rng)
        networks.average.update(networks.generator, config.batch, 10_000)

    one(0)
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        for k in range(steps):
            one(k * config.batch)
        rates.append(steps * config.batch / (time.perf_counter() - start))
    return sorted(rates)[1]


def upsampling() -> tuple[float, float]:
    """Milliseconds of one 40 -> 24 channel upsampling to 64 x 64, forward and backward: in two steps, and in one."""
    layer = ResizeConv(40, 24)
    x = torch.randn(32, 40, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    times = []
    for in_one in (False, True):
        elapsed = []
        for _ in range(8):
            start = time.perf_counter()
            y = (
                layer(x)
                if in_one
                else F.conv2d(
                    F.interpolate(x, scale_factor=2), layer.weight.transpose(0, 1).contiguous(), layer.bias, padding=1
                )
            )
            y.sum().backward()
            elapsed.append(time.perf_counter() - start)
        times.append(sorted(elapsed)[4] * 1e3)
    return times[0], times[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--guide", type=Path, required=True, help="run folder of a classifier")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train = load_split(open_store(options.data), "train", torch.device("cpu"))
    print(f"| one thing changed ({options.threads} thread{'s' * (options.threads > 1)}) | images/s |\n|---|--:|")
    for name, settings in ROWS.items():
        filled = [setting.format(guide=options.guide) for setting in settings]
        print(f"| {name} | {rate(train, filled, options.steps):.1f} |", flush=True)
    print(f"| weights not channels_last | {rate(train, [], options.steps, channels_last=False):.1f} |", flush=True)
    two, one = upsampling()
    print(f"\nupsampling layer, resize then convolve {two:.1f} ms, as one transposed convolution {one:.1f} ms")


if __name__ == "__main__":
    main()
