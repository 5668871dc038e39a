"""How often generated faces show what they were asked to show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfgan.io.progress import Progress
from cfgan.model.bundle import Bundle
from cfgan.stats.intervals import wilson_interval

if TYPE_CHECKING:
    from cfgan.attributes.request import Request

_CHUNK = 64


def unfiltered_accuracy(
    bundle: Bundle,
    draws: int,
    seed: int,
    *,
    request: Request | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Draw without any gate and let the verifier read every attribute, at its thresholds.

    Args:
        bundle: the model.
        draws: how many.
        seed: of the draws.
        request: attributes to hold; all drawn from the prior when None.
        device: where to compute.
        progress: called with draws done and in all.

    Returns:
        ``attributes``: name -> asked (times asked for), yes (share seen when asked for), no (share not seen when asked
        away), their Wilson 95 % intervals, balanced (mean of yes and no) and agreement; ``agreement`` and
        ``balanced``: means over the attributes. Shares that nothing was asked for are NaN.
    """
    from cfgan.attributes.spec import RequestCell, VerifySpec
    from cfgan.generate.sampling import Sampler

    sampler = Sampler(bundle, device)
    cut = bundle.latents.truncation
    cell = RequestCell("evaluation", request or {}, draws, seed, truncation=cut, verify=VerifySpec(enabled=False))
    asked, seen = [], []
    for start in range(0, draws, _CHUNK):
        drawn = sampler.draw(cell, range(start, min(start + _CHUNK, draws)), last=draws)
        asked.append(drawn.condition)
        seen.append(drawn.probability >= bundle.calibration.threshold)
        if progress:
            progress("drawing", min(start + _CHUNK, draws), draws)
    return accuracy_table(bundle.vocabulary.names, np.concatenate(asked), np.concatenate(seen))


def accuracy_table(
    names: tuple[str, ...], asked: npt.NDArray[np.floating[Any]], seen: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """The table of :func:`unfiltered_accuracy` from what was asked and what was seen.

    Args:
        names: the A attributes.
        asked: (N, A); above 0 asked for, below 0 asked away, 0 and NaN take no part. Labels serve as well.
        seen: bool (N, A).
    """
    attributes: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(names):
        wanted, unwanted, there = asked[:, i] > 0, asked[:, i] < 0, seen[:, i]
        yes_n, no_n = int(wanted.sum()), int(unwanted.sum())
        yes, no = int((there & wanted).sum()), int((~there & unwanted).sum())
        yes_share = yes / yes_n if yes_n else math.nan
        no_share = no / no_n if no_n else math.nan
        attributes[name] = {
            "asked": yes_n,
            "yes": yes_share,
            "yes_interval": list(wilson_interval(yes, yes_n)),
            "no": no_share,
            "no_interval": list(wilson_interval(no, no_n)),
            "balanced": (yes_share + no_share) / 2,
            "agreement": (yes + no) / (yes_n + no_n) if yes_n + no_n else math.nan,
        }
    return {
        "attributes": attributes,
        "agreement": _mean_known([row["agreement"] for row in attributes.values()]),
        "balanced": _mean_known([row["balanced"] for row in attributes.values()]),
    }


def _mean_known(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


def plain(value: Any) -> Any:
    """Figures ready for JSON: floats to five digits, NaN to None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
