"""Which attributes go together: phi of every pair, their order by clustering, exclusive and implied pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.stats.intervals import wilson_interval

Counts = npt.NDArray[np.int64]
Figures = npt.NDArray[np.float64]

KINDS = ("exclusive", "implies", "one_of")
"""Never both; the first never without the second; never neither."""


@dataclass(frozen=True)
class Relation:
    """Two values that (almost) never meet, far more seldom than chance would have them meet.

    Args:
        kind: one of :data:`KINDS`.
        first, second: attributes: "exclusive": never both; "implies": who has the first has the second; "one_of":
            everybody has one of them at least.
        n: rows where both are known.
        rarer: rows with the rarer of the two values that do not meet.
        exceptions: rows where they meet all the same.
        expected: rows where they would meet if the two were independent.
        upper: upper end of the 95 % interval (Wilson) of exceptions / rarer.
        p: one-sided p of Fisher's exact test that they meet so seldom by chance, times the number of cells tested
            (Bonferroni), at most 1.
    """

    kind: str
    first: str
    second: str
    n: int
    rarer: int
    exceptions: int
    expected: float
    upper: float
    p: float

    @property
    def share(self) -> float:
        """exceptions / rarer."""
        return self.exceptions / self.rarer


def phi_matrix(pairs: Counts) -> Figures:
    """Phi, the correlation of two yes/no attributes (Yule 1912), over the rows where both are known.

    Args:
        pairs: int64 (2A, 2A) as of :meth:`cfgan.data.profile.statistics.Signs.pairs`.

    Returns:
        float64 (A, A), -1..1; NaN where one of the two has a single value there.
    """
    yes_yes, yes_no = pairs[0::2, 0::2].astype(float), pairs[0::2, 1::2].astype(float)
    no_yes, no_no = pairs[1::2, 0::2].astype(float), pairs[1::2, 1::2].astype(float)
    # A square root of each factor, for the product of four counts leaves the range of whole numbers.
    scale = np.sqrt(yes_yes + yes_no) * np.sqrt(no_yes + no_no) * np.sqrt(yes_yes + no_yes) * np.sqrt(yes_no + no_no)
    phi = np.full(scale.shape, np.nan)
    np.divide(yes_yes * no_no - yes_no * no_yes, scale, out=phi, where=scale > 0)
    return np.clip(phi, -1, 1)


def cluster_order(phi: Figures) -> list[int]:
    """The attributes so that those which go together stand together.

    Average linkage over 1 - abs(phi), leaves ordered optimally (Bar-Joseph et al. 2001). Pairs without a phi count
    as unrelated.
    """
    count = len(phi)
    if count < 3:
        return list(range(count))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    apart = 1 - np.abs(np.where(np.isnan(phi), 0.0, phi))
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform((apart + apart.T) / 2, checks=False), method="average", optimal_ordering=True)
    return [int(k) for k in leaves_list(tree)]


def find_relations(
    names: Sequence[str], pairs: Counts, *, tolerance: float = 0.01, alpha: float = 0.05
) -> tuple[list[Relation], int]:
    """Look through all four cells of the two by two table of every pair for one that is (almost) empty.

    A cell is reported if at most ``tolerance`` of the rarer of its two values lies in it, and if it is emptier than
    independence would have it, by Fisher's exact test, one-sided, at ``alpha`` after Bonferroni's correction for all
    cells tested. The first keeps out what is only rare, the second what is rare by chance, or because the attributes
    are.

    Args:
        names: A attributes.
        pairs: int64 (2A, 2A) as of :meth:`cfgan.data.profile.statistics.Signs.pairs`.
        tolerance: 0 for no exception at all.
        alpha: probability of reporting anything at all where all attributes are independent, at most.

    Returns:
        The relations, surest first (fewest exceptions, then most expected), and how many cells were tested.
    """
    from scipy.stats import hypergeom

    cells = []  # (signed value, signed value, n, rows with the one, rows with the other, rows with both)
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            table = pairs[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            n, ones, others = int(table.sum()), table.sum(1), table.sum(0)
            # With one value only there is nothing to go together with.
            if min(*ones, *others) > 0:
                cells += [
                    (2 * i + a, 2 * j + b, n, int(ones[a]), int(others[b]), int(table[a, b]))
                    for a in (0, 1)
                    for b in (0, 1)
                ]
    few = [cell for cell in cells if cell[5] <= tolerance * min(cell[3], cell[4])]
    if not few:
        return [], len(cells)
    rows, one, other, both = (np.asarray([cell[k] for cell in few]) for k in (2, 3, 4, 5))
    p = np.minimum(hypergeom.cdf(both, rows, one, other) * len(cells), 1)
    found = [
        _relation(names, cell, float(value)) for cell, value in zip(few, p.tolist(), strict=True) if value <= alpha
    ]
    return sorted(found, key=lambda row: (row.exceptions > 0, row.share, -row.expected)), len(cells)


def relation_cells(names: Sequence[str], relations: Sequence[Relation]) -> npt.NDArray[np.bool_]:
    """bool (2A, 2A), symmetric: pairs of signed values (see :class:`~cfgan.data.profile.statistics.Signs`) that do not
    meet."""
    cells = np.zeros((2 * len(names), 2 * len(names)), dtype=bool)
    place = {name: k for k, name in enumerate(names)}
    for row in relations:
        one = 2 * place[row.first] + (row.kind == "one_of")
        other = 2 * place[row.second] + (row.kind != "exclusive")
        cells[one, other] = cells[other, one] = True
    return cells


def _relation(names: Sequence[str], cell: tuple[int, int, int, int, int, int], p: float) -> Relation:
    one, other, n, with_one, with_other, both = cell
    kind = "implies" if one % 2 != other % 2 else "one_of" if one % 2 else "exclusive"
    first, second = (other, one) if kind == "implies" and one % 2 else (one, other)
    rarer = min(with_one, with_other)
    return Relation(
        kind,
        names[first // 2],
        names[second // 2],
        n,
        rarer,
        both,
        with_one * with_other / n,
        wilson_interval(both, rarer)[1],
        p,
    )
