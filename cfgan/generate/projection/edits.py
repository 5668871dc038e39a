"""Edits of a projected photo: another condition, everything else kept, as strong as it takes to be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfgan.attributes.request import format_request, parse_request
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import RequestError
from cfgan.generate.projection.codes import Codes
from cfgan.generate.projection.projector import Projector
from cfgan.model.engine import Floats, Levels
from cfgan.verify.reader import Reader

STRENGTHS = (1.0, 1.5, 2.0, 2.5, 3.0)
"""How many times the change of the condition is applied: the first that the verifier plainly sees, or the last. Beyond
it faces come apart."""

_PLAIN = 0.95
"""Share of the way from the verifier's threshold to certainty from which on an attribute is plainly seen."""


@dataclass(frozen=True)
class Edited:
    """One edit of N photos.

    Args:
        pixels: uint8 (N, 3, size, size).
        condition: float32 (N, A).
        strength: float64 (N,), of :data:`STRENGTHS`.
    """

    pixels: Levels
    condition: Floats
    strength: npt.NDArray[np.float64]


def parse_edits(texts: Sequence[str], vocabulary: Vocabulary, *, field: str = "--edit") -> dict[str, dict[str, float]]:
    """Requests such as ``Smiling,-Eyeglasses``, each one edit, by how they are written shortest.

    Raises:
        RequestError: empty, a value out of range, attributes that exclude each other.
        VocabularyError: an unknown attribute; carries the nearest names.
    """
    found = {}
    for text in texts:
        request = parse_request(text, vocabulary, field=field)
        if not request:
            raise RequestError("names no attribute to change.", field=field, value=text)
        wanted = {name for name, value in request.items() if value > 0}
        for group in vocabulary.exclusive:
            if len(clash := sorted(group & wanted)) > 1:
                raise RequestError(f"{' and '.join(clash)} exclude each other.", field=field, value=text)
        found[format_request(request)] = request
    return found


def edited_condition(condition: Floats, request: Mapping[str, float], vocabulary: Vocabulary) -> Floats:
    """Conditions (N, A) with what is asked for; what that excludes is set to absent."""
    condition = condition.copy()
    for name, value in request.items():
        for group in vocabulary.exclusive:
            if value > 0 and name in group:
                for other in group - {name}:
                    place = vocabulary.index(other)
                    condition[:, place] = np.minimum(condition[:, place], -1)
    for name, value in request.items():
        condition[:, vocabulary.index(name)] = value
    return condition


def edit(projector: Projector, codes: Codes, request: Mapping[str, float], verifier: Reader) -> Edited:
    """Change the condition of projected photos and draw them again; latents and differences stay as they are.

    The search pulls a photo's features into what the condition does not hold, so one times the change is often too
    little to be seen: more is applied until the verifier sees it plainly. Graded values are applied once, for there is
    nothing to verify in them.
    """
    vocabulary = projector.bundle.vocabulary
    condition = edited_condition(codes.condition.cpu().numpy(), request, vocabulary)
    asked = {vocabulary.index(name): value > 0 for name, value in request.items() if abs(value) == 1}
    pixels = projector.render(codes, condition)
    strength = np.full(len(pixels), STRENGTHS[0])
    for more in STRENGTHS[1:]:
        unseen = ~_plain(verifier, pixels, asked)
        if not unseen.any():
            break
        pixels[unseen] = projector.render(codes, condition, more)[unseen]
        strength[unseen] = more
    return Edited(pixels, condition, strength)


def _plain(verifier: Reader, pixels: Levels, asked: Mapping[int, bool]) -> npt.NDArray[np.bool_]:
    """Whether every attribute asked for is plainly seen, or plainly not where it is to be absent, (N,)."""
    probability, threshold = verifier.probability(pixels), verifier.calibration.threshold
    plain = np.ones(len(pixels), np.bool_)
    for place, wanted in asked.items():
        end = 1.0 if wanted else 0.0
        least = threshold[place] + _PLAIN * (end - threshold[place])
        plain &= probability[:, place] >= least if wanted else probability[:, place] <= least
    return plain
