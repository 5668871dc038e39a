"""A canvas in units of the picture's side, several times finer than the picture, so that edges come out smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]

FINER = 4
"""Pixels of the canvas along a pixel of the picture."""


class Pen:
    """Draws on a square; coordinates and widths are shares of its side, y goes down.

    Args:
        size: side of the picture in pixels.
        background: its colour.
    """

    def __init__(self, size: int, background: Colour) -> None:
        self._size, self._scale = size, size * FINER
        self._canvas = Image.new("RGB", (self._scale, self._scale), background)
        self._draw = ImageDraw.Draw(self._canvas, "RGBA")

    def _points(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._scale, y * self._scale) for x, y in points]

    def polygon(self, points: Sequence[Point], colour: Colour, opacity: float = 1.0) -> None:
        self._draw.polygon(self._points(points), fill=(*colour, round(255 * opacity)))

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, opacity: float = 1.0) -> None:
        """Filled, around (x, y)."""
        box = [value * self._scale for value in (x - rx, y - ry, x + rx, y + ry)]
        self._draw.ellipse(box, fill=(*colour, round(255 * opacity)))

    def ring(self, x: float, y: float, rx: float, ry: float, width: float, colour: Colour) -> None:
        """The outline of an ellipse."""
        box = [value * self._scale for value in (x - rx, y - ry, x + rx, y + ry)]
        self._draw.ellipse(box, outline=colour, width=max(1, round(width * self._scale)))

    def line(self, points: Sequence[Point], width: float, colour: Colour, opacity: float = 1.0) -> None:
        fill = (*colour, round(255 * opacity))
        self._draw.line(self._points(points), fill=fill, width=max(1, round(width * self._scale)), joint="curve")

    def finish(self, blur: float = 0.0) -> Image.Image:
        """The picture, RGB; ``blur`` is the radius of a Gaussian as a share of the side."""
        picture = self._canvas.resize((self._size, self._size), Image.Resampling.BOX)
        return picture.filter(ImageFilter.GaussianBlur(blur * self._size)) if blur else picture


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (below 1) or lighter."""
    red, green, blue = (min(255, max(0, round(level * factor))) for level in colour)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``share`` of the second colour in the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def arc(x: float, y: float, rx: float, ry: float, start: float, stop: float, steps: int = 24) -> list[Point]:
    """Points along an ellipse from one angle to another, in degrees; 0 is right, 90 down."""
    angles = [math.radians(start + (stop - start) * k / steps) for k in range(steps + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def bow(left: Point, right: Point, depth: float, steps: int = 16) -> list[Point]:
    """A parabola between two points that sags by ``depth`` in the middle (y goes down)."""
    found = []
    for k in range(steps + 1):
        t = k / steps
        found.append((left[0] + (right[0] - left[0]) * t, left[1] + (right[1] - left[1]) * t + 4 * depth * t * (1 - t)))
    return found
