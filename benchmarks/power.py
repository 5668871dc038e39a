"""How often a weakness in one group of people is found, and how often a fair system is accused.

    python benchmarks/power.py

Scores are drawn for a factorial set of four groups: normal ones, mated ones 4 higher, faces that are like everybody (a
third of a standard deviation), imposters of one group more alike. Each seed is another system and other people. A group
counts as found when ``cfgan testset score`` would flag it, and it alone, as worse; a fair system as accused when any
group is flagged for either error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from cfgan.testsets.folder import Pair, Testset
from cfgan.testsets.scores.comparisons import Comparisons, join_scores
from cfgan.testsets.scores.differentials import differentials, groups_of
from cfgan.testsets.scores.operating_points import at_threshold
from cfgan.testsets.scores.tables import ScoreTable

GROUPS = ("Male,Young", "Male,-Young", "-Male,Young", "-Male,-Young")
WEAK = GROUPS[2]
FOLDS = 5
LIKE_EVERYBODY = 0.33  # standard deviations that a face adds to all of its scores
FMR = 0.05  # of a group without a weakness, about: where the threshold lies


def image(subject: int, number: int = 1) -> str:
    return f"images/s{subject:05d}/s{subject:05d}_{number:04d}.png"


def factorial(each: int) -> Testset:
    """Each face once enrolled and once the probe of another of its group, and compared with itself changed."""
    pairs = []
    for g, group in enumerate(GROUPS):
        for k in range(each):
            face, other = g * each + k, g * each + (k + FOLDS) % each
            for mated, b in (("0", image(other)), ("presumed", image(face, 2))):
                name, matched, fold = f"p{len(pairs) + 1:06d}", tuple(group.split(",")), k % FOLDS + 1
                pairs.append(Pair(name, image(face), b, mated, group, "", matched, (), (), None, fold))  # type: ignore[arg-type]
    return Testset(Path("drawn"), {"design": "factorial"}, {}, tuple(pairs), ())


class Drawn:
    """A set and the systems that score it."""

    def __init__(self, each: int) -> None:
        self.testset = factorial(each)
        pairs = self.testset.pairs
        self._mated = np.asarray([pair.mated != "0" for pair in pairs])
        self._weak = np.asarray([pair.stratum == WEAK for pair in pairs]) & ~self._mated
        self._subject = np.asarray([[int(f.split("/")[1][1:]) for f in (pair.a, pair.b)] for pair in pairs])
        self._faces = len(GROUPS) * each
        spread = float(np.sqrt(1 + 2 * LIKE_EVERYBODY**2))
        self.threshold = spread * 1.6449  # 5 % of the non-mated scores of a fair system lie above

    def comparisons(self, seed: int, shift: float = 0.0) -> Comparisons:
        """The scores of one system on one set of people."""
        rng = np.random.default_rng(seed)
        effect = rng.normal(size=self._faces) * LIKE_EVERYBODY
        score = rng.normal(size=len(self._mated)) + effect[self._subject].sum(1) + 4 * self._mated + shift * self._weak
        none = np.zeros(len(score), dtype=bool)
        table = ScoreTable(Path("s.csv"), "0" * 64, score, none, none)
        return join_scores(self.testset, table, distance=False, allow_missing=False)

    def flagged(self, comparisons: Comparisons) -> list[tuple[str, str, str]]:
        """Kind, group and flag of every group that differs."""
        found = differentials(
            comparisons,
            groups_of(self.testset, ()),
            at_threshold(comparisons, self.threshold),
            resamples=1,  # flags come from tests, not from resamples
            seed=0,
            flag_error_rate=0.05,
        )
        sides = found["sides"] if found else []
        return [(side["kind"], g["group"], g["flag"]) for side in sides for g in side["groups"] if g["flag"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, nargs="+", default=[200, 400, 800], help="faces of a group")
    parser.add_argument("--shifts", type=float, nargs="+", default=[0.3, 0.5, 0.7], help="of the weak group's scores")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--fair-seeds", type=int, default=200)
    args = parser.parse_args()
    shown = [f"shift {shift:g}" for shift in args.shifts]
    print("| faces a group | " + " | ".join([*shown, f"fair, accused of {args.fair_seeds}"]) + " |")
    print("|--:|" + "--:|" * (len(shown) + 1))
    for each in args.each:
        drawn = Drawn(each)
        cells = []
        for shift in args.shifts:
            hits, rates = 0, []
            for seed in range(args.seeds):
                comparisons = drawn.comparisons(seed, shift)
                worse = [item for item in drawn.flagged(comparisons) if item[2] == "worse"]
                hits += worse == [("0", WEAK, "worse")]
                weak = comparisons.parts["stratum", WEAK] & comparisons.negative
                rates.append(float((comparisons.score[weak] >= drawn.threshold).mean()))
            cells.append(f"{hits} of {args.seeds} (FMR {100 * np.mean(rates):.1f} %)")
        accused = sum(bool(drawn.flagged(drawn.comparisons(10_000 + seed))) for seed in range(args.fair_seeds))
        print(f"| {each} | " + " | ".join([*cells, str(accused)]) + " |", flush=True)


if __name__ == "__main__":
    main()
