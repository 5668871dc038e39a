"""How close one set of features is to another: Fréchet and kernel distance, precision, recall, density, coverage.

A Fréchet distance of finite sets is above 0 even for two halves of one data set, and the more so the fewer rows there
are: hence equal counts, and that *floor* beside it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError

Features = npt.NDArray[np.floating[Any]]
"""(N, D): one row an image."""

_ROWS = 2048  # rows of a block: 2,048 x 10,000 float32 distances are 80 MB
_ROUNDING = 1e-6  # share of the squared lengths that float32 products may be wrong by


@dataclass(frozen=True)
class Moments:
    """Mean (D,), covariance (D, D; divided by N - 1) and count of a feature set, in float64."""

    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]
    count: int

    def __post_init__(self) -> None:
        d = len(self.mean)
        if self.mean.ndim != 1 or self.covariance.shape != (d, d):
            raise DataError(f"moments of shapes {self.mean.shape} and {self.covariance.shape} do not fit together.")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.covariance).all()):
            raise DataError("moments hold values that are not finite.")

    @classmethod
    def of(cls, features: Features) -> Moments:
        """Moments of features (N, D), in blocks of rows. Raises DataError: fewer than two rows, or not finite."""
        _check(features, least=2)
        mean = features.mean(0, dtype=np.float64)
        covariance = np.zeros((len(mean), len(mean)))
        for start in range(0, len(features), _ROWS):
            block = features[start : start + _ROWS].astype(np.float64) - mean
            covariance += block.T @ block
        return cls(mean, covariance / (len(features) - 1), len(features))


def frechet_distance(a: Features | Moments, b: Features | Moments) -> float:
    """Squared Fréchet distance of two Gaussians with the sets' moments (Heusel et al., NeurIPS 2017).

    ``|mean_a - mean_b|^2 + tr(A) + tr(B) - 2 tr sqrt(sqrt(A) B sqrt(A))``. With A = F'F and B = G'G the last trace is
    the sum of the singular values of F G'. Of N <= D features, F is they themselves, centred: no root is taken of
    eigenvalues that are zero but for rounding, which leaves half of the digits (and does where moments are given).

    Args:
        a, b: features (N, D) and (M, D), or moments.

    Returns:
        At least 0, in squared feature units.

    Raises:
        DataError: dimensions differ, fewer than two rows, values not finite, a covariance that is none.
    """
    from scipy.linalg import svdvals

    (mean_a, factor_a), (mean_b, factor_b) = _factor(a), _factor(b)
    if len(mean_a) != len(mean_b):
        raise DataError(f"features of {len(mean_a)} and {len(mean_b)} dimensions cannot be compared.")
    shift = mean_a - mean_b
    traces = float((factor_a**2).sum() + (factor_b**2).sum())
    distance = float(shift @ shift) + traces - 2 * float(svdvals(factor_a @ factor_b.T).sum())
    return max(0.0, distance)  # rounding may leave -1e-13


def _factor(data: Features | Moments) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean (D,) and a matrix F (R, D) with F'F = covariance, of as few rows as there are."""
    from scipy.linalg import eigh

    if not isinstance(data, Moments):
        _check(data, least=2)
        if len(data) <= data.shape[1]:
            mean = data.mean(0, dtype=np.float64)
            return mean, (data.astype(np.float64) - mean) / math.sqrt(len(data) - 1)
        data = Moments.of(data)
    values, vectors = eigh(data.covariance)
    largest = max(float(values[-1]), 0.0)
    if values[0] < -1e-6 * largest or (largest == 0 and values[0] < 0):
        raise DataError("a covariance has negative eigenvalues.")
    keep = values > largest * len(values) * np.finfo(np.float64).eps
    return data.mean, np.sqrt(values[keep])[:, None] * vectors[:, keep].T


def kid(a: Features, b: Features, *, subsets: int = 50, subset_size: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Kernel distance: unbiased squared MMD with the kernel (x.y / D + 1)^3 (Binkowski et al., ICLR 2018).

    Mean over random subsets, each without replacement. A subset holds at most half of the smaller set, or all subsets
    would be the same; the estimate is unbiased at any size, so figures of different sizes can be compared.

    Args:
        a, b: features (N, D) and (M, D).
        subsets: how many.
        subset_size: rows of a subset, at most.
        seed: of the subsets.

    Returns:
        The mean, which may be below 0 where the sets are alike, and its standard error: how far the mean would scatter
        if *other images* of the same two sources were measured. It is the delete-d jackknife (Shao and Wu, Annals of
        Statistics 1989), s^2 (m / (n - m) + 1 / subsets), with s the scatter over subsets of m of n rows: not
        s / sqrt(subsets), which only says how well all subsets of these images were averaged. Where both sets have
        the same source it is too large rather than too small.

    Raises:
        DataError: fewer than four rows, dimensions differ, values not finite.
    """
    _check(a, least=4)
    _check(b, least=4, dimensions=a.shape[1])
    n = min(len(a), len(b))
    m = min(subset_size, n // 2)
    if subsets < 2 or m < 2:
        raise DataError("needs at least two subsets of at least two rows.", field="subset_size", value=subset_size)
    rng = np.random.default_rng(seed)
    pairs = ([rng.choice(len(side), m, replace=False) for side in (a, b)] for _ in range(subsets))
    values = np.asarray([_mmd(a[rows], b[others]) for rows, others in pairs])
    error = values.std(ddof=1) * math.sqrt(m / (n - m) + 1 / subsets)
    return float(values.mean()), float(error)


def _mmd(a: Features, b: Features) -> float:
    """Unbiased squared MMD of two sets of m rows; the products in the features' own precision, the sums in float64."""
    m, d = a.shape

    def kernel(x: Features, y: Features) -> npt.NDArray[np.float64]:
        product = (x @ y.T).astype(np.float64)
        product /= d
        product += 1
        return product * product * product

    within = 0.0
    for side in (a, b):
        k = kernel(side, side)
        within += float(k.sum() - np.trace(k))
    return float(within / (m * (m - 1)) - 2 * kernel(a, b).mean())


def precision_recall_density_coverage(real: Features, fake: Features, k: int = 5) -> dict[str, float]:
    """Shares of each set inside the k-nearest-neighbour balls of the other.

    ``precision``: fakes inside any real ball; ``recall``: reals inside any fake ball (Kynkäänniemi et al., NeurIPS
    2019). ``density``: real balls around a fake, divided by k, may exceed 1; ``coverage``: real balls that hold a fake
    (Naeem et al., ICML 2020). The ball of a point reaches to its k-th neighbour in its own set, itself not counted; a
    point on the edge is inside. Distances are Euclidean, from float32 products of features centred on the real mean;
    memory is bounded by blocks of rows.

    Args:
        real: features (N, D).
        fake: features (M, D); equal counts, or precision and recall are not comparable.
        k: neighbours, at least 1 and less than N and M.

    Raises:
        DataError: too few rows for k, dimensions differ, values not finite.
    """
    if k < 1:
        raise DataError("must be at least 1.", field="k", value=k)
    _check(real, least=k + 1)
    _check(fake, least=k + 1, dimensions=real.shape[1])
    # Centred, because a common offset would eat the digits that float32 has for the differences.
    centre = real.mean(0, dtype=np.float64)
    x, y = ((side - centre).astype(np.float32) for side in (real, fake))
    x2, y2 = np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y)
    x_radius, y_radius = _radii(x, x2, k), _radii(y, y2, k)
    inside, balls, recalled, covered = np.zeros(len(y), bool), 0, np.zeros(len(x), bool), np.zeros(len(x), bool)
    for rows in _blocks(len(x)):
        distance = _squared(x[rows], x2[rows], y, y2)  # n M
        in_real = distance <= x_radius[rows, None]
        inside |= in_real.any(0)
        balls += int(np.count_nonzero(in_real))
        covered[rows] = in_real.any(1)
        recalled[rows] = (distance <= y_radius).any(1)
    return {
        "precision": float(inside.mean()),
        "recall": float(recalled.mean()),
        "density": balls / (k * len(y)),
        "coverage": float(covered.mean()),
    }


def _blocks(rows: int) -> list[slice]:
    return [slice(start, min(start + _ROWS, rows)) for start in range(0, rows, _ROWS)]


def _squared(
    a: npt.NDArray[np.float32], a2: npt.NDArray[np.float32], b: npt.NDArray[np.float32], b2: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Squared distances (n, M); rounding may leave one a little below 0."""
    distance: npt.NDArray[np.float32] = a @ b.T
    distance *= -2
    distance += a2[:, None]
    distance += b2
    return distance


def _radii(x: npt.NDArray[np.float32], x2: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.float32]:
    """Squared distance to the k-th neighbour (N,), widened by what rounding may hide: an edge counts as inside."""
    radius = np.empty(len(x), np.float32)
    for rows in _blocks(len(x)):
        distance = _squared(x[rows], x2[rows], x, x2)
        distance[np.arange(len(distance)), np.arange(rows.start, rows.stop)] = np.inf
        distance.partition(k - 1, axis=1)
        radius[rows] = np.maximum(distance[:, k - 1], 0)
    return radius + _ROUNDING * (x2 + radius)


def intra_attribute_fd(
    names: Sequence[str],
    real: Features,
    labels: Features,
    fake: Features,
    conditions: Features,
    *,
    least: int = 100,
    most: int = 500,
    floor: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Fréchet distance within each value of each attribute (the intra-class FID of Miyato and Koyama, ICLR 2018).

    Reals labelled *yes* against fakes asked *yes*, and the same for *no*, n of each. The distance falls with n: compare
    values of the same n only, or each with its floor, the distance of n of those reals from n others. With ``floor``,
    n is at most half of the reals, so that both figures are at the same n.

    Args:
        names: of the A attributes.
        real: features (N, D).
        labels: (N, A); above 0 yes, below 0 no, NaN unknown.
        fake: features (M, D).
        conditions: (M, A); above 0 asked for, below 0 asked away, 0 or NaN neither.
        least: below this n (reals or fakes) the distance is NaN.
        most: n at most; more rows are drawn from by ``seed``.
        floor: also measure reals against reals.
        seed: of the subsets; an attribute's subsets do not depend on which others are there.

    Returns:
        ``attributes``: name -> "yes" and "no" -> ``n``, ``distance`` and, if asked for, ``floor``; ``distance`` and
        ``floor``: means over the values that are not NaN.

    Raises:
        DataError: shapes do not fit, values not finite.
    """
    _check(real, least=2)
    _check(fake, least=2, dimensions=real.shape[1])
    if labels.shape != (len(real), len(names)) or conditions.shape != (len(fake), len(names)):
        raise DataError(f"labels {labels.shape} or conditions {conditions.shape} do not fit the features and names.")
    if not 2 <= least <= most:
        raise DataError("must be at least 2 and no more than most.", field="least", value=least)
    attributes: dict[str, dict[str, dict[str, Any]]] = {}
    for i, name in enumerate(names):
        attributes[name] = {}
        for value, sign in (("yes", 1), ("no", -1)):
            rng = np.random.default_rng([seed, zlib.crc32(name.encode()), value == "yes"])
            reals = rng.permutation(np.flatnonzero(sign * labels[:, i] > 0))
            fakes = rng.permutation(np.flatnonzero(sign * conditions[:, i] > 0))
            n = min(len(reals) // 2 if floor else len(reals), len(fakes), most)
            enough = n >= least
            first = real[reals[:n]]
            row = {"n": n, "distance": frechet_distance(first, fake[fakes[:n]]) if enough else math.nan}
            if floor:
                row["floor"] = frechet_distance(first, real[reals[n : 2 * n]]) if enough else math.nan
            attributes[name][value] = row
    result: dict[str, Any] = {"attributes": attributes}
    for figure in ("distance", "floor") if floor else ("distance",):
        known = [row[figure] for both in attributes.values() for row in both.values() if not math.isnan(row[figure])]
        result[figure] = float(np.mean(known)) if known else math.nan
    return result


@dataclass(frozen=True)
class Fidelity:
    """What :func:`measure_fidelity` found. ``n`` rows on each side; ``floor`` is NaN where it was not measured."""

    extractor: str
    n: int
    distance: float
    floor: float
    kid: float
    kid_error: float
    k: int
    precision: float
    recall: float
    density: float
    coverage: float

    @property
    def distance_name(self) -> str:
        """What the distance may be called: FID over the published Inception weights only."""
        return "FID" if self.extractor == "inception" else f"FD-{self.extractor}"

    def to_dict(self) -> dict[str, Any]:
        """Plain figures, ``distance_name`` among them."""
        return {"distance_name": self.distance_name, **asdict(self)}


def equal_counts(sets: Sequence[Features], rng: np.random.Generator) -> tuple[int, list[Features]]:
    """As many rows of each set as the smallest has, drawn by ``rng``, in their order; and how many."""
    n = min(map(len, sets))
    return n, [rows[np.sort(rng.permutation(len(rows))[:n])] for rows in sets]


def measure_fidelity(
    extractor: str, real: Features, fake: Features, *, others: Features | None = None, k: int = 5, seed: int = 0
) -> Fidelity:
    """All figures of two sets, at equal counts: the larger set is drawn from by ``seed``.

    Args:
        extractor: its name.
        real: features (N, D).
        fake: features (M, D).
        others: features of other real images (L, D). Their distance from ``real`` is the floor, and no more rows than
            they have are used on any side, so that both distances are at the same count.
        k: neighbours for precision, recall, density and coverage.
        seed: of all subsets.

    Raises:
        DataError: too few rows, dimensions differ, values not finite.
    """
    sets = [real, fake] if others is None else [real, fake, others]
    n, (real, fake, *rest) = equal_counts(sets, np.random.default_rng(seed))
    kernel, error = kid(real, fake, seed=seed)
    return Fidelity(
        extractor=extractor,
        n=n,
        distance=frechet_distance(real, fake),
        floor=frechet_distance(real, rest[0]) if rest else math.nan,
        kid=kernel,
        kid_error=error,
        k=k,
        **precision_recall_density_coverage(real, fake, k),
    )


def _check(features: Features, *, least: int, dimensions: int | None = None) -> None:
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
        raise DataError(f"features must be floating-point (N, D), not {features.dtype} {features.shape}.")
    if len(features) < least:
        raise DataError(f"{len(features)} images are too few: at least {least} are needed.")
    if dimensions is not None and features.shape[1] != dimensions:
        raise DataError(f"features of {dimensions} and {features.shape[1]} dimensions cannot be compared.")
    if not np.isfinite(features).all():
        raise DataError("features hold values that are not finite.")
