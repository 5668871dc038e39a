"""Do error rates differ between groups of people at one threshold? Demographic differentials.

What ISO/IEC 19795-10 (2024) and NIST's face recognition evaluation (Grother, "Face Recognition Vendor Test, Part 8:
Summarizing Demographic Differentials", NISTIR 8429, 2022) summarise groups by, each for FMR and for FNMR:

- the worst group over the geometric mean of all, 1 where all are alike;
- the Gini coefficient, 0 where all are alike, 1 where one group has all errors; its mean over both rates is
  GARBE (Howard, Laird and Sirotin, "Evaluating Proposed Fairness Models for Face Recognition Algorithms", 2022);
- the fairness discrepancy rate, 1 where all are alike: one less the mean of both largest differences (de Freitas
  Pereira and Marcel, "Fairness in Biometrics: A Figure of Merit", IEEE T-BIOM 4, 2022).

All of them are larger than those of a fair system by chance alone, the more so the rarer the errors. So each stands
beside its 95th percentile in a system whose groups have one common rate, and only a test with a stated error rate says
that groups differ (:mod:`cfgan.testsets.scores.flags`).

Groups may stand in unlike shares in easy and hard strata: a rare one has fewer look-alikes to choose from, so that its
nearest pairs are others. Rates are therefore standardised: means over the strata that hold every group, in which each
stratum weighs the same for all, as it would to compare two of them best (Mantel and Haenszel, 1959). Where no stratum
holds every group, as in a factorial set, whose strata are the groups, they are plain rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import InputError, nearest
from cfgan.testsets.folder import Testset
from cfgan.testsets.scores.bootstrap import Means, plain_interval
from cfgan.testsets.scores.comparisons import Comparisons, Kind
from cfgan.testsets.scores.flags import against_rest, holm, inflation
from cfgan.testsets.scores.operating_points import OperatingPoint
from cfgan.testsets.scores.rates import Bools, Floats

Ints = npt.NDArray[np.int64]

_DRAWS = 2000  # of a fair system
_MEASURES = ("max_over_geometric_mean", "gini", "largest_difference")


def groups_of(testset: Testset, names: Sequence[str]) -> dict[str, Bools]:
    """Group -> mask (n,) of the comparisons in which both faces belong to it.

    Args:
        testset: with comparisons.
        names: attributes whose values make the groups, all combinations of them; empty: the crossed attributes of a
            factorial set, none in others.

    Raises:
        InputError: no comparison states a value of an attribute.
    """
    pairs = testset.pairs
    if not names:
        if testset.design != "factorial":
            return {}
        cells = dict.fromkeys(pair.stratum for pair in pairs)
        return {cell: np.asarray([pair.stratum == cell for pair in pairs], dtype=np.bool_) for cell in cells}
    stated = {value.lstrip("-") for pair in pairs for value in pair.matched}
    for name in names:
        if name not in stated:
            near = nearest(name, stated) or sorted(stated)[:3]
            raise InputError(
                f"no two faces are said to share a value of {name!r}.", field="--by", value=name, nearest=near
            )
    rows: dict[str, list[int]] = {}
    for k, pair in enumerate(pairs):
        values = [value for name in names for value in pair.matched if value.lstrip("-") == name]
        if len(values) == len(names):
            rows.setdefault(",".join(values), []).append(k)
    masks = {}
    for name in sorted(rows):
        masks[name] = np.zeros(len(pairs), np.bool_)
        masks[name][rows[name]] = True
    return masks


def differentials(
    comparisons: Comparisons,
    groups: Mapping[str, Bools],
    point: OperatingPoint,
    *,
    resamples: int,
    seed: int,
    flag_error_rate: float,
) -> dict[str, Any] | None:
    """Error rates of groups at one threshold, and by how much they differ.

    Args:
        comparisons: the scores.
        groups: of :func:`groups_of`.
        point: whose one threshold is used for all folds and groups.
        resamples, seed: of the subjects, behind each interval.
        flag_error_rate: chance that any group is flagged where none differs.

    Returns:
        ``point``, ``threshold``; ``sides``, one an error rate (the kind of comparison, the strata over which its rates
        are standardised, its groups worst first, and the measures); ``garbe`` and ``fdr`` over FMR and FNMR where both
        are there. None with fewer than two groups.
    """
    if len(groups) < 2:
        return None
    sides = []
    for kind in comparisons.kinds:
        of = comparisons.of(kind) & comparisons.scored
        own = {name: mask & of for name, mask in groups.items() if (mask & of).any()}
        if len(own) >= 2:
            sides.append(_Side(comparisons, kind, own, point.plain, seed))
    for weights in comparisons.subjects.weights(resamples, seed):
        for side in sides:
            side.resample(weights)
    p = holm([each for side in sides for each in side.p])
    found = []
    for side in sides:
        own_p, p = p[: len(side.p)], p[len(side.p) :]
        found.append(side.to_dict(own_p, flag_error_rate))
    return {
        "point": point.name,
        "threshold": point.threshold,
        "flagged": any(group["flag"] for side in found for group in side["groups"]),
        "sides": found,
        **_joint(sides),
    }


class _Side:
    """One kind of comparison in all groups; rates (G,), resampled (B, G) and of fair systems (R, G)."""

    n: Ints
    errors: Ints

    def __init__(
        self,
        comparisons: Comparisons,
        kind: Kind,
        groups: Mapping[str, Bools],
        error: Bools,
        seed: int,
    ) -> None:
        self.kind, self.names = kind, list(groups)
        masks, subjects = list(groups.values()), comparisons.subjects
        names, label = comparisons.strata
        sizes = np.stack([np.bincount(label[mask], minlength=len(names)) for mask in masks])  # G S
        common: Bools = np.all(sizes > 0, axis=0)
        self.strata = [name for name, held in zip(names, common, strict=True) if held]
        if self.strata:
            masks = [mask & common[label] for mask in masks]
        else:  # one stratum of all
            label = np.zeros(len(label), dtype=np.int64)
            sizes, common = np.stack([[mask.sum()] for mask in masks]), np.ones(1, dtype=np.bool_)
        sizes = sizes * common
        weight = np.where(common, 1 / (1 / np.maximum(sizes, 1)).sum(0), 0.0)  # S
        weight /= weight.sum()
        self.n = sizes.sum(1)
        self.errors = np.asarray([(error & mask).sum() for mask in masks])
        shares = [mask * (weight / np.maximum(size, 1))[label] for mask, size in zip(masks, sizes, strict=True)]
        self._means = Means.of(shares, [error] * len(masks))
        self.rates = self._means.values
        self._resampled: list[Floats] = []
        of = np.logical_or.reduce(masks)
        self.against = against_rest(error, masks, of, subjects, label)
        self.p = [each.p for each in self.against]
        # As many independent comparisons as would be as unsure, and in each stratum one common rate for all groups.
        wrong = np.bincount(label[of & error], minlength=len(weight))
        pooled = np.divide(wrong, sizes.sum(0), out=np.zeros(len(weight)), where=common)
        effective = np.maximum(1, np.round(sizes / inflation(error, of, subjects, label))).astype(np.int64)
        drawn = np.random.default_rng([seed, 1]).binomial(effective, pooled, (_DRAWS, *effective.shape))
        self.fair, self._fair_n = (drawn / effective) @ weight, (effective * common).sum(1)

    def resample(self, weights: Floats) -> None:
        """Add resamples (B, n)."""
        self._resampled.append(self._means.resampled(weights))

    @property
    def resampled(self) -> Floats:
        """(B, G) of all resamples."""
        return np.concatenate(self._resampled)

    def measures(self) -> dict[str, tuple[float, Floats, Floats]]:
        """Measure -> its value, resampled values and those of fair systems."""
        return {
            "max_over_geometric_mean": (
                float(_over_mean(self.rates[None], self.n)[0]),
                _over_mean(self.resampled, self.n),
                _over_mean(self.fair, self._fair_n),
            ),
            "gini": (float(gini(self.rates[None])[0]), gini(self.resampled), gini(self.fair)),
            "largest_difference": (
                float(_spread(self.rates[None])[0]),
                _spread(self.resampled),
                _spread(self.fair),
            ),
        }

    def to_dict(self, p: Sequence[float], flag_error_rate: float) -> dict[str, Any]:
        groups: list[dict[str, Any]] = []
        resampled = self.resampled
        for k, name in enumerate(self.names):
            low, high = plain_interval(resampled[:, k])
            flag = ("worse" if self.against[k].gap > 0 else "better") if p[k] <= flag_error_rate else ""
            groups.append(
                {
                    "group": name,
                    "n": int(self.n[k]),
                    "errors": int(self.errors[k]),
                    "rate": float(self.rates[k]),
                    "interval": [low, high],
                    "p_holm": p[k],
                    "flag": flag,
                }
            )
        measures = {name: _measure(*values) for name, values in self.measures().items()}
        groups.sort(key=lambda group: -float(group["rate"]))
        about = {"kind": self.kind.key, "error": self.kind.error, "strata": self.strata}
        return {**about, "groups": groups, "measures": measures}


def _joint(sides: Sequence[_Side]) -> dict[str, Any]:
    """GARBE and FDR, both errors weighing the same; of mated comparisons, else of presumed ones."""
    false_matches = [side for side in sides if not side.kind.positive]
    others = [side for side in sides if side.kind.positive]
    if not false_matches or not others:
        return {"garbe": None, "fdr": None}
    one, other = false_matches[0].measures(), others[0].measures()

    def joined(name: str) -> tuple[float, Floats, Floats]:
        first, second = one[name], other[name]
        return (first[0] + second[0]) / 2, (first[1] + second[1]) / 2, (first[2] + second[2]) / 2

    spread = joined("largest_difference")
    fdr = _measure(1 - spread[0], 1 - spread[1], 1 - spread[2], low=True)
    return {"garbe": _measure(*joined("gini")), "fdr": fdr}


def gini(rates: Floats) -> Floats:
    """The Gini coefficient of rates (B, G), corrected for few groups, (B,); 0 where all are 0."""
    groups = rates.shape[1]
    total = np.abs(rates[:, :, None] - rates[:, None, :]).sum((1, 2))
    mean = rates.mean(1)
    found = np.divide(total, 2 * groups**2 * mean, out=np.zeros_like(mean), where=mean > 0)
    result: Floats = found * groups / (groups - 1)
    return result


def _over_mean(rates: Floats, n: np.ndarray[Any, Any]) -> Floats:
    """The largest of rates (B, G) over their geometric mean, (B,).

    Half an error is added to each group, so that one without an error has a logarithm.
    """
    smooth = (rates * n + 0.5) / (n + 1)
    result: Floats = smooth.max(1) / np.exp(np.log(smooth).mean(1))
    return result


def _spread(rates: Floats) -> Floats:
    result: Floats = rates.max(1) - rates.min(1)
    return result


def _measure(value: float, resampled: Floats, fair: Floats, *, low: bool = False) -> dict[str, Any]:
    """A measure, its interval, and what a fair system reaches in one of twenty sets (``low``: falls to)."""
    low_end, high_end = plain_interval(resampled)
    return {"value": value, "interval": [low_end, high_end], "fair": float(np.quantile(fair, 0.05 if low else 0.95))}
