"""Who a face is, as numbers: a face-recognition network that took no part in making the faces.

dlib's residual network (King, "High Quality Face Recognition with Deep Metric Learning", 2017), as the public package
``face-recognition-models`` carries it: 128 numbers a face, near each other for the same person. Needs the extra
``cfgan[identity]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cfgan.errors import ConfigError
from cfgan.external.detector import check_levels, enlarged
from cfgan.io.files import sha256_of
from cfgan.io.progress import Progress

DLIB, FACERES = "dlib-resnet", "faceres"
"""The embedders: this one, and that of :mod:`cfgan.external.human_models`."""

_BOX = (50, 70, 205, 225)
"""Where the face is in CelebA's central crop, enlarged: left, top, right, bottom in pixels. Used where no face is
found; on aligned faces it serves as well as the detector (AUC .991 with either on 800 real pairs)."""

_LEAST_SCORE = -1.0
"""Confidence down to which the detector looks; from 0 it calls it a face."""

_NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
_LANDMARKS = "shape_predictor_5_face_landmarks.dat"


@dataclass(frozen=True)
class Embedded:
    """Some faces as an embedder sees them.

    Args:
        vectors: float32 (N, D).
        found: bool (N,); where False no face was found, and the place where aligned faces have theirs was taken.
        score: float64 (N,), confidence of the detector, at least -1; None where the embedder does not say.
        eyes: float64 (N,), pixels of the image between the middles of the eyes; 0 where no face was found; or None.
    """

    vectors: npt.NDArray[np.float32]
    found: npt.NDArray[np.bool_]
    score: npt.NDArray[np.float64] | None = None
    eyes: npt.NDArray[np.float64] | None = None


class Embedder(Protocol):
    """Faces to vectors that lie near each other for one person; similarity is minus their distance."""

    @property
    def name(self) -> str:
        """Short; operating points are filed under it."""
        ...

    @property
    def digest(self) -> str:
        """sha256 that names weights and preprocessing exactly."""
        ...

    def __call__(self, levels: npt.NDArray[np.uint8], progress: Progress | None = None) -> Embedded:
        """Embed faces, uint8 (N, 3, H, W), 0..255. Raises DataError: another type or shape."""
        ...


class FaceEmbedder:
    """dlib's face-recognition network on enlarged faces; deterministic, one thread, 10 to 20 faces a second.

    Raises:
        ConfigError: the extra is missing.
    """

    name = DLIB
    dimension = 128

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise ConfigError(f"the face embedder needs the extra: pip install 'cfgan[identity]' ({error}).") from None
        # The package itself is not imported: it needs pkg_resources, which newer installations do not have.
        package = find_spec("face_recognition_models")
        if package is None or not package.submodule_search_locations:
            raise ConfigError("the face embedder needs the extra: pip install 'cfgan[identity]'.")
        models = Path(package.submodule_search_locations[0]) / "models"
        self._file = models / _NETWORK
        self._rectangle: Any = dlib.rectangle
        self._detect: Any = dlib.get_frontal_face_detector()
        try:
            self._landmarks: Any = dlib.shape_predictor(str(models / _LANDMARKS))
            self._network: Any = dlib.face_recognition_model_v1(str(self._file))
        except RuntimeError as error:
            raise ConfigError(f"face-recognition-models is damaged ({error}); install it again.") from None

    @cached_property
    def digest(self) -> str:
        """sha256 of the network's weights: names the embedder exactly."""
        return sha256_of(self._file)

    def __call__(self, levels: npt.NDArray[np.uint8], progress: Progress | None = None) -> Embedded:
        """Embed faces that fill their images; where several are found the largest counts.

        Args:
            levels: uint8 (N, 3, H, W), 0..255; may be memory-mapped.
            progress: called with faces done and in all.

        Raises:
            DataError: another type or shape.
        """
        check_levels(levels)
        vectors = np.zeros((len(levels), self.dimension), np.float32)
        found = np.zeros(len(levels), np.bool_)
        score, eyes = np.full(len(levels), _LEAST_SCORE), np.zeros(len(levels))
        for i, image in enumerate(levels):
            pixels = np.asarray(enlarged(image))
            seen, scores, _ = self._detect.run(pixels, 0, _LEAST_SCORE)
            score[i] = max([_LEAST_SCORE, *scores])
            boxes = [
                box for box, each in zip(seen, scores, strict=True) if each >= 0
            ]  # as the detector has it by itself
            found[i] = len(boxes) > 0
            box = max(boxes, key=lambda each: each.area()) if found[i] else self._rectangle(*_BOX)
            points = self._landmarks(pixels, box)
            if found[i]:
                eyes[i] = _between_eyes(points) * levels.shape[-1] / pixels.shape[1]
            vectors[i] = self._network.compute_face_descriptor(pixels, points)
            if progress:
                progress("embedding", i + 1, len(levels))
        return Embedded(vectors, found, score, eyes)


def _between_eyes(points: Any) -> float:
    """Of dlib's five points, two corners of each eye and the nose: from the middle of one eye to that of the other."""
    at = [(points.part(k).x, points.part(k).y) for k in range(4)]
    one, other = np.mean(at[:2], axis=0), np.mean(at[2:], axis=0)
    return float(np.linalg.norm(one - other))


def similarity(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of pairs of embedded faces, (N, D) and (N, D) to (N,): minus the Euclidean distance, so that more is liker."""
    return np.asarray(-np.linalg.norm(first - second, axis=-1), dtype=np.float32)
