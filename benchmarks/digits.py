"""How many generated digits an independent classifier reads as asked.

The reader is scikit-learn's support vector classifier on 8 x 8 pixels, trained on the training split of the real digits
alone: it knows neither the generator nor any network here. Nothing is rejected.

    python benchmarks/digits.py --bundle digits32
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from cfgan.attributes.spec import RequestCell, VerifySpec
from cfgan.data.read.splits import Shares
from cfgan.data.sources.packages import sklearn_digits
from cfgan.generate.sampling import Sampler
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.stats.intervals import wilson_interval

NAMES = tuple("0123456789")


def reduced(levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Images (N, 3, size, size), 0..255, as what scikit-learn's digits are: (N, 64), 8 x 8 greys of 0..16."""
    block = levels.shape[-1] // 8
    grey = levels.astype(np.float64).mean(1).reshape(len(levels), 8, block, 8, block).mean((2, 4))
    return grey.reshape(len(levels), 64) * (16 / 255)


def independent_reader(shares: Shares) -> tuple[SVC, float, int]:
    """The classifier, its accuracy on the real test digits, and how many those are."""
    digits, split = load_digits(), sklearn_digits("digits", shares).split
    train, test = split == 0, split == 2
    reader = SVC(C=10).fit(digits.data[train], digits.target[train])
    return reader, float(reader.score(digits.data[test], digits.target[test])), int(test.sum())


def read_digits(bundle: Bundle, reader: SVC, each: int, seed: int) -> list[int]:
    """For each digit, in how many of ``each`` draws the reader sees it; nothing is rejected."""
    sampler, hits = Sampler(bundle, "cpu"), []
    for k, name in enumerate(NAMES):
        cell = RequestCell(name, {name: 1.0}, each, seed + k, verify=VerifySpec(enabled=False))
        hits.append(int((reader.predict(reduced(sampler.draw(cell, range(each)).pixels)) == k).sum()))
    return hits


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    shown = [
        "## Read by an independent classifier",
        f"By `python benchmarks/digits.py --bundle {found['bundle']}`: scikit-learn's support vector classifier on "
        f"8 x 8 pixels, trained on the real training digits alone, reads **{100 * found['rate']:.1f} %** of "
        f"{found['draws']:,} draws as asked (95 % interval {100 * found['interval'][0]:.1f}-"
        f"{100 * found['interval'][1]:.1f}), nothing rejected; of {found['real_n']} real test digits it reads "
        f"{100 * found['real']:.1f} % as labelled.",
        "",
        "| digit | read as asked | of draws |",
        "|---|--:|--:|",
    ]
    return "\n".join([*shown, *(f"| {name} | {n} | {found['each']} |" for name, n in found["digits"].items())])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="digits32")
    parser.add_argument("--each", type=int, default=200, help="draws a digit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--validation", type=float, default=0.2, help="shares held out when the bundle was trained")
    parser.add_argument("--test", type=float, default=0.1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    bundle = open_bundle(given.bundle)
    if bundle.vocabulary.names != NAMES:
        parser.error(f"{bundle.name} is no bundle of digits")
    reader, real, real_n = independent_reader(Shares(given.validation, given.test))
    hits = read_digits(bundle, reader, given.each, given.seed)
    draws = given.each * len(NAMES)
    found = {
        "bundle": bundle.name,
        "digits": dict(zip(NAMES, hits, strict=True)),
        "each": given.each,
        "draws": draws,
        "rate": sum(hits) / draws,
        "interval": wilson_interval(sum(hits), draws),
        "real": real,
        "real_n": real_n,
    }
    print(json.dumps(found) if given.json else table(found))


if __name__ == "__main__":
    main()
