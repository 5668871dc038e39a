"""One face while one attribute goes from absent to present."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cfgan.attributes.spec import RequestCell
from cfgan.errors import unknown
from cfgan.generate.sampling import conditions, latents
from cfgan.io.png import encode_png
from cfgan.serve.work import Served

STEPS = 9
_CHANGES = 8


@dataclass(frozen=True)
class Walk:
    """A strip of faces.

    Args:
        values: of the attribute, -1 to 1.
        faces: PNG files, one a value.
        probability: that the attribute is shown, by the classifier ``reader``, one a value.
        reader: "judge", or "verifier" in a bundle without one.
        changes: what else changes from the first face to the last: attribute, probability before and after; most first.
    """

    values: list[float]
    faces: list[bytes]
    probability: list[float]
    reader: str
    changes: list[tuple[str, float, float]]

    def together(self) -> list[tuple[float, bytes, float]]:
        """Value, face and probability of each step."""
        return list(zip(self.values, self.faces, self.probability, strict=True))


def walk(model: Served, cell: RequestCell, draw: int, attribute: str) -> Walk:
    """A draw of a request with an attribute at every value from -1 to 1, all else held: latent and other attributes.

    Raises:
        VocabularyError: there is no such attribute.
    """
    bundle, sampler = model.bundle, model.sampler
    names = bundle.vocabulary.names
    if attribute not in names:
        raise unknown("attribute", attribute, names, field="attribute")
    place = names.index(attribute)
    values = np.linspace(-1, 1, STEPS, dtype=np.float32)
    given = conditions(bundle.prior(), cell, [draw]).repeat(STEPS, 0)
    given[:, place] = values
    z = latents(cell.stream, [draw], bundle.z_dim, cell.truncation).repeat(STEPS, 0)
    pixels = sampler.render(z, given)
    reader = model.reader("judge" if "judge" in bundle.classifiers else "verifier")
    read = reader.probability(pixels)
    moved = sorted(
        ((name, float(read[0, k]), float(read[-1, k])) for k, name in enumerate(names) if k != place),
        key=lambda change: -abs(change[2] - change[1]),
    )
    text = {"synthetic": True, "bundle": {"name": bundle.name, "digest": bundle.digest}, "draw": draw}
    faces = [
        encode_png(image, {**text, "condition": {attribute: float(value)}})
        for image, value in zip(pixels, values, strict=True)
    ]
    return Walk(values.tolist(), faces, read[:, place].tolist(), reader.name, moved[:_CHANGES])
