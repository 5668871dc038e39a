"""CelebA's frame, and the similarity transform that brings a face into it.

A frame is given by where five points of a face lie in it, those that CelebA names: the middle of the eye on the left of
the picture and of that on the right, the tip of the nose, the left and the right corner of the mouth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.data.decode import IMAGE_SIZE

Points = npt.NDArray[np.float64]
"""(5, 2): x and y of each point in pixels from the picture's corner, y downward; a pixel's middle is at its number
plus 0.5."""

CELEBA_POINTS: Points = np.asarray([[70.1, 112.9], [108.1, 112.9], [88.6, 135.0], [71.8, 153.5], [106.2, 153.5]])
"""Where the points lie in one of CelebA's aligned images, 178 x 218: their mean, as seen by
:mod:`cfgan.external.landmarks`."""

WEIGHTS = np.asarray([1.0, 1.0, 0.0, 0.5, 0.5])
"""What each point counts. Of all that were tried, these bring CelebA's own images nearest to where they were: a face
lands within 1 pixel at the median and 2.5 in 95 of 100, against 2.5 and 6.8 by the eyes alone. The tip of the nose
moves with the pose, and every weight on it makes both worse."""

_NOTHING = 1e-9  # what rounding leaves of a spread or a scale that is none


@dataclass(frozen=True)
class Similarity:
    """Turning, scaling and shifting: (x, y) to ``scale`` R(``angle``) (x, y) + ``shift``.

    Args:
        scale: above 0.
        angle: radians, clockwise as seen, for y points downward.
        shift: pixels in x and y.
    """

    scale: float
    angle: float
    shift: tuple[float, float]

    @cached_property
    def matrix(self) -> npt.NDArray[np.float64]:
        """(2, 3): what a point (x, y, 1) is multiplied with."""
        a, b = self.scale * math.cos(self.angle), self.scale * math.sin(self.angle)
        return np.asarray([[a, -b, self.shift[0]], [b, a, self.shift[1]]])

    def __call__(self, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Points (N, 2) to where they come to lie, (N, 2)."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2], dtype=np.float64)

    @cached_property
    def inverse(self) -> Similarity:
        """The way back."""
        turn, back = self.matrix[:, :2], 1 / self.scale
        shift = -(turn.T @ self.matrix[:, 2]) * back**2
        return Similarity(back, -self.angle, (float(shift[0]), float(shift[1])))


def fit_similarity(source: npt.NDArray[Any], target: npt.NDArray[Any], weights: npt.NDArray[Any]) -> Similarity:
    """The similarity transform of least weighted squares (Umeyama, PAMI 1991), never a reflection.

    Args:
        source, target: (N, 2), N at least 2.
        weights: (N,), 0 or more.

    Raises:
        ValueError: the points of one side all lie in one place.
    """
    share = weights / weights.sum()
    centre_s, centre_t = share @ source, share @ target
    s, t = source - centre_s, target - centre_t
    spread = float(share @ (s**2).sum(1))
    covariance = (t * share[:, None]).T @ s
    # In the plane the singular value decomposition of the paper has a closed form.
    cosine, sine = covariance[0, 0] + covariance[1, 1], covariance[1, 0] - covariance[0, 1]
    scale = math.hypot(cosine, sine) / spread if spread > _NOTHING else 0.0
    if scale <= _NOTHING:
        raise ValueError("the points lie in one place")
    turn = Similarity(scale, math.atan2(sine, cosine), (0.0, 0.0))
    shift = centre_t - turn(centre_s[None])[0]
    return Similarity(turn.scale, turn.angle, (float(shift[0]), float(shift[1])))


def to_frame(points: Points, zoom: float = 1.0) -> Similarity:
    """The transform that brings a face's points into CelebA's frame, ``zoom`` times as large. Raises ValueError."""
    return fit_similarity(points, CELEBA_POINTS * zoom, WEIGHTS)


def frame_corners(way: Similarity, zoom: float = 1.0) -> npt.NDArray[np.float64]:
    """The frame's four corners in the picture, (4, 2), clockwise from the top left of the frame."""
    w, h = IMAGE_SIZE[0] * zoom, IMAGE_SIZE[1] * zoom
    return way.inverse(np.asarray([[0, 0], [w, 0], [w, h], [0, h]]))


def share_outside(way: Similarity, size: tuple[int, int]) -> float:
    """Which share of the frame lies beyond a picture of ``size`` (width, height), 0..1, counted on a grid."""
    x, y = (np.arange(32) + 0.5) / 32 * IMAGE_SIZE[0], (np.arange(32) + 0.5) / 32 * IMAGE_SIZE[1]
    seen = way.inverse(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    inside = ((seen >= 0) & (seen <= size)).all(1)
    return float(1 - inside.mean())


def warp(image: Image.Image, way: Similarity, size: tuple[int, int] = IMAGE_SIZE) -> Image.Image:
    """A picture in a frame: antialiased where it is made smaller, reflected at its borders where the frame goes on.

    Args:
        image: RGB.
        way: from the picture to the frame.
        size: width and height of the frame in pixels.

    Returns:
        RGB of that size.
    """
    # A large face first becomes smaller by a whole number, each pixel the mean of a block: bicubic interpolation alone
    # would skip pixels. Nothing that follows is larger than some frames.
    if (factor := int(1 / way.scale)) > 1:
        image = image.reduce(factor)
        way = Similarity(way.scale * factor, way.angle, way.shift)
    corners = way.inverse(np.asarray([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float64))
    low, high = np.floor(corners.min(0)).astype(int) - 3, np.ceil(corners.max(0)).astype(int) + 3
    part = _reflected(image, low.tolist(), high.tolist())
    back = way.inverse.matrix.copy()
    back[:, 2] -= low
    return part.transform(size, Image.Transform.AFFINE, tuple(back.ravel()), Image.Resampling.BICUBIC)


def _reflected(image: Image.Image, low: list[int], high: list[int]) -> Image.Image:
    """The box from ``low`` to ``high`` (x, y) of a picture that is continued by its mirror image on every side."""
    columns, rows = (_mirrored(low[k], high[k], image.size[k]) for k in (0, 1))
    left, top = int(columns.min()), int(rows.min())
    part = np.asarray(image.crop((left, top, int(columns.max()) + 1, int(rows.max()) + 1)))
    return Image.fromarray(part[rows - top][:, columns - left])


def _mirrored(low: int, high: int, length: int) -> npt.NDArray[np.int64]:
    """Positions ``low`` to ``high`` on a line whose ``length`` pixels are mirrored over and over."""
    place = np.arange(low, high) % (2 * length)
    return np.where(place < length, place, 2 * length - 1 - place)
