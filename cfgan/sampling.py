"""Seeds to latents to images: draw *i* is the same face whatever else is drawn with it, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfgan.prior import Prior, stream
from cfgan.spec import Cell
from cfgan.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

    from cfgan.networks.dcgan import Generator


def latents(seed: int, draws: Sequence[int], z_dim: int, truncation: float | None = None) -> npt.NDArray[np.float32]:
    """Standard normal latents, one own random stream a draw.

    The normal is the inverse distribution function of a uniform, so a truncated latent is the same one moved inwards
    and not another one.

    Args:
        seed: of the batch.
        draws: draw numbers, n of them.
        z_dim: numbers in a latent.
        truncation: cut the normal off at this many standard deviations (Brock et al., BigGAN, 2019); None: not cut.

    Returns:
        float32 (n, z_dim).
    """
    from scipy.special import ndtr, ndtri

    integers = np.stack([stream(seed, draw, "latent").integers(0, 2**53, z_dim) for draw in draws])
    uniform = (integers + 0.5) / 2**53  # strictly inside 0..1
    if truncation is not None:
        low = ndtr(-truncation)
        uniform = low + uniform * (1 - 2 * low)
    return np.asarray(ndtri(uniform), dtype=np.float32)


def conditions(prior: Prior, cell: Cell, draws: Sequence[int]) -> npt.NDArray[np.float32]:
    """Full condition vectors, float32 (n, A): requested values, the rest as the cell's ``free`` says."""
    vocabulary = prior.vocabulary
    if cell.free == "neutral":
        fixed = np.zeros((len(draws), len(vocabulary)), dtype=np.float32)
        return _set(fixed, cell.request, vocabulary)
    free = cell.free if isinstance(cell.free, dict) else {}
    return prior.sample({**cell.request, **free}, cell.seed, draws)


def _set(values: npt.NDArray[np.float32], request: dict[str, float], vocabulary: Vocabulary) -> npt.NDArray[np.float32]:
    for name, value in request.items():
        values[:, vocabulary.index(name)] = value
    return values


def render(
    generator: Generator, z: npt.NDArray[np.float32], condition: npt.NDArray[np.float32], device: torch.device
) -> tuple[torch.Tensor, npt.NDArray[np.uint8]]:
    """Run the generator.

    Returns:
        The images as the PNG will hold them: float32 (n, 3, H, W) in -1..1 on the device, rounded to whole levels so
        that what is verified is what is written; and uint8 (n, 3, H, W).
    """
    import torch

    with torch.inference_mode():
        made = generator(torch.from_numpy(z).to(device), torch.from_numpy(condition).to(device)).float()
        levels = made.add(1).mul(127.5).round().clamp(0, 255)
        pixels: npt.NDArray[Any] = levels.to(torch.uint8).cpu().numpy()
        return levels.mul(2 / 255).sub(1), pixels
