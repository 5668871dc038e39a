"""Drawn faces of five dots that a mocked detector finds by their colours: no person, no dlib."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cfgan.data.framing.geometry import CELEBA_POINTS, fit_similarity
from cfgan.external.landmarks import Box

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
"""Of the dots: left eye, right eye, nose, left and right corner of the mouth."""


def dotted(
    size: tuple[int, int], faces: list[tuple[float, float, float, float]], paper: tuple[int, int, int] = (90, 90, 90)
) -> Image.Image:
    """A picture of faces of dots, each: its middle in pixels, scale against CelebA's frame, degrees clockwise."""
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    for x, y, scale, degrees in faces:
        for (px, py), colour in zip(placed(x, y, scale, degrees).tolist(), COLOURS, strict=True):
            r = 3 * scale
            draw.ellipse((px - r, py - r, px + r, py + r), fill=colour)
    return image


def placed(x: float, y: float, scale: float, degrees: float) -> npt.NDArray[np.float64]:
    """Where the points of such a face lie, (5, 2)."""
    angle = math.radians(degrees)
    turn = np.asarray([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.asarray((CELEBA_POINTS - CELEBA_POINTS.mean(0)) * scale @ turn.T + [x, y])


class Dots:
    """Finds faces of dots that stand upright to within 25 degrees, as dlib's detector does."""

    name = "dots"

    def boxes(self, pixels: npt.NDArray[np.uint8]) -> list[Box]:
        found = []
        for points in _faces(pixels):
            roll = math.degrees(math.atan2(*(points[1] - points[0])[::-1]))
            if abs(roll) < 25:
                middle, half = (points[0] + points[1] + points[3] + points[4]) / 4, np.ptp(points[:, 1]) * 1.1
                left, top = (middle - half).astype(int).tolist()
                right, bottom = (middle + half).astype(int).tolist()
                found.append(Box(left, top, right, bottom, 1.0))
        return sorted(found, key=lambda box: -box.area)

    def points(self, pixels: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.float64]:
        middle = np.asarray([(box.left + box.right) / 2, (box.top + box.bottom) / 2])
        found = _faces(pixels)
        nearest = min(found, key=lambda points: float(np.abs(points.mean(0) - middle).sum()), default=None)
        return nearest if nearest is not None else CELEBA_POINTS + middle


def _faces(pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float64]]:
    """The dots of each face, (5, 2): blobs of all colours that lie as in a face, and not as in its mirror image."""
    light, dim = pixels > 180, pixels < 100
    blobs = [_blobs(np.where(np.asarray(colour) > 0, light, dim).all(2)) for colour in COLOURS]
    found = []
    for eye in blobs[0] if all(blobs) else []:
        points = np.stack([min(each, key=lambda p: float(np.hypot(*(p - eye)))) for each in blobs])
        way = fit_similarity(CELEBA_POINTS, points, np.ones(5))
        if np.abs(way(CELEBA_POINTS) - points).max() < 4 * way.scale:
            found.append(points)
    return found


def _blobs(there: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.float64]]:
    """The middles of the blobs of a mask, x and y."""
    from scipy import ndimage

    marked, count = ndimage.label(there)
    parts = ndimage.find_objects(marked)
    boxes = [(columns.start, columns.stop, rows.start, rows.stop) for rows, columns in parts[:count]]
    return [np.asarray([(a + b) / 2, (c + d) / 2]) for a, b, c, d in boxes if b - a > 1 and d - c > 1]
