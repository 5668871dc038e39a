"""The requests that a generator is tested on: as in the data, balanced, and rare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.attributes.prior import Prior, check_exclusive
from cfgan.attributes.request import Request
from cfgan.errors import RequestError
from cfgan.generate.sampling import latents

RARE_SHARE = 1e-3
"""A combination counts as rare below this share of the training labels."""
_SEEN_OFTEN = 10  # label rows that a combination needs at least: below that it may be label noise


@dataclass(frozen=True)
class RequestSet:
    """Draws made for many requests.

    Args:
        requests: one a draw, n of them.
        conditions: float32 (n, A), the free attributes filled from the prior.
        z: latents, float32 (n, Z).
    """

    requests: list[Request]
    conditions: npt.NDArray[np.float32]
    z: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.requests)


def from_prior(prior: Prior, count: int, z_dim: int, seed: int, truncation: float | None = None) -> RequestSet:
    """Every attribute drawn from the prior: requests as faces come."""
    return _fill(prior, [{}] * count, z_dim, seed, truncation)


def balanced(prior: Prior, each: int, z_dim: int, seed: int, truncation: float | None = None) -> RequestSet:
    """Every attribute alone, asked for ``each`` times and asked away as often; the others from the prior given it."""
    requests: list[Request] = [
        {name: value} for name in prior.vocabulary.names for value in (1.0, -1.0) for _ in range(each)
    ]
    return _fill(prior, requests, z_dim, seed, truncation)


def repeated(
    prior: Prior, request: Request, count: int, z_dim: int, seed: int, truncation: float | None = None
) -> RequestSet:
    """The same request again and again; free attributes from the prior given it."""
    return _fill(prior, [request] * count, z_dim, seed, truncation)


def rare_pairs(prior: Prior, most: int, seed: int) -> list[Request]:
    """Pairs of wanted attributes that fewer than :data:`RARE_SHARE` of the labels have, at most ``most`` of them.

    Drawn by chance among all such pairs that at least ten label rows have and that do not exclude each other, so that
    they can be met.
    """
    names = prior.vocabulary.names
    found: list[Request] = []
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            request: Request = {first: 1.0, names[j]: 1.0}
            try:
                check_exclusive(prior.vocabulary, request)
            except RequestError:
                continue
            if _SEEN_OFTEN <= prior.pairs[i, j] < RARE_SHARE * prior.known[i, j]:
                found.append(request)
    order = np.random.default_rng([seed, len(found)]).permutation(len(found))[:most]
    return [found[k] for k in sorted(order)]


def rare(prior: Prior, pairs: int, each: int, z_dim: int, seed: int, truncation: float | None = None) -> RequestSet:
    """Rare pairs, each asked for several times."""
    return _fill(prior, [pair for pair in rare_pairs(prior, pairs, seed) for _ in range(each)], z_dim, seed, truncation)


def _fill(prior: Prior, requests: list[Request], z_dim: int, seed: int, truncation: float | None) -> RequestSet:
    """Conditions and latents; draw *i* of the set has the random streams of (seed, i)."""
    a = len(prior.vocabulary)
    conditions = np.zeros((len(requests), a), dtype=np.float32)
    groups: dict[tuple[tuple[str, float], ...], list[int]] = {}
    for i, request in enumerate(requests):
        groups.setdefault(tuple(request.items()), []).append(i)
    for key, rows in groups.items():
        conditions[rows] = prior.sample(dict(key), seed, rows)
    z = latents(seed, range(len(requests)), z_dim, truncation) if requests else np.zeros((0, z_dim), dtype=np.float32)
    return RequestSet(requests, conditions, z)
