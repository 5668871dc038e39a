"""What a bundle's card says of how real its draws look, in one sentence, and whether that is enough to rely on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEAST_FACES = 0.9
"""Share of draws in which a detector must find a face, against its share in real faces."""
_Z = 1.644854
"""One-sided 95 %: draws are below that share where the counts show it, not where a few images happen to fall there."""
MOST_AUC = 0.98
"""A linear probe that tells draws from real images better than this sees two kinds of picture, not two sets of faces.
Noise and texture reach 1.0 within the first figures; two sets of real faces .5."""


@dataclass(frozen=True)
class RealismStatement:
    """How believable a bundle's draws are.

    Args:
        measured: whether anything was measured.
        enough: whether it is above the stated floors; True where nothing was measured.
        sentence: for people.
    """

    measured: bool
    enough: bool
    sentence: str


def realism_statement(config: Mapping[str, Any]) -> RealismStatement:
    """From a bundle's ``config.json``."""
    found = (config.get("evaluation") or {}).get("realism") or {}
    networks = [row for row in found.get("networks", {}).values() if not row.get("in_training")]
    faces = found.get("faces")
    parts, short = [], []
    if networks:
        row = networks[0]
        error, floor = _figure(row.get("kid_error")), _figure(row["kid_floor"])
        beside = [f"standard error {1000 * error:.1f}"] if error is not None else []
        beside += [f"real {1000 * floor:.1f}"] if floor is not None else []
        in_brackets = f" ({', '.join(beside)})" if beside else ""
        parts.append(f"KID x 1000 {1000 * row['kid']:.1f}{in_brackets} over {row['extractor']}")
        auc = _figure(row["probe_auc"])
        if auc is not None:
            parts.append(f"a linear probe tells them from real ones with AUC {auc:.2f}")
            if auc > MOST_AUC:
                short.append(f"AUC above {MOST_AUC:g}")
    if faces:
        rate, real = faces["faces"] / faces["n"], faces["real_faces"] / faces["n"]
        parts.append(f"a detector finds a face in {100 * rate:.1f} % (real {100 * real:.1f} %)")
        if _fewer(rate, real, faces["n"]):
            short.append(f"fewer than {100 * LEAST_FACES:g} % as many faces as in real images")
    if not parts:
        return RealismStatement(False, True, "How real the draws look was not measured when the bundle was built.")
    count = (networks[0] if networks else faces or {}).get("n")
    many = f"{count:,} " if count else ""
    sentence = f"Realism of {many}unfiltered draws: {'; '.join(parts)}."
    if short:
        them = "faces" if config.get("faces", True) else "originals"
        sentence += f" Below the floor ({', '.join(short)}): do not take them for {them}."
    return RealismStatement(True, not short, sentence)


def _fewer(rate: float, real: float, n: int) -> bool:
    """Whether counts of n draws and n real images show that fewer than the least share of faces are found."""
    variance = (rate * (1 - rate) + LEAST_FACES**2 * real * (1 - real)) / n
    return LEAST_FACES * real - rate > _Z * math.sqrt(variance)


def _figure(value: Any) -> float | None:
    return None if value is None or math.isnan(float(value)) else float(value)
