"""How a bundle wants its latents drawn: how wide, and whether two requests with one seed share them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WIDEST = 10.0
"""The largest cut-off, standard deviations: nothing lies beyond."""


@dataclass(frozen=True)
class LatentRule:
    """What a bundle's ``config.json`` says under ``latents``; a bundle that says nothing draws as all bundles once did.

    Args:
        truncation: latents are drawn from a normal cut off at this many standard deviations; None: not cut.
        shared: whether the latent of draw *i* depends on the seed alone. Else the request enters it too, so that
            batches of different requests made with one seed are independent of one another.
    """

    truncation: float | None = None
    shared: bool = True

    def __post_init__(self) -> None:
        cut = self.truncation
        if cut is not None and not (math.isfinite(cut) and 0 < cut <= WIDEST):
            raise ValueError(f"truncation must be above 0 and at most {WIDEST:g}, not {cut!r}")

    def stated(self, truncation: float | None, shared: bool) -> dict[str, Any]:
        """What a spec must say of a request's latents for this rule to give them again, whatever the rule is.

        What was the only rule once, wide latents that requests share, is said only where the bundle has another, so
        that what older bundles make stays as it was, byte for byte.
        """
        ruled = self != FIRST_RULE
        words: dict[str, Any] = {}
        if ruled or truncation is not None:
            words["truncation"] = "none" if truncation is None else truncation
        if ruled or not shared:
            words["same_latents"] = shared
        return words

    def to_dict(self) -> dict[str, Any]:
        return {"truncation": self.truncation, "shared": self.shared}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LatentRule:
        """Inverse of :meth:`to_dict`. Raises ValueError or TypeError on malformed content."""
        if unknown := sorted(set(data) - {"truncation", "shared"}):
            raise ValueError(f"latents has no setting {unknown[0]!r}")
        if not isinstance(data.get("shared", True), bool):
            raise TypeError("latents: shared is neither true nor false")
        cut = data.get("truncation")
        return cls(None if cut is None else float(cut), data.get("shared", True))


FIRST_RULE = LatentRule()
"""The rule of bundles that say nothing: wide latents, shared by requests."""


def stream_seed(seed: int, request: Mapping[str, float], unspecified: str | Mapping[str, float]) -> int:
    """The seed of a request's own random stream, 0 .. 2**63 - 1: the same whatever order the request is written in."""
    asked = [sorted((name, float(value)) for name, value in request.items())]
    others = unspecified if isinstance(unspecified, str) else sorted((n, float(v)) for n, v in unspecified.items())
    text = json.dumps([seed, asked, others], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
