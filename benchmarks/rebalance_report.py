"""Tables and a figure of `rebalance.py`: means over seeds, 95 % intervals, differences paired by seed."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from cfgan.io.files import make_folder, write_json, write_text

METRICS = {"auc": "ROC AUC", "ap": "average precision", "balanced": "balanced accuracy"}
BASE = "nothing"
ORDINARY = ("class weights", "oversampling", "augmentation", "oversampling, augmentation")
SYNTHETIC = (
    "synthetic positives",
    "synthetic positives, augmentation",
    "synthetic both",
    "synthetic both, augmentation",
)
MEAN = "mean of them"
BEST = "best ordinary"
OTHERS = {
    BEST: "the best ordinary row",
    "real positives, augmentation": "real positives",
    "the bundle's verifier": "the bundle's verifier",
}
"""What the best synthetic arm is held against besides doing nothing -> its name in a sentence."""

Floats = npt.NDArray[np.float64]

ABOUT = """# Do synthetic positives help where real ones are few?
Made by the command below; figures only, no image. A small residual network ({side} x {side} pixels, {steps} steps of
{batch} images) is trained on {images:,} real images of which {positives} ({share:g} %) have the attribute, and tested
on the real validation split. Each row changes one thing; all rows take the same steps from the same start.

```console
$ {command}
```

* *class weights*: both classes weigh the same in the loss; *oversampling*: half of each batch has the attribute;
  *augmentation*: images are mirrored at random. Shifts, brightness and cut-outs were tried as well, on the first seed
  of Eyeglasses and Bald and on the test images; mirroring alone did best there, with synthetic faces and without.
* *synthetic positives*: {missing} faces with the attribute are added by the plan of `cfgan balance --ratio 0.5`,
  generated and verified by the bundle as it ships. *synthetic both*: as many without it as well, so that being
  synthetic says nothing about the attribute.
* *real positives*: in place of the synthetic ones as many real ones, as far as the train split has them: what better
  data would give.
* *the bundle's verifier*: nothing is trained; the classifier that gated the synthetic faces reads the test images.
* Balanced accuracy is at the threshold that is best on {held} more real training images, as unbalanced as the others.
* Each figure is the mean over {seeds} seeds (other images, other faces, other start), +- half its 95 % interval
  (Student's t over the seeds). A *difference* is taken within each seed first. Many intervals are shown, and none is
  corrected for their number.

**What these figures are not.** The generator and its verifier were trained on the labels of the whole train split, many
more than {images:,} images: this is the case of somebody who is given a trained generator for such faces. It does
not show that a generator trained on the {images:,} images alone would help. And whoever has the bundle has its
verifier too: where all that is wanted is to read one of its attributes in such faces, that row is the one to beat.
"""


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half of its 95 % interval by Student's t; the half is NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return float(np.mean(values)) if n else math.nan, math.nan
    half = float(student.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return float(np.mean(values)), half


class Results:
    """Runs by attribute, arm and seed."""

    def __init__(self, runs: Sequence[dict[str, Any]], names: Sequence[str], arms: Sequence[str]) -> None:
        self._runs = {(run["attribute"], run["arm"], run["seed"]): run for run in runs}
        whole = {seed for _, _, seed in self._runs}
        # Every arm and attribute is compared over the same seeds.
        self.seeds = sorted(s for s in whole if all((name, arm, s) in self._runs for name in names for arm in arms))
        self.names, self.arms = tuple(names), tuple(arms)

    def values(self, name: str, arm: str, metric: str) -> list[float]:
        """One figure a seed; of :data:`MEAN`, the mean over the attributes."""
        names = self.names if name == MEAN else (name,)
        return [float(np.mean([self._runs[n, arm, seed][metric] for n in names])) for seed in self.seeds]

    def difference(self, name: str, arm: str, other: str, metric: str) -> tuple[float, float]:
        """Mean difference of two arms and half of its interval, paired by seed."""
        pairs = zip(self.values(name, arm, metric), self.values(name, other, metric), strict=True)
        return interval([one - two for one, two in pairs])

    def best(self, name: str, arms: Sequence[str], metric: str) -> str:
        """The arm with the highest mean."""
        return max(arms, key=lambda arm: float(np.mean(self.values(name, arm, metric))))

    def counts(self, name: str) -> dict[str, int]:
        """Real positives that the reference arm could add; test images, positives among them."""
        runs = [run for (n, arm, _), run in self._runs.items() if n == name and arm.startswith("real")]
        return {key: int(runs[0][key]) for key in ("added", "test", "test_positives")}


def verdict(difference: tuple[float, float]) -> str:
    """ "better", "worse" or "not shown": whether the interval of a difference lies on one side of 0."""
    mean, half = difference
    if math.isnan(half) or abs(mean) <= half:
        return "not shown"
    return "better" if mean > 0 else "worse"


def _cell(pair: tuple[float, float], *, signed: bool = False) -> str:
    mean, half = pair
    text = f"{100 * mean:+.1f}" if signed else f"{100 * mean:.1f}"
    return text if math.isnan(half) else f"{text} +- {100 * half:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def to_markdown(results: Results, settings: dict[str, Any], command: str) -> str:
    """The whole page."""
    columns = [*results.names, MEAN]
    positives = round(settings["images"] * settings["share"])
    about = {
        **settings,
        "share": 100 * settings["share"],
        "positives": positives,
        "missing": settings["images"] - 2 * positives,
        "seeds": len(results.seeds),
        "command": command,
    }
    lines = [ABOUT.format(**about), "## Where it helps", *_findings(results), ""]
    lines += ["![Difference to doing nothing, by attribute and remedy](rebalance.svg)", ""]
    for metric, title in METRICS.items():
        lines.append(f"## {title[:1].upper()}{title[1:]}, %")
        rows = [[arm, *(_cell(interval(results.values(n, arm, metric))) for n in columns)] for arm in results.arms]
        lines += _table(["", *columns], rows)
        lines += [f"Difference to *{BASE}* in the same seed, points:", ""]
        rows = [
            [arm, *(_cell(results.difference(n, arm, BASE, metric), signed=True) for n in columns)]
            for arm in results.arms
            if arm != BASE
        ]
        lines += _table(["", *columns], rows)
    lines.append("## What was tested on")
    rows = [[name, *(f"{value:,}" for value in results.counts(name).values())] for name in results.names]
    lines += _table(["", "real positives that could be added", "test images", "with the attribute"], rows)
    lines.append(f"Bundle {settings['bundle'][:12]}, data {settings['data'][:12]} (digests).")
    return "\n".join(lines) + "\n"


def _findings(results: Results) -> list[str]:
    """What the intervals say of the best synthetic row, in words for each metric and in figures for the AUC."""
    lines = [
        "The best synthetic row of an attribute against others, paired by seed. Best rows are chosen by these same "
        "figures, on both sides. *Not shown* means that the interval holds 0.",
        "",
    ]
    for metric, title in METRICS.items():
        lines.append(f"* **{title}**: {'; '.join(_sentence(results, against, metric) for against in (BASE, *OTHERS))}.")
    rows = []
    for name in (*results.names, MEAN):
        pairs = [results.difference(name, *_pair(results, name, other, "auc"), "auc") for other in (BASE, *OTHERS)]
        best = [results.best(name, arms, "auc") for arms in (SYNTHETIC, ORDINARY)]
        rows.append([name, *best, *(f"{_cell(pair, signed=True)} ({verdict(pair)})" for pair in pairs)])
    head = ["ROC AUC, points", "best synthetic row", "best ordinary row"]
    return [*lines, "", *_table([*head, *(f"against {word}" for word in ("nothing", *OTHERS.values()))], rows)]


def _pair(results: Results, name: str, other: str, metric: str) -> tuple[str, str]:
    """The best synthetic arm, and the one it is held against: by name, or the best of the ordinary ones."""
    return results.best(name, SYNTHETIC, metric), results.best(name, ORDINARY, metric) if other == BEST else other


def _sentence(results: Results, other: str, metric: str) -> str:
    found: dict[str, list[str]] = {"better": [], "worse": [], "not shown": []}
    for name in results.names:
        found[verdict(results.difference(name, *_pair(results, name, other, metric), metric))].append(name)
    told = [
        f"{what} for {'all' if len(names) == len(results.names) > 1 else ', '.join(names)}"
        for what, names in found.items()
        if names
    ]
    return f"against {OTHERS.get(other, other)} {', '.join(told)}"


def to_svg(results: Results) -> str:
    """Differences to doing nothing in AUC: a panel an attribute, a point an arm with its interval."""
    import matplotlib
    from matplotlib.figure import Figure

    arms = [arm for arm in results.arms if arm != BASE]
    columns = [*results.names, MEAN]
    colours = {arm: "#8a6d00" if arm in ORDINARY else "#1565c0" if arm in SYNTHETIC else "#5f6368" for arm in arms}
    style = {"svg.hashsalt": "cfgan", "svg.fonttype": "none", "font.size": 9}
    style |= {"axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(1.5 + 1.5 * len(columns), 3.2), layout="constrained", facecolor="white")
        for axes, name in zip(
            figure.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0], columns, strict=True
        ):
            axes.axvline(0, color="#9aa0a6", linewidth=1)
            for place, arm in enumerate(arms):
                mean, half = results.difference(name, arm, BASE, "auc")
                error = None if math.isnan(half) else 100 * half
                axes.errorbar(100 * mean, place, xerr=error, fmt="o", color=colours[arm], markersize=4, linewidth=1.4)
            axes.set_yticks(range(len(arms)), arms)
            axes.set_ylim(len(arms) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="x", color="#e0e0e0")
            axes.set_axisbelow(True)
            axes.set_title(name.replace("_", " "), fontsize=9)
        figure.supxlabel(
            "ROC AUC, points above training on the unbalanced images as they are; 95 % intervals", fontsize=9
        )
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def to_json(results: Results, settings: dict[str, Any]) -> dict[str, Any]:
    """All figures: attribute -> arm -> metric -> a value a seed, mean, half interval, paired difference to nothing."""

    def figures(name: str, arm: str, metric: str) -> dict[str, Any]:
        values = results.values(name, arm, metric)
        mean, half = interval(values)
        gain, gain_half = results.difference(name, arm, BASE, metric)
        found = {"mean": mean, "half_interval": half, "difference": gain, "difference_half_interval": gain_half}
        rounded = {key: None if math.isnan(value) else round(value, 6) for key, value in found.items()}
        return {"values": [round(value, 6) for value in values], **rounded}

    table = {
        name: {arm: {metric: figures(name, arm, metric) for metric in METRICS} for arm in results.arms}
        for name in (*results.names, MEAN)
    }
    return {"settings": settings, "seeds": results.seeds, "results": table}


def write_report(
    runs: Sequence[dict[str, Any]],
    settings: dict[str, Any],
    arms: Sequence[str],
    names: Sequence[str],
    out: Path,
    samples: Path | None,
    command: str,
) -> None:
    """Write README.md, rebalance.json and rebalance.svg into ``out`` and, if given, into ``samples``."""
    results = Results(runs, names, arms)
    if not results.seeds:
        raise SystemExit("no seed is finished for every attribute and remedy")
    files = {"README.md": to_markdown(results, settings, command), "rebalance.svg": to_svg(results)}
    for folder in (out, *([samples] if samples is not None else [])):
        make_folder(folder)
        for name, text in files.items():
            write_text(folder / name, text)
        write_json(folder / "rebalance.json", to_json(results, settings))
