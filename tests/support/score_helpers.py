"""Small test sets with planted properties, and systems that score them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cfgan.io.files import write_json
from cfgan.testsets.folder import CHECKSUMS, MANIFEST, PROTOCOL, Item, Pair, open_testset, write_items, write_pairs
from cfgan.testsets.folder import FORMAT as FOLDER_FORMAT
from cfgan.testsets.folder import Testset as OpenedSet
from cfgan.testsets.scores.comparisons import join_scores
from cfgan.testsets.scores.scoring import Settings, score_testset
from cfgan.testsets.scores.tables import ScoreTable

STRATA = ("random", "Male", "Smiling", "Eyeglasses", "Young")


def image(subject: int, number: int = 1) -> str:
    return f"images/s{subject + 1:05d}/s{subject + 1:05d}_{number:04d}.png"


def draw_pairs(
    groups: int = 300, strata: Sequence[str] = STRATA, *, mated: bool = True, folds: int = 5, seed: int = 0
) -> list[Pair]:
    """Each subject is enrolled once: a non-mated comparison a stratum with a random other of its fold, whose
    ``matched`` holds the stratum's name and a random other value; and two presumed mated ones, one value changed."""
    rng = np.random.default_rng(seed)
    pairs: list[Pair] = []
    for g in range(groups):
        fold = g % folds + 1
        for stratum in strata:
            other = (g + folds * int(rng.integers(1, groups // folds))) % groups
            matched = () if stratum == "random" else (stratum, str(rng.choice(["Bald", "-Bald"])))
            name = f"p{len(pairs) + 1:06d}"
            pairs.append(Pair(name, image(g), image(other), "0", stratum, f"g{g}", matched, (), (), 0.5, fold))
        if mated:
            for changed in ("Smiling", "Bald"):
                name = f"p{len(pairs) + 1:06d}"
                b = image(g, 2 if changed == "Smiling" else 3)
                pair = Pair(name, image(g), b, "presumed", changed, f"g{g}", (), (changed,), (), None, fold)
                pairs.append(pair)
    return pairs


def make_set(folder: Path, rows: Sequence[Pair] | Sequence[Item], design: str = "matched") -> OpenedSet:
    folder.mkdir(parents=True)
    if design == "detection":
        write_items(folder, rows)  # type: ignore[arg-type]
    else:
        write_pairs(folder, rows)  # type: ignore[arg-type]
    write_json(folder / MANIFEST, {"format": FOLDER_FORMAT, "design": design})
    write_json(folder / PROTOCOL, {})
    named = {name for row in rows for name in ((row.file,) if isinstance(row, Item) else (row.a, row.b)) if name}
    (folder / CHECKSUMS).write_text("".join(f"{'0' * 64}  {name}\n" for name in sorted(named)))
    return open_testset(folder)


def simulate(pairs: Sequence[Pair], seed: int, *, weakness: str = "", by: float = 0.0, lamb: float = 0.5) -> np.ndarray:
    """Normal scores, mated ones 4 higher; some subjects are like everybody (lambs, wolves); a planted weakness."""
    rng = np.random.default_rng(seed)
    subjects = sorted({side.split("/")[1] for pair in pairs for side in (pair.a, pair.b)})
    effect = dict(zip(subjects, rng.normal(size=len(subjects)) * lamb, strict=True))
    shift = np.array([4.0 * (p.mated != "0") + by * (bool(weakness) and weakness in p.matched) for p in pairs])
    people = np.array([effect[p.a.split("/")[1]] + effect[p.b.split("/")[1]] for p in pairs])
    return rng.normal(size=len(pairs)) + people + shift


def write_scores(path: Path, names: Sequence[str], scores: Sequence[object], header: str = "pair,score") -> Path:
    lines = "".join(f"{name},{score}\n" for name, score in zip(names, scores, strict=True))
    path.write_text(f"{header}\n{lines}")
    return path


def score_pairs(testset: OpenedSet, score: np.ndarray, settings: Settings, *, distance: bool = False) -> dict[str, Any]:
    """The figures of scores in memory; NaN is a failure to acquire."""
    none = np.zeros(len(score), dtype=bool)
    table = ScoreTable(Path("scores.csv"), "0" * 64, score, np.isnan(score), none)
    comparisons = join_scores(testset, table, distance=distance, allow_missing=False)
    return score_testset(testset, comparisons, table, settings)


def find(data: dict[str, Any], family: str, name: str, kind: str = "0") -> dict[str, Any]:
    """One row of a report."""
    (row,) = (r for r in data["rows"] if (r["family"], r["name"], r["kind"]) == (family, name, kind))
    return row
