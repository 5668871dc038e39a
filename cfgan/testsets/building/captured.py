"""Several images of a subject: each enrolled face again, as another camera or light would have shown it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cfgan.testsets.building.capturing import captured_pixels
from cfgan.testsets.building.faces import FaceMaker, rounded, stored_pixels
from cfgan.testsets.building.pairing import PairList
from cfgan.testsets.building.writer import Face
from cfgan.testsets.captures import Capture, captures_of

_STEP = 32  # faces changed and stored at a time


def captured(maker: FaceMaker, bases: Sequence[Face], capture: Capture) -> list[Face]:
    """Each of some faces after a change of capture, in their order; goes on where the writer stands.

    Nothing is left out: a face that no detector finds any more is what such a set is for.
    """
    role = capture.name
    done = len(maker.writer.stored(role))
    while done < len(bases):
        maker.stop.raise_if_asked(f"{done} of {role} are in {maker.writer.out}; the same command goes on")
        some = bases[done : done + _STEP]
        pixels = [
            captured_pixels(stored_pixels(maker.writer.out, base), capture, base.seed, base.draw) for base in some
        ]
        read = maker.verifier.probability(np.stack(pixels))
        faces = [
            maker.identity.embedded(
                replace(
                    base,
                    file="",
                    digest="",
                    role=role,
                    of=base.file,
                    verifier=rounded(probability),
                    judge=(),
                    capture=capture.name,
                    capture_level=capture.level,
                ),
                image,
            )
            for base, probability, image in zip(some, read, pixels, strict=True)
        ]
        faces = maker.identity.controlled(faces, pixels)
        done += len(some)
        maker.writer.add(role, {"done": done}, maker.judged(list(zip(faces, pixels, strict=True))))
        maker.progress(role, done, len(bases))
    return maker.writer.stored(role)


def add_captures(maker: FaceMaker, bases: Sequence[Face], pairs: PairList, stratum: Callable[[Face, str], str]) -> None:
    """Mated pairs of faces and each change of capture that the plan names: one person by construction."""
    for capture in captures_of(maker.plan.resolved):
        for base, face in zip(bases, captured(maker, bases, capture), strict=True):
            pairs.add(base, face, "1", stratum(base, capture.name))


def captured_faces(maker: FaceMaker) -> list[dict[str, Any]]:
    """What the protocol says of each change: its parameter, and in how many faces the detector still sees one."""
    rows = []
    for capture in captures_of(maker.plan.resolved):
        faces = maker.writer.stored(capture.name)
        rows.append(
            {
                "name": capture.name,
                "kind": capture.kind.name,
                "level": capture.level,
                "value": capture.value,
                "unit": capture.kind.unit,
                "what": capture.kind.what,
                "images": len(faces),
                "found": None if maker.identity.chooser is None else sum(bool(face.found) for face in faces),
            }
        )
    return rows
