"""What a training step spends its time on, by kernel: for a new machine or size, before a long run.

    python benchmarks/step_profile.py --from celeba128 --config celeba128 --side 128 [--set KEY=VALUE ...]

Random pictures, the real networks. First the rate of steps as they come, then, on a GPU, of recorded ones; then the
kernels that took longest over a round of steps with and without penalty.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from cfgan.model.bundle import open_bundle
from cfgan.training.captured import Stepper, make_stepper
from cfgan.training.config import GanConfig, load_config
from cfgan.training.data import TensorData
from cfgan.training.gan import set_rates
from cfgan.training.networks import TrainingNetworks, gan_shape, make_networks
from cfgan.training.state import step_generator
from cfgan.training.step import draw_inputs
from cfgan.training.transfer import start_from

RECIPES = Path(__file__).parents[1] / "cfgan/training/recipes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="start", default="celeba128")
    parser.add_argument("--config", default="celeba128", help="a recipe")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=16, help="of each measurement")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device, bundle = torch.device(options.device), open_bundle(options.start)
    generator = torch.Generator(device).manual_seed(0)
    count, attributes = 512, len(bundle.vocabulary)
    images = torch.randint(0, 256, (count, 3, options.side, options.side), generator=generator, device=device)
    labels = torch.randn(count, attributes, generator=generator, device=device).sign()
    train = TensorData(images.byte(), labels)
    for capture in (False, True) if device.type == "cuda" else (False,):
        given = [f"guide={bundle.path}", *options.settings, f"capture={str(capture).lower()}"]
        config = load_config(GanConfig, file=RECIPES / f"{options.config}.yaml", settings=given)
        networks = make_networks(config, gan_shape(config, attributes, options.side), device)
        start_from(networks, bundle.vocabulary, bundle)
        stepper = make_stepper(networks, config)
        take(networks, stepper, train, config, 2 * config.penalty_steps)  # the first are slow, or recorded
        rate = take(networks, stepper, train, config, options.steps)
        print(
            f"{'recorded' if capture else 'as they come'}: {rate:.1f} images/s in steps of {config.batch}", flush=True
        )
        if not capture:
            activities = [ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU]
            with profile(activities=activities) as seen:
                take(networks, stepper, train, config, config.penalty_steps)
            order = f"self_{device.type}_time_total"
            print(seen.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=90))


def take(networks: TrainingNetworks, stepper: Stepper, train: TensorData, config: GanConfig, steps: int) -> float:
    """So many steps. Returns images a second."""
    weights, device = torch.ones(len(train), device=train.images.device), train.images.device
    start = time.perf_counter()
    for k in range(steps):
        set_rates(networks, config, k * config.batch)
        rng = step_generator(config.seed, 0, k * config.batch, device)
        stepper(draw_inputs(train, weights, config, rng, networks.strength), k * config.batch, rng)
        for average in networks.averages:
            average.update(networks.generator, config.batch, 10_000)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return steps * config.batch / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
