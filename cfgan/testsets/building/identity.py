"""What the embedders decide in a test set: which two faces are too alike for two persons, and who stayed the same.

The *chooser* embeds every face, picks the most similar and screens. The *control* is another recogniser of other
ancestry; it has a say in whether a changed face is still the same person, and its similarities stand beside the
chooser's, so that a figure which only holds for the chooser can be told from one that holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfgan.external.face_embedder import DLIB
from cfgan.external.operating_points import operating_points, real_match_rate, similarity_at
from cfgan.testsets.building.quality import image_quality
from cfgan.testsets.building.writer import Face, alike
from cfgan.testsets.spec import IdentitySpec

if TYPE_CHECKING:
    from cfgan.external.face_embedder import Embedder

_STRICT_FMR = 0.001  # a second, stricter threshold at which kept pairs are held against real ones
_IMPOSTERS = 200_000  # comparisons of changed faces with other subjects, at most


def thresholds(spec: IdentitySpec, side: int, name: str = DLIB) -> tuple[float, float]:
    """The similarities of screening and of keeping, for an embedder on pictures of ``side`` pixels.

    Raises:
        InputError: rates it does not support.
    """
    kind, rate = ("fmr", spec.keep_fmr) if spec.keep_fnmr is None else ("fnmr", spec.keep_fnmr)
    return similarity_at("fmr", spec.screen_fmr, name, side), similarity_at(kind, rate, name, side)


class Identity:
    """The embedders of a set and their thresholds.

    Args:
        spec: how they are used.
        screen: "none", "compared" or "all", as resolved for the design.
        side: of the faces, in pixels.
        chooser: or None; nothing is embedded then.
        control: or None; then the chooser is the only one that looks.
    """

    def __init__(
        self, spec: IdentitySpec, screen: str, side: int, chooser: Embedder | None, control: Embedder | None = None
    ) -> None:
        self.spec, self.how, self.side = spec, screen, side
        self.chooser, self.control = chooser, control if chooser else None
        self.limit = thresholds(spec, side, chooser.name)[0] if chooser else None
        """Similarity from which two faces are too alike, whether that is acted on or only counted."""
        embedders = [each for each in (self.chooser, self.control) if each]
        self.keep = {each.name: thresholds(spec, side, each.name)[1] for each in embedders}

    @property
    def screens(self) -> bool:
        """Whether faces that are too alike are not compared."""
        return self.limit is not None and self.how != "none"

    def embedded(self, face: Face, pixels: npt.NDArray[np.uint8]) -> Face:
        """A face with its quality and the chooser's vector; pixels (3, H, W)."""
        sharpness, contrast = image_quality(pixels)
        if self.chooser is None:
            return replace(face, quality=_kept(sharpness, contrast, None, None))
        seen = self.chooser(pixels[None])
        eyes, score = (None if each is None else float(each[0]) for each in (seen.eyes, seen.score))
        quality = _kept(sharpness, contrast, eyes, score)
        return replace(face, found=bool(seen.found[0]), vector=seen.vectors[0], quality=quality)

    def controlled(self, faces: Sequence[Face], pixels: Sequence[npt.NDArray[np.uint8]]) -> list[Face]:
        """Faces with the control's vectors."""
        if self.control is None or not faces:
            return list(faces)
        vectors = self.control(np.stack(pixels)).vectors
        return [replace(face, control=vector) for face, vector in zip(faces, vectors, strict=True)]

    def same_person(self, base: Face, face: Face, pixels: npt.NDArray[np.uint8]) -> Face | None:
        """The changed face with all vectors if every embedder takes it for its base's person, else None."""
        if self.chooser is None:
            return face
        if self.spec.require_face and not face.found:
            return None
        if alike(base, face) < self.keep[self.chooser.name]:
            return None
        if self.control is not None:
            (face,) = self.controlled([face], [pixels])
            if alike(base, face, control=True) < self.keep[self.control.name]:
                return None
        return face

    def too_alike(self, vectors: Sequence[npt.NDArray[np.float32]] | npt.NDArray[np.float32], face: Face) -> bool:
        """Whether a face is too like one of some embedded ones, (n, D) or n of (D,)."""
        if not self.screens or not len(vectors) or self.limit is None:
            return False
        return bool(-np.linalg.norm(np.asarray(vectors) - face.vector, axis=1).min() >= self.limit)

    # ------------------------------------------------------------------ what it came to

    def about(self) -> dict[str, Any] | None:
        """What the protocol says of the embedders; None without one."""
        if self.chooser is None:
            return None
        spec = self.spec
        keep = {"fnmr": spec.keep_fnmr} if spec.keep_fnmr is not None else {"fmr": spec.keep_fmr}
        return {
            **_measured(self.chooser, self.side),
            "screen": {"how": self.how, "fmr": spec.screen_fmr, "similarity": self.limit},
            "keep": {**keep, "similarity": self.keep[self.chooser.name]},
            "control": _measured(self.control, self.side)
            | {"keep": {**keep, "similarity": self.keep[self.control.name]}}
            if self.control
            else None,
        }

    def kept(self, bases: Sequence[Face], changed: Sequence[Face], moved: int) -> dict[str, Any]:
        """What it means that changed faces were kept: the same gate on imposters and on real mated pairs.

        Args:
            bases: what each changed face was made from.
            changed: those that were kept.
            moved: how many faces showed the change, before the gate.

        Returns:
            Embedder -> the gate's similarity; the share of faces with the change that passed both gates (once, beside
            them); the share of comparisons of a kept face with another subject's base that passes; the share of real
            mated pairs that does; and, at FMR 0.1 %, the shares of the kept pairs and of real ones.
        """
        if self.chooser is None or not changed:
            return {}
        rows = []
        both = np.ones(0, np.bool_)
        for embedder in (self.chooser, self.control):
            if embedder is None:
                continue
            control = embedder is self.control
            first, second = (_stacked(faces, control=control) for faces in (bases, changed))
            strict = similarity_at("fmr", _STRICT_FMR, embedder.name, self.side)
            keep = self.keep[embedder.name]
            imposters = _imposters(first, second)
            passed = imposters >= keep
            both = passed & both if len(both) else passed
            own = -np.linalg.norm(first - second, axis=1)
            rows.append(
                {
                    "embedder": embedder.name,
                    "similarity": keep,
                    "imposters": _share(passed),
                    "real_mated": real_match_rate(keep, embedder.name, self.side),
                    "kept_at_fmr_0.1": _share(own >= strict),
                    "real_mated_at_fmr_0.1": real_match_rate(strict, embedder.name, self.side),
                }
            )
        return {
            "passed": len(changed) / moved if moved else None,
            "imposters": _share(both),
            "imposter_comparisons": len(both),
            "by": rows,
        }


def _kept(*measures: float | None) -> tuple[float | None, ...]:
    """As journal and table hold them: six digits, None where unknown."""
    return tuple(None if value is None or not math.isfinite(value) else round(value, 6) for value in measures)


def _measured(embedder: Embedder, side: int) -> dict[str, Any]:
    points = operating_points(embedder.name, side)
    return {
        "name": embedder.name,
        "digest": embedder.digest,
        "auc": points["auc"],
        "eer": points["eer"],
        "measured_on": f"{points['people']} people, {points['data']}",
    }


def _stacked(faces: Sequence[Face], *, control: bool) -> npt.NDArray[np.float32]:
    return np.stack([face.control if control else face.vector for face in faces])


def _imposters(bases: npt.NDArray[np.float32], changed: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Similarities of each changed face with the bases of the next others, up to a bound."""
    steps = min(len(bases) - 1, max(1, _IMPOSTERS // len(bases)))
    found = [-np.linalg.norm(np.roll(bases, -step, 0) - changed, axis=1) for step in range(1, steps + 1)]
    return np.concatenate(found).astype(np.float64) if found else np.zeros(0)


def _share(passed: npt.NDArray[np.bool_]) -> float | None:
    return float(passed.mean()) if len(passed) else None
