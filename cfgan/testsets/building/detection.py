"""Detection sets: generated faces against the user's real ones, alike in size, encoding and attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cfgan.attributes.request import format_request
from cfgan.io.png import encode_png
from cfgan.testsets.building.designs import Built
from cfgan.testsets.building.faces import FaceMaker, rounded
from cfgan.testsets.building.pairing import fold_of
from cfgan.testsets.building.writer import Face
from cfgan.testsets.folder import Item, Label
from cfgan.testsets.spec import DetectionModel

REAL: Label = "bona_fide"
"""The role of the user's own faces."""

_DEFAULT = ("Male", "Smiling", "Eyeglasses", "Young")
_STEP = 64  # real faces read and stored at a time


def detection(maker: FaceMaker) -> Built:
    """Attacks whose attribute values are shared out as in the bona fide faces; see :class:`DetectionModel`.

    All images are re-encoded alike: the model's size, PNG stored without compression and without metadata, so that
    neither the length of a file nor what stands in it tells one kind from the other.
    """
    model = maker.plan.model
    if not isinstance(model, DetectionModel):
        raise TypeError("not a detection plan")
    built = Built()
    vocabulary = maker.bundle.vocabulary
    names = maker.plan.resolved.get("match") or [n for n in _DEFAULT if n in vocabulary.names]
    names = [name for name in names if name not in maker.plan.request]
    columns = [vocabulary.index(name) for name in names]
    thresholds = maker.bundle.calibration.threshold[columns]

    def stratum(face: Face) -> str:
        seen = np.asarray(face.verifier)[columns] >= thresholds
        return format_request(dict(zip(names, np.where(seen, 1.0, -1.0).tolist(), strict=True))) or "any face"

    if maker.user_images is None:
        cell = maker.plan.cell("attack", maker.plan.request, model.attacks, 0)
        attacks = [(face, stratum(face)) for face in maker.subjects("attack", cell)]
        slots = [("", name) for _, name in attacks]
        built.notes.append("No bona fide face was given: each attack has a slot for a real face of the same stratum.")
    else:
        real = [(face.file, stratum(face)) for face in _real_faces(maker)]
        attacks, slots = [], [(file, name) for file, name in real]
        shares = share_out(Counter(name for _, name in real), model.attacks)
        for place, (name, count) in enumerate(sorted(shares.items())):
            signs = {} if name == "any face" else _signs(name)
            cell = maker.plan.cell(name, {**maker.plan.request, **signs}, count, place)
            attacks += [(face, name) for face in maker.subjects(f"attack: {name}", cell)]
            built.quota(f"attacks {name}", count, sum(each == name for _, each in attacks))
    built.quota("attacks", model.attacks, len(attacks))
    listed: list[tuple[str, Label, str]] = [(face.file, "attack", name) for face, name in attacks]
    listed += [(file, REAL, name) for file, name in slots]
    order = np.random.default_rng(model.seed).permutation(len(listed))
    dealt: Counter[str] = Counter()
    for number, place in enumerate(order, start=1):
        file, label, name = listed[place]
        fold = fold_of(dealt[name + label], model.folds)
        dealt[name + label] += 1
        built.items.append(Item(f"i{number:06d}", file, label, name, fold))
    return built


def share_out(counts: Counter[str], total: int) -> dict[str, int]:
    """``total`` in the proportions of ``counts``, by largest remainders; strata that get none are left out."""
    exact = {name: total * count / counts.total() for name, count in counts.items()}
    shares = {name: int(value) for name, value in exact.items()}
    by_rest = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in by_rest[: total - sum(shares.values())]:
        shares[name] += 1
    return {name: count for name, count in shares.items() if count}


def _signs(name: str) -> dict[str, float]:
    return {item.lstrip("-"): -1.0 if item.startswith("-") else 1.0 for item in name.split(",")}


def _real_faces(maker: FaceMaker) -> list[Face]:
    """Read, re-encode and store the user's faces; goes on where the writer stands."""
    own = maker.user_images
    images = own.bona_fide() if own is not None else []
    done = len(maker.writer.stored(REAL))
    while own is not None and done < len(images):
        maker.stop.raise_if_asked(f"{done} bona fide faces are in {maker.writer.out}; the same command goes on")
        levels = np.stack([own.read(image) for image in images[done : done + _STEP]])
        maker.writer.add(REAL, {"images": done + len(levels)}, _encoded(maker, levels, done))
        done += len(levels)
        maker.progress(REAL, done, len(images))
    return maker.writer.stored(REAL)


def _encoded(maker: FaceMaker, levels: npt.NDArray[np.uint8], first: int) -> Sequence[tuple[Face, bytes]]:
    probability = maker.verifier.probability(levels)
    judged = maker.judge.probability(levels) if maker.judge else [np.zeros(0)] * len(levels)
    return [
        (
            Face("", REAL, 0, first + i, {}, (), rounded(probability[i]), rounded(judged[i])),
            encode_png(pixels, compress=0, marked=False),
        )
        for i, pixels in enumerate(levels)
    ]
