"""Which training images a step sees: uniform, or rare attribute values more often."""

from __future__ import annotations

import torch
from torch import Tensor


def repeat_factors(labels: Tensor, threshold: float) -> Tensor:
    """How many times more often each row is drawn, so that rare attribute values are seen.

    The repeat factor of Gupta et al. ("LVIS", CVPR 2019) over both values of every attribute:
    max over the row's values of max(1, sqrt(threshold / frequency of the value)). Reals and conditions are drawn with
    the same factors, so what the generator learns, p(image | condition), is not moved; only the marginals of the
    conditions are, and those the prior sets when faces are asked for.

    Args:
        labels: float (N, A); above 0 wanted, below 0 not, NaN unknown (takes no part).
        threshold: frequency below which a value counts as rare, 0..1; 0 gives all ones.

    Returns:
        float32 (N,), all at least 1.
    """
    factors = torch.ones(len(labels), device=labels.device)
    known = torch.isfinite(labels).float().sum(0).clamp(min=1)  # A; rows without a label say nothing of how rare it is
    for value in (labels > 0, labels < 0):
        frequency = value.float().sum(0) / known  # A
        boost = (threshold / frequency.clamp(min=1 / len(labels))).sqrt().clamp(min=1)  # A
        factors = torch.maximum(factors, torch.where(value, boost, 1.0).amax(1))
    return factors
