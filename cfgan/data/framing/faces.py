"""Faces in photographs: where each is, how it lies in the picture, and the same face in CelebA's frame."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.data.decode import IMAGE_SIZE
from cfgan.data.framing.geometry import Points, Similarity, share_outside, to_frame, warp
from cfgan.errors import DataError, InputError, nearest
from cfgan.external.landmarks import Box

FACES = ("largest", "all", "refuse")
"""Which faces of a picture are meant: the largest; each, an image of its own; none of a picture that shows several."""

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

NO_FACE = "no face was found."

_COARSE, _FINE = 400, 1000
"""Longest sides in pixels at which faces are looked for; the second where the first shows none, or where all are
wanted. A face of a fifth of the first is found, and one of a twelfth of the second."""
_MARGIN = 0.25
"""Share of the side by which a picture is mirrored outward first: a face that fills it is found no other way."""
_TURNS = (90, 270, 180, 45, 315, 135, 225)
"""Degrees by which a picture is turned where none is found as it stands: the detector takes some 25 either way."""
_ZOOM = 2
"""Points are looked for again in a frame that is so many times as large, where the face stands upright."""
_FRAME = (IMAGE_SIZE[0] * _ZOOM, IMAGE_SIZE[1] * _ZOOM)
_BOX = Box(47 * _ZOOM, 87 * _ZOOM, 137 * _ZOOM, 177 * _ZOOM, 0.0)
"""Where the detector sees faces in that frame: the median over CelebA's images."""
_LIGHT = 160.0  # grey level that the lightest hundredth of a picture is brought to where it is darker
_AGAIN = 1.25  # the frame in which the detector must see a face again is so many times as large
_ROUNDS, _STILL = 4, 0.25  # looked again at most so often, or until points move less than so many pixels of the frame
_LEAST = 8.0
"""Pixels between the eyes below which there is nothing to enlarge."""
_SAME, _AGREE = 0.3, 0.5
"""Intersection over union of two boxes above which they are one face, and above which a face lies where it must."""


class Landmarks(Protocol):
    """Finds faces and their points; :class:`cfgan.external.landmarks.FaceLandmarks` does."""

    name: str

    def boxes(self, pixels: npt.NDArray[np.uint8]) -> list[Box]: ...

    def points(self, pixels: npt.NDArray[np.uint8], box: Box) -> Points: ...


@dataclass(frozen=True)
class Face:
    """One face of a picture.

    Args:
        points: (5, 2), in pixels of the picture as a person sees it; see :mod:`cfgan.data.framing.geometry`.
        size: width and height of that picture in pixels.
    """

    points: Points
    size: tuple[int, int]

    @cached_property
    def way(self) -> Similarity:
        """From the picture into CelebA's frame."""
        return to_frame(self.points)

    @property
    def box(self) -> Corners:
        """Left, top, right, bottom of what the detector takes for a face: brow to chin, upright, in pixels."""
        middle = self.way.inverse(np.asarray([[(_BOX.left + _BOX.right) / 2, (_BOX.top + _BOX.bottom) / 2]]) / _ZOOM)[0]
        half = (_BOX.right - _BOX.left) / 2 / _ZOOM / self.way.scale
        return middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half

    @property
    def roll(self) -> float:
        """Degrees by which the face is turned in the picture, clockwise as seen, -180..180."""
        return -math.degrees(self.way.angle)

    @property
    def eyes(self) -> float:
        """Pixels between the middles of the eyes."""
        return float(np.linalg.norm(self.points[0] - self.points[1]))

    @property
    def outside(self) -> float:
        """Share of the frame that lies beyond the picture, and is filled with its mirror image, 0..1."""
        return share_outside(self.way, self.size)

    def framed(self, image: Image.Image) -> Image.Image:
        """The face in CelebA's frame, RGB, 178 x 218 pixels."""
        return warp(image, self.way)


def sharpness(framed: Image.Image) -> float:
    """Variance of the Laplacian over the middle of an aligned face, grey levels squared (Pech-Pacheco et al., 2000).

    Enlarged faces are soft: some 20 and less. CelebA's own have a median of 200.
    """
    w, h = IMAGE_SIZE
    grey = np.asarray(framed.convert("L").crop((w // 4, h * 3 // 8, w * 3 // 4, h * 7 // 8)), dtype=np.float64)
    inner = grey[1:-1, 1:-1]
    edges = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(edges.var())


def check_faces(which: str, choices: Sequence[str] = FACES) -> None:
    """Raise InputError, with the nearest, unless ``which`` is one of ``choices``."""
    if which not in choices:
        listed = ", ".join(choices)
        raise InputError(
            f"{which!r} is not one of {listed}.",
            field="--faces",
            value=which,
            nearest=nearest(which, choices) or choices,
        )


def pick(found: list[Face], which: str) -> list[Face]:
    """The faces that are meant of those that were found, the largest first; raises as :meth:`Framer.choose`."""
    if not found:
        raise DataError(NO_FACE)
    if which == "refuse" and len(found) > 1:
        raise DataError(f"{len(found)} faces were found.")
    return found if which == "all" else found[:1]


class Framer:
    """Finds the faces of pictures; the same picture gives the same faces. May be called from several threads.

    Args:
        landmarks: what looks; by default dlib's, which needs the extra ``cfgan[identity]``.

    Raises:
        ConfigError: the extra is missing.
    """

    def __init__(self, landmarks: Landmarks | None = None) -> None:
        if landmarks is None:
            from cfgan.external.landmarks import FaceLandmarks

            landmarks = FaceLandmarks()
        self._landmarks = landmarks

    @property
    def name(self) -> str:
        """What looks for faces, by its method."""
        return self._landmarks.name

    def faces(self, image: Image.Image, *, every: bool = False) -> list[Face]:
        """The faces of a picture, the largest first.

        Args:
            image: RGB, upright.
            every: also look for small ones beside large ones.
        """
        image = _lightened(image)
        doubtful: list[tuple[float, Face]] = []
        for view in _views(image, every):
            sure: list[Face] = []
            for score, face in self._seen(image, view):
                confirmed = self._confirmed(image, face)
                if confirmed > 0 and not any(_same(face, other) for other in sure):
                    sure.append(face)
                else:
                    doubtful.append((score, face))
            if sure:
                return sorted(sure, key=lambda face: -face.eyes)
        turned = [
            (self._confirmed(image, face), face)
            for degrees in _TURNS
            for _, face in self._seen(image, _view(image, _COARSE, _MARGIN, degrees))
        ]
        # A face that is turned by 45 degrees is also seen, awry, in views that leave it so: the surest counts.
        turned = [pair for pair in turned if pair[0] > 0] or doubtful
        return [max(turned, key=lambda pair: pair[0])[1]] if turned else []

    def _seen(self, image: Image.Image, view: _View) -> Iterator[tuple[float, Face]]:
        """The faces of a view, each with the detector's score."""
        pixels = np.asarray(view.image)
        for box in self._landmarks.boxes(pixels):
            face = self._refined(image, view.back(self._landmarks.points(pixels, box)))
            if face is not None:
                yield box.score, face

    def choose(self, image: Image.Image, which: str = "largest") -> list[Face]:
        """The faces that are meant, one of :data:`FACES`; one at least.

        Raises:
            DataError: there is no face, or with "refuse" several.
        """
        return pick(self.faces(image, every=which != "largest"), which)

    def _confirmed(self, image: Image.Image, face: Face) -> float:
        """How sure the detector is of a face once the picture stands upright in the frame; 0 where it sees none there.

        Upside down, hair and a collar pass for a face.
        """
        size = (round(IMAGE_SIZE[0] * _AGAIN), round(IMAGE_SIZE[1] * _AGAIN))
        left, top, right, bottom = (side * _AGAIN / _ZOOM for side in _corners(_BOX))
        boxes = self._landmarks.boxes(np.asarray(warp(image, to_frame(face.points, _AGAIN), size)))
        scores = [box.score for box in boxes if _shared(_corners(box), (left, top, right, bottom)) > _AGREE]
        return max(scores, default=0.0)

    def _refined(self, image: Image.Image, points: Points) -> Face | None:
        """Points that were looked for again where the face stands upright, is large, and lies as it always does."""
        for _ in range(_ROUNDS):
            try:
                way = to_frame(points, _ZOOM)
            except ValueError:
                return None
            pixels = np.asarray(warp(image, way, _FRAME))
            moved = self._landmarks.points(pixels, _BOX)
            step = float(np.abs(moved - way(points)).max()) / _ZOOM
            points = way.inverse(moved)
            if step < _STILL:
                break
        face = Face(points, image.size)
        try:
            middle = face.points.mean(0)
            return face if face.eyes >= _LEAST and face.way.scale > 0 and _is_within(middle, image.size) else None
        except ValueError:
            return None


@dataclass(frozen=True)
class _View:
    """A picture as the detector sees it: mirrored outward by ``margin``, turned by ``degrees``, then scaled."""

    image: Image.Image
    degrees: int
    scale: float
    margin: float  # in pixels of the picture
    size: tuple[float, float]  # of the picture with the margin, before it was turned

    def back(self, points: Points) -> Points:
        """Points of the view to where they lie in the picture."""
        turned = (points - np.asarray(self.image.size) / 2) / self.scale
        angle = math.radians(self.degrees)
        cosine, sine = math.cos(angle), math.sin(angle)
        upright = turned @ np.asarray([[cosine, sine], [-sine, cosine]])
        return np.asarray(upright + np.asarray(self.size) / 2 - self.margin)


def _views(image: Image.Image, every: bool) -> Iterator[_View]:
    """How an upright picture is looked at, one view after the other until there is a face."""
    if not every:
        yield _view(image, _COARSE, 0.0, 0)
        yield _view(image, _COARSE, _MARGIN, 0)
    yield _view(image, _FINE, _MARGIN if every else 0.0, 0)


def _view(image: Image.Image, side: int, margin: float, degrees: int) -> _View:
    scale = side / max(image.size)
    small = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BILINEAR
    )
    scale, wide = small.width / image.width, int(margin * side)
    padded = Image.fromarray(np.pad(np.asarray(small), ((wide, wide), (wide, wide), (0, 0)), mode="symmetric"))
    turned = padded.rotate(degrees, Image.Resampling.BILINEAR, expand=True) if degrees else padded
    return _View(turned, degrees, scale, wide / scale, (padded.width / scale, padded.height / scale))


def _lightened(image: Image.Image) -> Image.Image:
    """A picture whose lightest hundredth is dark, made so much lighter; others as they are."""
    levels = np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BILINEAR))
    light = float(np.percentile(levels, 99))
    if light >= _LIGHT:
        return image
    gain = _LIGHT / max(light, 1.0)
    return image.point([min(255, round(level * gain)) for level in range(256)] * 3)


def _same(face: Face, other: Face) -> bool:
    """Whether two are one face found twice."""
    return _shared(face.box, other.box) > _SAME


def _shared(first: Corners, second: Corners) -> float:
    """Intersection over union of two boxes, 0..1."""
    (a, b, c, d), (e, f, g, h) = first, second
    common = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    return common / ((c - a) * (d - b) + (g - e) * (h - f) - common)


def _corners(box: Box) -> Corners:
    return box.left, box.top, box.right, box.bottom


def _is_within(point: npt.NDArray[np.float64], size: tuple[int, int]) -> bool:
    """Whether a face is one of the picture, and not of its mirror image in the margin."""
    return bool((point > 0).all() and (point < np.asarray(size)).all())
