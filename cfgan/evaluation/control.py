"""What one attribute of a condition moves: itself (the effect), and what it should not (the leak).

The same latents and the same other attributes, drawn from the prior, are given to the generator with one attribute on
and off; a reader says what it sees in both. Of classes exactly one holds: a class that is on puts the others off, and
one that is off leaves another on; they are no leak of one another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.prior import Prior
from cfgan.evaluation.card import draw_levels
from cfgan.evaluation.requests import RequestSet, from_prior
from cfgan.io.progress import Progress, silent
from cfgan.model.bundle import Bundle
from cfgan.model.engines import open_engine
from cfgan.verify.reader import readers_of

Floats = npt.NDArray[np.float64]

_STRIP = 6  # faces of which a strip shows both sides


@dataclass(frozen=True)
class Control:
    """What was found for A attributes with n latents.

    Args:
        names: of the attributes.
        reader: who looked.
        n: latents, each drawn with the attribute on and off.
        moved: float64 (A, A); row i, column j: share of faces in which attribute j is seen with i on, minus with i off.
            The diagonal is the effect.
        error: float64 (A, A); standard error of ``moved``, over pairs of the same latent.
        on, off: float64 (A,); share in which the attribute itself is seen with it on, and with it off.
        strips: uint8 (A, 2, S, 3, H, W); the first S faces with the attribute off and on.
        one_of: sets of names of which exactly one holds.
    """

    names: tuple[str, ...]
    reader: str
    n: int
    moved: Floats
    error: Floats
    on: Floats
    off: Floats
    strips: npt.NDArray[np.uint8]
    one_of: tuple[frozenset[str], ...] = ()

    @property
    def effect(self) -> Floats:
        """(A,): how much more often an attribute is seen when asked for than when asked away, -1..1."""
        return np.asarray(np.diag(self.moved))

    @property
    def leak(self) -> Floats:
        """(A,): how far the others move with it, the mean of the sizes of their shifts, 0..1; NaN if there are none."""
        others = self._others
        total = np.where(others, np.abs(self.moved), 0).sum(1)
        return np.asarray(np.where(others.any(1), total / others.sum(1).clip(1), np.nan))

    @property
    def _others(self) -> npt.NDArray[np.bool_]:
        """bool (A, A): which attributes should stay as they are when one is asked for."""
        others = ~np.eye(len(self.names), dtype=bool)
        for group in self.one_of:
            members = [name in group for name in self.names]
            others[np.ix_(members, members)] = False
        return others

    def largest_leaks(self, i: int, most: int = 3) -> list[tuple[str, float]]:
        """The attributes that move most with attribute ``i``, and by how much (signed)."""
        order = [j for j in np.argsort(-np.abs(self.moved[i])) if self._others[i, j]][:most]
        return [(self.names[j], float(self.moved[i, j])) for j in order]

    def to_dict(self) -> dict[str, Any]:
        """Plain figures, the most leaking attributes named."""
        return {
            "reader": self.reader,
            "n": self.n,
            "mean_effect": float(self.effect.mean()),
            "mean_leak": float(np.nanmean(self.leak)) if np.isfinite(self.leak).any() else math.nan,
            "attributes": {
                name: {
                    "effect": float(self.effect[i]),
                    "effect_error": float(self.error[i, i]),
                    "seen_on": float(self.on[i]),
                    "seen_off": float(self.off[i]),
                    "leak": float(self.leak[i]),
                    "largest_leaks": [{"attribute": other, "moved": moved} for other, moved in self.largest_leaks(i)],
                }
                for i, name in enumerate(self.names)
            },
            "moved": self.moved.tolist(),
        }


def measure_control(
    bundle: Bundle,
    *,
    latents: int = 64,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> Control:
    """Ask for every attribute on and off, and let the judge (the verifier, in a bundle without one) look.

    Args:
        bundle: the model.
        latents: draws that are made both ways for each attribute.
        seed: of the draws.
        device: where to compute.
        progress: called while it lasts.

    Raises:
        BundleError: a file of the bundle is damaged.
    """
    engine = open_engine(bundle, device)
    render, reader = engine.generator(), readers_of(bundle, engine)[-1]
    prior = bundle.prior()
    base = from_prior(prior, latents, bundle.z_dim, seed, bundle.latents.truncation)
    names = bundle.vocabulary.names
    a = len(names)
    moved, error, on, off = np.zeros((a, a)), np.zeros((a, a)), np.zeros(a), np.zeros(a)
    strips = []
    for i in range(a):
        levels, seen = [], []
        for value in (-1.0, 1.0):
            conditions = _with(prior, base.conditions, names[i], value, seed)
            faces = draw_levels(render, RequestSet(base.requests, conditions, base.z))
            levels.append(faces[:_STRIP])
            seen.append(reader.seen(faces).astype(np.float64))
        moved[i], error[i] = _shift(seen[1] - seen[0])
        off[i], on[i] = seen[0][:, i].mean(), seen[1][:, i].mean()
        strips.append(np.stack(levels))
        progress("asking on and off", i + 1, a)
    return Control(names, reader.name, latents, moved, error, on, off, np.stack(strips), prior.vocabulary.one_of)


def _with(prior: Prior, base: npt.NDArray[np.float32], name: str, value: float, seed: int) -> npt.NDArray[np.float32]:
    """Conditions (n, A) with one attribute set, and of its classes, if it is one, exactly one on."""
    vocabulary, conditions = prior.vocabulary, base.copy()
    i = vocabulary.index(name)
    for group in vocabulary.one_of:
        if name in group:
            members = np.asarray([vocabulary.index(other) for other in vocabulary.names if other in group])
            changed = np.flatnonzero(base[:, i] != value)
            if value > 0:
                conditions[np.ix_(changed, members)] = -1
            elif len(changed):
                conditions[np.ix_(changed, members)] = prior.sample({name: value}, seed, changed.tolist())[:, members]
    conditions[:, i] = value
    return conditions


def _shift(difference: Floats) -> tuple[Floats, Floats]:
    """Mean and standard error over pairs of (n, A) differences."""
    n = len(difference)
    spread = difference.std(0, ddof=1) if n > 1 else np.full(difference.shape[1], np.nan)
    return difference.mean(0), spread / np.sqrt(n)
