"""Seeds to latents to images: draw *i* is the same face whatever else is drawn with it, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.attributes.prior import Prior, stream
from cfgan.attributes.spec import RequestCell
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.model.bundle import Bundle
from cfgan.model.engine import Engine
from cfgan.model.engines import open_engine
from cfgan.stats.normal import distribution, quantile
from cfgan.verify.candidates import Candidates, Gate
from cfgan.verify.gate import gate_of
from cfgan.verify.reader import reader_of

CHUNK = 32
"""Draws made at a time. On two CPU cores 32 is the fastest: more spill out of the caches."""

BLOCK = 256
"""Draws whose latents and conditions are made together."""

Inputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Latents (n, Z) and conditions (n, A)."""


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
    uniform = np.stack([stream(seed, draw, "latent").random(z_dim) for draw in draws])
    uniform += 2.0**-54  # from multiples of 2^-53 to strictly inside 0..1, but for the last, which rounds to 1
    np.minimum(uniform, 1 - 2.0**-53, out=uniform)
    if truncation is not None:
        low = distribution(-truncation)
        uniform = low + uniform * (1 - 2 * low)
    return quantile(uniform).astype(np.float32)


def conditions(prior: Prior, cell: RequestCell, draws: Sequence[int]) -> npt.NDArray[np.float32]:
    """Full condition vectors, float32 (n, A): requested values, the rest as the cell's ``unspecified`` says."""
    vocabulary = prior.vocabulary
    if cell.unspecified == "zero":
        fixed = np.zeros((len(draws), len(vocabulary)), dtype=np.float32)
        return _set(fixed, cell.request, vocabulary)
    fixed_too = cell.unspecified if isinstance(cell.unspecified, dict) else {}
    return prior.sample({**cell.request, **fixed_too}, cell.stream, draws)


def _set(values: npt.NDArray[np.float32], request: dict[str, float], vocabulary: Vocabulary) -> npt.NDArray[np.float32]:
    for name, value in request.items():
        values[:, vocabulary.index(name)] = value
    return values


class DrawInputs:
    """Latents and conditions of a cell's draws, made a block at a time and a block ahead in a thread of their own.

    Gibbs sweeps cost little more for many rows than for few, and need not wait for the networks.
    """

    def __init__(self, prior: Prior, z_dim: int) -> None:
        self._prior, self._z_dim = prior, z_dim
        self._pool = ThreadPoolExecutor(1)
        self._cell: RequestCell | None = None
        self._blocks: dict[int, Future[Inputs]] = {}

    def get(self, cell: RequestCell, draws: range, last: int) -> Inputs:
        """Latents (n, Z) and conditions (n, A) of consecutive draws; ``last``: no draw from there on will be wanted."""
        if cell is not self._cell:
            self._cell, self._blocks = cell, {}
        numbers = range(draws.start // BLOCK, (draws.stop - 1) // BLOCK + 1)
        if not self._blocks and last - draws.start < BLOCK // 2:
            return self._make(cell, draws)  # few draws in all: no block is worth while
        self._blocks = {k: block for k, block in self._blocks.items() if k >= numbers.start}
        for k in range(numbers.start, numbers.stop + 1):
            if k not in self._blocks and (k < numbers.stop or k * BLOCK < last):
                self._blocks[k] = self._pool.submit(self._make, cell, range(k * BLOCK, (k + 1) * BLOCK))
        z, condition = (np.concatenate(part) for part in zip(*(self._blocks[k].result() for k in numbers), strict=True))
        offset = numbers.start * BLOCK
        return z[draws.start - offset : draws.stop - offset], condition[draws.start - offset : draws.stop - offset]

    def _make(self, cell: RequestCell, draws: range) -> Inputs:
        return latents(cell.stream, draws, self._z_dim, cell.truncation), conditions(self._prior, cell, draws)


def chunk_end(draw: int) -> int:
    """The first draw after the chunk that a draw lies in."""
    return (draw // CHUNK + 1) * CHUNK


def _pieces(start: int, stop: int) -> list[range]:
    """Consecutive draws, cut where chunks end."""
    pieces = []
    while start < stop:
        pieces.append(range(start, min(chunk_end(start), stop)))
        start = pieces[-1].stop
    return pieces


class Sampler:
    """A bundle's networks on a device, ready to draw. What a draw gives does not depend on the others in its chunk.

    Args:
        bundle: the model.
        device: where and with what to compute, as :func:`cfgan.model.engines.open_engine` takes it; or what that gave.

    Raises:
        BundleError: a file of the bundle is damaged.
        InputError: the device cannot be used.
        ConfigError: an extra is missing.
    """

    def __init__(self, bundle: Bundle, device: str | Engine = "auto") -> None:
        self.bundle = bundle
        self.engine = open_engine(bundle, device)
        self.prior: Prior = bundle.prior()
        self._inputs = DrawInputs(self.prior, bundle.z_dim)
        self.render = self.engine.generator()
        self.verifier = reader_of(bundle, self.engine, "verifier")
        self._gate: tuple[RequestCell, Gate] | None = None

    def draw(self, cell: RequestCell, draws: range, last: int | None = None) -> Draws:
        """Make some consecutive draws of a cell and verify them; ``last``: no draw from there on will be wanted.

        Where the size of a batch matters to the engine the networks see whole, aligned chunks, so that a draw passes
        through the same arithmetic in the same place whichever draws are asked for.
        """
        start, stop = draws.start, draws.stop
        if not self.engine.batch_invariant:
            start, stop = start // CHUNK * CHUNK, -(-stop // CHUNK) * CHUNK
        parts = [self._chunk(cell, piece, last or stop) for piece in _pieces(start, stop)]
        condition, pixels, probability = (np.concatenate(part) for part in zip(*parts, strict=True))
        wanted = slice(draws.start - start, draws.stop - start)
        candidates = Candidates(condition[wanted], pixels[wanted], probability[wanted])
        gate = self.gate(cell)
        return Draws(draws, **vars(candidates), passed=gate.passes(candidates), gated=gate.names)

    def worth_drawing(self, first: int, last: int) -> int:
        """Up to which draw to go on from ``first``, where ``last`` is probably the last that is wanted: to the end of a
        chunk, and no further than that one if the engine then has less to do."""
        return min(chunk_end(first), max(last, first + 1)) if self.engine.batch_invariant else chunk_end(first)

    def gate(self, cell: RequestCell) -> Gate:
        """The gate of a cell, made once for the cell that is being drawn. Raises RequestError for its precision."""
        if self._gate is None or self._gate[0] is not cell:
            self._gate = (cell, gate_of(self.bundle, cell))
        return self._gate[1]

    def _chunk(
        self, cell: RequestCell, draws: range, last: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        z, condition = self._inputs.get(cell, draws, last)
        pixels = self.render(z, condition)
        return condition, pixels, self.verifier.probability(pixels)


@dataclass(frozen=True)
class Draws:
    """Some consecutive draws of a cell.

    Args:
        draws: their numbers, n of them.
        condition: float32 (n, A).
        pixels: uint8 (n, 3, H, W).
        probability: float32 (n, A), calibrated.
        passed: bool (n, G), whether each gated attribute is seen as requested.
        gated: names of those G attributes.
    """

    draws: range
    condition: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    passed: npt.NDArray[np.bool_]
    gated: tuple[str, ...]
