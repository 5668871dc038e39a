"""Which attributes go together: p(free attributes | requested ones), and how plausible a request is.

A pairwise Markov random field (Ising model) over the attributes in +-1 coding, sampled by Gibbs sweeps with the
requested attributes clamped; :mod:`cfgan.training.prior` fits it. Being pairwise it answers for any combination, seen
or not. Classes, of which exactly one holds, are drawn as a block. It stores weights and pair counts, never a row of the
data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.gibbs import Blocks, block_scores, draw_one, one_shares
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import RequestError

SWEEPS = 32
"""Gibbs sweeps a draw; the marginals of the CelebA model, conditional ones too, are steady after 16."""

RARE = 1e-3
"""A request that fewer than this share of the training labels meet is called implausible."""

_EXPECTED = 10.0  # a pair never seen is impossible if chance alone would have given this many
_ESTIMATES = 400  # chains behind the estimate of a request of three and more attributes

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """The fitted model.

    Args:
        vocabulary: the A attributes.
        bias: float64 (A,); log-odds of each attribute when the others sum to nothing.
        weights: float64 (A, A), symmetric, zero diagonal; log-odds an attribute adds to another.
        pairs: int64 (A, A); rows in which both are present; the diagonal counts each attribute.
        known: int64 (A, A); rows in which both labels are known.
        rows: label rows that it was fitted on.
    """

    vocabulary: Vocabulary
    bias: Floats
    weights: Floats
    pairs: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    rows: int

    @cached_property
    def marginals(self) -> Floats:
        """float64 (A,): share of the training labels that have each attribute, among those that are known."""
        return np.asarray(np.diag(self.pairs) / np.diag(self.known).clip(1), dtype=np.float64)

    @cached_property
    def _shares(self) -> dict[tuple[tuple[str, bool], ...], float]:
        return {}

    def sample(self, request: Mapping[str, float], seed: int, draws: Sequence[int]) -> npt.NDArray[np.float32]:
        """Fill the free attributes for some draws of a batch.

        Draw *i* depends on (seed, i, request) alone, never on which other draws are asked for with it.

        Args:
            request: attribute name -> value in -1..1, clamped.
            seed: of the batch.
            draws: draw numbers, n of them.

        Returns:
            float32 (n, A): requested values as given, free ones +-1.
        """
        free = self._free(request)
        uniforms = np.stack(
            [stream(seed, draw, "prior").random((SWEEPS + 1, len(free)), dtype=np.float32) for draw in draws], axis=-1
        )  # S+1 F n
        state, _ = self._gibbs(request, uniforms, shares=False)
        return np.ascontiguousarray(state.T, dtype=np.float32)

    def conditional_marginals(self, request: Mapping[str, float], *, chains: int = 1000, seed: int = 0) -> Floats:
        """p(attribute present | request) for all A, averaged over chains; requested ones as given."""
        shape = (SWEEPS + 1, len(self._free(request)), chains)
        state, shares = self._gibbs(request, np.random.default_rng(seed).random(shape, dtype=np.float32), shares=True)
        result: Floats = (state.mean(1) + 1) / 2
        result[self._free(request)] = shares.mean(1)
        return result

    def _free(self, request: Mapping[str, float]) -> list[int]:
        fixed = {self.vocabulary.index(name) for name in request}
        return [i for i in range(len(self.vocabulary)) if i not in fixed]

    def _gibbs(
        self, request: Mapping[str, float], uniforms: npt.NDArray[np.float32], *, shares: bool
    ) -> tuple[Floats, Floats]:
        """Run n chains on uniforms (S+1, F, n); returns final states (A, n) and, if asked for, the mean conditional
        probabilities (F, n) of the later half of the sweeps.

        Every operation works element by element along n, so that a chain's result cannot depend on its company (a
        matrix product's rounding could).
        """
        free = self._free(request)
        blocks = Blocks.of(self.vocabulary, self._canonical(request))
        led = {block[0]: block for block in blocks.drawn}  # drawn where the first of them stands
        alone = set(free) - blocks.off - {i for block in blocks.drawn for i in block}
        sweeps, n = uniforms.shape[0] - 1, uniforms.shape[2]
        state = np.empty((len(self.vocabulary), n))
        for name, value in request.items():
            state[self.vocabulary.index(name)] = value
        state[free] = np.where(uniforms[0] < self.marginals[free, None], 1.0, -1.0)
        state[sorted(blocks.off)] = -1.0
        field = np.repeat(self.bias[:, None], n, axis=1)  # A n, log-odds given all others; kept up to date
        for weight, row in zip(self.weights, state, strict=True):
            field += weight[:, None] * row
        uniform = uniforms[1:].clip(1e-7, 1 - 1e-7)
        logits = np.log(uniform / (1 - uniform))  # S F n; present if the field exceeds the uniform's logit
        kept = np.zeros((len(free), n))
        for sweep in range(sweeps):
            for place, i in enumerate(free):
                if i in led:
                    places = [free.index(k) for k in led[i]]
                    scores = block_scores(field, self.weights, state, led[i])
                    chosen = draw_one(scores, uniform[sweep, places])
                    for k, member in enumerate(led[i]):
                        self._set(state, field, member, np.where(chosen == k, 1.0, -1.0))
                    if shares and sweep >= sweeps // 2:
                        kept[places] += one_shares(scores)
                elif i in alone:
                    self._set(state, field, i, np.where(field[i] > logits[sweep, place], 1.0, -1.0))
                    if shares and sweep >= sweeps // 2:
                        kept[place] += 1 / (1 + np.exp(-field[i]))
        return state, kept / max(1, sweeps - sweeps // 2)

    def _set(self, state: Floats, field: Floats, i: int, new: Floats) -> None:
        """Give attribute ``i`` new values (n,), and bring the log-odds of all others up to date."""
        change = new - state[i]
        if change.any():
            field += self.weights[i][:, None] * change
            state[i] = new

    def _canonical(self, request: Mapping[str, float]) -> dict[str, float]:
        return {self.vocabulary.canonical(name): value for name, value in request.items()}

    def pair_share(self, first: tuple[str, bool], second: tuple[str, bool]) -> float:
        """Share of the training labels in which both attributes have the given values, counted."""
        (i, a), (j, b) = ((self.vocabulary.index(name), value) for name, value in (first, second))
        known = float(self.known[i, j])
        if i == j:
            present = float(self.pairs[i, i])
            return (present if a else known - present) / max(known, 1.0) if a == b else 0.0
        both = float(self.pairs[i, j])
        one, other = self.marginals[i] * known, self.marginals[j] * known  # exact where every label is known
        cell = {
            (True, True): both,
            (True, False): one - both,
            (False, True): other - both,
            (False, False): known - one - other + both,
        }[a, b]
        return max(0.0, round(float(cell)) / max(known, 1.0))

    def share(self, request: Mapping[str, float], *, estimate: bool = True) -> float:
        """Share of faces that meet the signs of a request: counted up to pairs, estimated by chains beyond.

        Graded values count by their sign; 0 is met by all. Without ``estimate`` the share of the rarest pair stands
        for the whole, which is at least the right one. The estimate ends early once it is far below :data:`RARE`.
        """
        wanted = tuple((name, value > 0) for name, value in request.items() if value != 0)
        if not wanted:
            return 1.0
        if len(wanted) == 1:
            return self.pair_share(wanted[0], wanted[0])
        if not estimate:
            return min(self.pair_share(a, b) for k, a in enumerate(wanted) for b in wanted[k + 1 :])
        result = self.pair_share(wanted[0], wanted[1])
        for k in range(2, len(wanted)):
            if result < RARE / 100:
                break
            prefix = wanted[: k + 1]
            if prefix not in self._shares:
                name, present = wanted[k]
                known = {n: 1.0 if v else -1.0 for n, v in wanted[:k]}
                chance = self.conditional_marginals(known, chains=_ESTIMATES)[self.vocabulary.index(name)]
                self._shares[prefix] = result * float(chance if present else 1 - chance)
            result = self._shares[prefix]
        return result

    def check(self, request: Mapping[str, float], *, estimate: bool = True) -> list[str]:
        """Refuse a request that cannot be; return one warning if it is implausible.

        Args:
            request: names and values.
            estimate: as for :meth:`share`.

        Raises:
            RequestError: two wanted attributes exclude each other by a stated group, or were never seen together
                although chance alone would have brought them together.
        """
        check_exclusive(self.vocabulary, request)
        names = [(name, value > 0) for name, value in request.items() if value != 0]
        for k, first in enumerate(names):
            for second in names[k + 1 :]:
                known = int(self.known[self.vocabulary.index(first[0]), self.vocabulary.index(second[0])])
                expected = self.pair_share(first, first) * self.pair_share(second, second) * known
                if expected >= _EXPECTED and self.pair_share(first, second) == 0:
                    raise RequestError(
                        f"{_signed(*first)} and {_signed(*second)} exclude each other: none of the {known:,} "
                        f"training labels has both, where chance would give {expected:,.0f}.",
                        field="attrs",
                        value=f"{_signed(*first)},{_signed(*second)}",
                    )
        share = self.share(request, estimate=estimate)
        if share >= RARE:
            return []
        count = share * self.rows
        how = f"about {count:,.0f} of the {self.rows:,} training labels have" if count >= 1 else "next to no label has"
        return [
            f"implausible request: {how} {', '.join(_signed(*pair) for pair in names)} together; "
            "expect less likely faces and more rejected draws."
        ]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a safetensors file; :meth:`from_arrays` reads them back."""
        rows = np.asarray([self.rows], dtype=np.int64)
        return {"bias": self.bias, "weights": self.weights, "pairs": self.pairs, "known": self.known, "rows": rows}

    @classmethod
    def from_arrays(cls, vocabulary: Vocabulary, arrays: Mapping[str, npt.NDArray[Any]]) -> Prior:
        """Inverse of :meth:`to_arrays`. Raises KeyError or ValueError on malformed content."""
        a = len(vocabulary)
        prior = cls(
            vocabulary, arrays["bias"], arrays["weights"], arrays["pairs"], arrays["known"], int(arrays["rows"][0])
        )
        if prior.bias.shape != (a,) or any(m.shape != (a, a) for m in (prior.weights, prior.pairs, prior.known)):
            raise ValueError("the prior's arrays do not fit the vocabulary")
        if not (np.isfinite(prior.bias).all() and np.isfinite(prior.weights).all()) or prior.rows < 1:
            raise ValueError("the prior's arrays are not finite")
        return prior


def stream(seed: int, draw: int, purpose: str) -> np.random.Generator:
    """The random stream of one draw for one purpose; independent of every other draw's."""
    key = (draw, {"prior": 0, "latent": 1}[purpose])
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))


def check_exclusive(vocabulary: Vocabulary, request: Mapping[str, float]) -> None:
    """Raise RequestError if a request wants two attributes that exclude each other, or none of all classes."""
    for group in vocabulary.exclusive:
        wanted = [name for name, value in request.items() if name in group and value > 0]
        rule = "exactly one" if group in vocabulary.one_of else "at most one"
        if len(wanted) > 1:
            raise RequestError(
                f"{wanted[0]} and {wanted[1]} exclude each other: {rule} of {', '.join(sorted(group))} holds.",
                field="attrs",
                value=",".join(wanted),
            )
        if not wanted and group in vocabulary.one_of and group <= request.keys():
            raise RequestError(
                f"exactly one of {', '.join(sorted(group))} holds, and the request wants none of them.",
                field="attrs",
                value=",".join(f"-{name}" for name in sorted(group)),
            )


def _signed(name: str, present: bool) -> str:
    return name if present else f"-{name}"
