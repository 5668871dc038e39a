"""How many drawn cartoon faces the judge, who knows drawn originals only, reads as asked.

    python benchmarks/anime.py --bundle anime64

Each of the bundle's attributes is asked for and asked away, nothing is rejected, and the judge (frozen ImageNet
features and a head that learnt on the originals alone; it neither guided the generator nor gates) says whether it
shows. Beside that, how it reads the original held-out pictures, from what the bundle keeps of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgan.attributes.spec import RequestCell, VerifySpec
from cfgan.generate.sampling import Sampler
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.model.engines import open_engine
from cfgan.stats.intervals import wilson_interval
from cfgan.verify.reader import reader_of

ROLE = "judge"
NAMES = {1.0: "asked for", -1.0: "asked away"}


def read_draws(bundle: Bundle, each: int, seed: int) -> dict[str, dict[str, int]]:
    """Attribute -> asked for or away -> in how many of ``each`` draws the judge sees it so."""
    sampler = Sampler(bundle, "cpu")
    judge = reader_of(bundle, open_engine(bundle, "cpu"), ROLE)
    found: dict[str, dict[str, int]] = {}
    for column, name in enumerate(bundle.vocabulary.names):
        found[name] = {}
        for value, said in NAMES.items():
            cell = RequestCell(
                said, {name: value}, each, seed, truncation=bundle.latents.truncation, verify=VerifySpec(enabled=False)
            )
            seen = judge.seen(sampler.draw(cell, range(each)).pixels)[:, column]
            found[name][said] = int((seen == (value > 0)).sum())
    return found


def read_originals(bundle: Bundle) -> float:
    """Mean over the attributes: how often the judge reads a held-out original as labelled, balanced over its values."""
    validation, classifier = bundle.validation(), bundle.classifiers[ROLE]
    probability = classifier.held_out()
    if validation is None or probability is None:
        return float("nan")
    right = (probability >= classifier.calibration.threshold) == (validation.labels > 0)
    shares = [right[validation.labels[:, k] == value, k].mean() for k in range(right.shape[1]) for value in (1.0, -1.0)]
    return float(np.mean(shares))


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    low, high = (100 * bound for bound in found["interval"])
    lines = [
        "## Read by a classifier that knows originals only",
        f"By `python benchmarks/anime.py --bundle {found['bundle']}`: of {found['draws']:,} draws, each attribute "
        f"asked for and asked away {found['each']} times and nothing rejected, the judge reads "
        f"**{100 * found['rate']:.1f} %** as asked (95 % interval {low:.1f}-{high:.1f}). Originals that it has not "
        f"seen it reads {100 * found['originals']:.1f} % as they were drawn.",
        "",
        f"| attribute | {' | '.join(NAMES.values())} | of |",
        "|---|--:|--:|--:|",
    ]
    for name, row in found["attributes"].items():
        lines.append(f"| {name} | {' | '.join(str(row[said]) for said in NAMES.values())} | {found['each']} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="anime64")
    parser.add_argument("--each", type=int, default=100, help="draws an attribute and value")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    bundle = open_bundle(given.bundle)
    if ROLE not in bundle.classifiers:
        parser.error(f"{bundle.name} has no {ROLE}")
    attributes = read_draws(bundle, given.each, given.seed)
    hits, draws = sum(sum(row.values()) for row in attributes.values()), given.each * len(NAMES) * len(attributes)
    found = {
        "bundle": bundle.name,
        "attributes": attributes,
        "each": given.each,
        "draws": draws,
        "rate": hits / draws,
        "interval": wilson_interval(hits, draws),
        "originals": read_originals(bundle),
    }
    print(json.dumps(found) if given.json else table(found))


if __name__ == "__main__":
    main()
