"""Attributes of which exactly one holds, drawn together: the block moves of a Gibbs sampler.

Single-site sweeps cannot move between classes: to leave one, a chain would have to pass through "none" or "two". So the
members of a set are drawn at once, from their joint distribution given everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Blocks:
    """What a request leaves to be drawn of the vocabulary's classes.

    Args:
        drawn: columns of which exactly one is to be drawn, one tuple a set that is still open.
        off: columns that are absent because another class of their set is wanted.
    """

    drawn: tuple[tuple[int, ...], ...]
    off: frozenset[int]

    @classmethod
    def of(cls, vocabulary: Vocabulary, request: Mapping[str, float]) -> Blocks:
        """The blocks under a request: a wanted class (value above 0) settles its set, others only leave the draw."""
        drawn: list[tuple[int, ...]] = []
        off: set[int] = set()
        for group in vocabulary.one_of:
            free = tuple(i for i, name in enumerate(vocabulary.names) if name in group and name not in request)
            if any(request.get(name, -1.0) > 0 for name in group):
                off.update(free)
            elif free:
                drawn.append(free)
        return cls(tuple(drawn), frozenset(off))


def block_scores(field: Floats, weights: Floats, state: Floats, block: Sequence[int]) -> Floats:
    """Unnormalised log-probability of each member being the one, given everything outside the block.

    In an Ising model in +-1 coding whose log-odds are ``field``, moving the one from member j to k changes the
    log-probability by the difference of these.

    Args:
        field: (A, n), log-odds of each attribute given all others as they stand in ``state``.
        weights: (A, A), symmetric, zero diagonal.
        state: (A, n) of n chains.
        block: columns of the B members.

    Returns:
        (B, n).
    """
    members = list(block)
    scores = field[members].copy()
    for j in members:  # element by element along n, so that a chain's result does not depend on its company
        scores -= weights[members, j][:, None] * (state[j] + 1)
    return scores


def draw_one(scores: Floats, uniform: Floats) -> npt.NDArray[np.intp]:
    """Draw one of B members in proportion to exp(scores), by the Gumbel maximum (Gumbel 1954).

    Args:
        scores: (B, n).
        uniform: (B, n), strictly inside 0..1.

    Returns:
        Places in the block, (n,).
    """
    places: npt.NDArray[np.intp] = np.argmax(scores - np.log(-np.log(uniform)), axis=0)
    return places


def one_shares(scores: Floats) -> Floats:
    """Probability of each member being the one: softmax over the first axis of (B, n)."""
    weight = np.exp(scores - scores.max(0))
    shares: Floats = weight / weight.sum(0)
    return shares
