"""The face embedders' error rates on real pairs, and the similarity at which they reach a wanted one.

``dlib_resnet.json``, ``faceres.json`` and those of 128 pixels beside this file were measured by
``benchmarks/identity.py``; they hold figures only. A recogniser sees more in a larger picture, so what is asked for is
what was measured at the nearest side.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import BundleError, InputError
from cfgan.external.face_embedder import DLIB, FACERES
from cfgan.io.files import read_json_object

_STEMS = {DLIB: "dlib_resnet", FACERES: "faceres"}
_SIDES = (64, 128)
FILES = {
    name: {side: Path(__file__).parent / f"{stem}{'' if side == 64 else f'_{side}'}.json" for side in _SIDES}
    for name, stem in _STEMS.items()
}
"""Embedder -> side in pixels of the pictures that were measured -> its figures."""

_GRID = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5]
"""Error rates whose thresholds are kept; those between are interpolated."""

_RESAMPLES = 200  # of the people, behind each interval

Floats = npt.NDArray[np.float32]


def measure_operating_points(vectors: Floats, people: npt.NDArray[np.int64], seed: int = 0) -> dict[str, Any]:
    """Thresholds chosen on one half of the people, error rates reported on the other.

    Args:
        vectors: float32 (N, D) of an embedder.
        people: (N,) person numbers.
        seed: of the split.

    Returns:
        Plain figures: ``fmr`` and ``fnmr``, lists of {rate, similarity, reported, interval}, the interval by bootstrap
        over people, since pairs with a common person are not independent; AUC and EER of the reporting half; how many
        people and pairs.
    """
    from sklearn.metrics import roc_auc_score

    names = np.random.default_rng(seed).permutation(np.unique(people))
    choosing = np.isin(people, names[: len(names) // 2])
    mated, nonmated = similarities(vectors[choosing], people[choosing])
    mated_2, nonmated_2 = similarities(vectors[~choosing], people[~choosing])
    labels = np.r_[np.ones(len(mated_2), bool), np.zeros(len(nonmated_2), bool)]
    thresholds = np.sort(np.r_[mated_2, np.quantile(nonmated_2, np.linspace(0, 1, 2001))])
    errors = [max(float((nonmated_2 >= t).mean()), float((mated_2 < t).mean())) for t in thresholds]
    held = _Held(vectors[~choosing], people[~choosing], seed)
    return {
        "people": len(names),
        "pairs": {"mated": len(mated) + len(mated_2), "nonmated": len(nonmated) + len(nonmated_2)},
        "auc": round(float(roc_auc_score(labels, np.r_[mated_2, nonmated_2])), 4),
        "eer": round(min(errors), 4),
        "fmr": [held.point(rate, float(np.quantile(nonmated, 1 - rate)), mated=False) for rate in _GRID],
        "fnmr": [held.point(rate, float(np.quantile(mated, rate)), mated=True) for rate in _GRID],
    }


class _Held:
    """The half of the people that error rates are reported on."""

    def __init__(self, vectors: Floats, people: npt.NDArray[np.int64], seed: int) -> None:
        from sklearn.metrics import pairwise_distances

        self._alike = -pairwise_distances(vectors)
        self._same = people[:, None] == people[None]
        _, place = np.unique(people, return_inverse=True)
        rng = np.random.default_rng([seed, 1])
        drawn = rng.multinomial(place.max() + 1, np.full(place.max() + 1, 1 / (place.max() + 1)), _RESAMPLES)
        self._weights = np.concatenate([np.ones((1, len(people))), drawn[:, place]])  # first the sample itself

    def point(self, rate: float, similarity: float, *, mated: bool) -> dict[str, Any]:
        """One threshold, as it turns out on these people."""
        pairs = self._same & ~np.eye(len(self._same), dtype=bool) if mated else ~self._same
        wrong = pairs & (self._alike < similarity if mated else self._alike >= similarity)
        found = self._counts(wrong, mated=mated) / self._counts(pairs, mated=mated)
        low, high = np.quantile(found[1:], [0.025, 0.975])
        return {
            "rate": rate,
            "similarity": round(similarity, 5),
            "reported": round(float(found[0]), 6),
            "interval": [round(float(low), 6), round(float(high), 6)],
        }

    def _counts(self, pairs: npt.NDArray[np.bool_], *, mated: bool) -> npt.NDArray[np.float64]:
        """How many of some pairs are in the sample and in each resample: a pair of one person as often as that person
        was drawn, one of two persons as often as the product."""
        first = self._weights @ pairs.astype(np.float32)
        return np.asarray((first if mated else first * self._weights).sum(1), dtype=np.float64)


def similarities(vectors: Floats, people: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Minus the distances of all mated and of all non-mated pairs of some embedded faces."""
    from sklearn.metrics import pairwise_distances

    above = np.triu_indices(len(people), 1)
    alike = np.asarray(-pairwise_distances(vectors)[above], dtype=np.float32)
    same = (people[:, None] == people[None])[above]
    return alike[same], alike[~same]


@cache
def operating_points(embedder: str = DLIB, side: int = _SIDES[0]) -> dict[str, Any]:
    """The shipped figures of an embedder, one of :data:`FILES`, on pictures of the side nearest to ``side`` pixels.

    Raises:
        BundleError: the file is damaged.
    """
    files = FILES[embedder]
    try:
        return read_json_object(files[min(files, key=lambda known: abs(known - side))])
    except ValueError as error:
        raise BundleError(f"the face embedder's figures are damaged: {error}.") from None


def similarity_at(kind: str, rate: float, embedder: str = DLIB, side: int = _SIDES[0]) -> float:
    """The similarity at which an embedder's error rate on real pairs is ``rate``.

    Args:
        kind: "fmr", false match rate (non-mated pairs at or above it), or "fnmr", false non-match rate.
        rate: 0.0005 to 0.5.
        embedder: one of :data:`FILES`.
        side: of the pictures, in pixels.

    Raises:
        InputError: a rate that the measured pairs do not support.
    """
    points = operating_points(embedder, side)[kind]
    rates = [point["rate"] for point in points]
    if not rates[0] <= rate <= rates[-1]:
        raise InputError(
            f"{rate:g} is outside {rates[0]:g} to {rates[-1]:g}, which the real pairs behind the embedder support.",
            field=kind.upper(),
            value=rate,
            nearest=[min(rates, key=lambda known: abs(known - rate))],
        )
    return float(np.interp(np.log(rate), np.log(rates), [point["similarity"] for point in points]))


def real_match_rate(similarity: float, embedder: str = DLIB, side: int = _SIDES[0]) -> float:
    """The share of real mated pairs, two pictures of one person, that an embedder finds at least so similar.

    Interpolated between the measured false non-match rates; where ``similarity`` lies outside those, the nearest.
    """
    points = sorted(operating_points(embedder, side)["fnmr"], key=lambda point: float(point["similarity"]))
    rates = np.log([point["rate"] for point in points])
    return 1 - float(np.exp(np.interp(similarity, [point["similarity"] for point in points], rates)))
