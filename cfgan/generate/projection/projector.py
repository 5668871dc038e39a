"""The search for what draws a photo: from an encoder's guess, or the nearest of some draws."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from cfgan.generate.projection.adam import Adam
from cfgan.generate.projection.codes import Codes, CodeSpace
from cfgan.generate.projection.objective import Objective
from cfgan.generate.sampling import latents
from cfgan.io.progress import Progress, silent
from cfgan.model.bundle import Bundle
from cfgan.model.engine import Floats, Levels
from cfgan.model.engines import torch_device
from cfgan.model.torch_engine import to_levels

STEPS = 100
"""Of the search where it begins from draws."""
ENCODED_STEPS = 25
"""Of the search where it begins from an encoder's guess."""
DRAWS = 16
"""Draws with the photo's condition, of which the most alike is where the search begins without an encoder."""

_FROM_DRAWS, _FROM_GUESS = (0.2, 5), (0.1, 8)
"""Rate of Adam, which falls as a cosine to 0, and steps until it is reached. From a guess there is less far to go."""
EDGE = 0.98
"""Conditions begin no nearer to -1 and 1, where tanh no longer moves."""


class Projector:
    """A bundle's generator, searched; the same photo and seed give the same codes on the same machine.

    Args:
        bundle: the model.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        InputError: the generator is not of the family dcgan, or the device cannot be used.
        BundleError: a file of the bundle is damaged.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        self.bundle, self._device = bundle, torch_device(device)
        self._space, self._objective = CodeSpace(bundle, self._device), Objective(bundle, self._device)
        encoder = bundle.encoder()
        self._encoder = None if encoder is None else encoder.to(self._device)

    @property
    def features(self) -> str:
        """Name of the network whose features are compared."""
        return self._objective.features

    @property
    def steps(self) -> int:
        """Of the search where none are given."""
        return STEPS if self._encoder is None else ENCODED_STEPS

    def project(
        self,
        levels: Levels,
        condition: Floats,
        *,
        steps: int | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Codes:
        """Search for what draws some photos; each is searched for by itself.

        Args:
            levels: uint8 (N, 3, size, size), 0..255.
            condition: what is read in them, float32 (N, A) in -1..1.
            steps: of the optimisation; none: :attr:`steps`; 0 takes the guess that it would begin from.
            seed: of the draws, where there is no encoder.
            progress: called with steps done and in all.
        """
        steps = self.steps if steps is None else steps
        target = self._images(levels)
        goal = self._objective.maps(target)
        asked = torch.from_numpy(np.clip(condition, -EDGE, EDGE).astype(np.float32)).to(self._device)
        begun = self._guess(target, goal, asked, seed)
        z, bent, start, styles = (part.clone().requires_grad_() for part in begun)
        rate, warm = _FROM_DRAWS if self._encoder is None else _FROM_GUESS
        optimiser = Adam([z, bent, start, styles])
        for step in range(steps):
            images = self._space.draw(self._space.codes(z, bent.tanh(), start, styles))
            loss = self._objective.unlikeness(images, target, goal) + self._objective.pull(start, styles)
            optimiser.step(loss.sum(), rate * min(1, (step + 1) / warm) * (1 + math.cos(math.pi * step / steps)) / 2)
            progress("projecting", step + 1, steps)
        with torch.no_grad():
            return self._space.codes(z, bent.tanh(), start, styles)

    @torch.no_grad()
    def render(self, codes: Codes, condition: Floats | None = None, strength: float = 1.0) -> Levels:
        """The images of codes, or what becomes of them with another condition.

        Args:
            codes: of N photos.
            condition: float32 (N, A) in -1..1; latent and differences stay as they are.
            strength: how many times what the other condition changes is applied.

        Returns:
            uint8 (N, 3, size, size).
        """
        if condition is not None:
            codes = self._space.changed(codes, torch.from_numpy(condition).to(self._device), strength)
        found: Levels = to_levels(self._space.draw(codes)).to(torch.uint8).contiguous().cpu().numpy()
        return found

    @torch.no_grad()
    def _guess(
        self, target: Tensor, goal: list[Tensor], condition: Tensor, seed: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where the search begins: latents, what tanh makes conditions of, starts and styles in their units."""
        if self._encoder is not None:
            z, start, styles = self._encoder(target, condition)
        else:
            z = self._nearest_draws(target, goal, condition, seed)
            start = torch.zeros(len(z), self._space.start, device=self._device)
            styles = torch.zeros(len(z), self._space.generator.places, self._space.embed, device=self._device)
        return z, torch.atanh(condition), start, styles

    @torch.no_grad()
    def _nearest_draws(self, target: Tensor, goal: list[Tensor], condition: Tensor, seed: int) -> Tensor:
        """Of some draws with a photo's condition the latent of the most alike, (N, Z)."""
        drawn = torch.from_numpy(latents(seed, range(DRAWS), self.bundle.z_dim)).to(self._device)
        chosen = []
        for k in range(len(target)):
            images = self._space.generator(drawn, condition[k : k + 1].expand(DRAWS, -1))
            unlike = self._objective.unlikeness(images, target[k : k + 1], [maps[k : k + 1] for maps in goal])
            chosen.append(drawn[unlike.argmin()])
        return torch.stack(chosen)

    def _images(self, levels: Levels) -> Tensor:
        images = torch.from_numpy(np.ascontiguousarray(levels)).to(self._device).float()
        return images.mul_(2 / 255).sub_(1).contiguous(memory_format=torch.channels_last)
