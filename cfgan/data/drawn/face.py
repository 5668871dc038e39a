"""A drawn face: head, hair and clothes around the features; draw *i* depends on (seed, i) alone."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from cfgan.attributes.vocabulary import CELEBA
from cfgan.data.drawn.features import draw_age, draw_beard, draw_eyes, draw_mouth, draw_nose, draw_skin
from cfgan.data.drawn.look import Look
from cfgan.data.drawn.pen import Colour, Pen, Point, arc, bow, mix, shade
from cfgan.data.drawn.rule import draw_attributes

_GOLD: Colour = (240, 202, 60)


def face_labels(seed: int, number: int, rule: str = "natural") -> npt.NDArray[np.float32]:
    """Labels of one face, float32 (40,) of +-1. Raises DataError for an unknown rule."""
    return draw_attributes(rule, _stream(seed, number, 0))


def face_image(seed: int, number: int, labels: npt.NDArray[np.float32], size: int) -> Image.Image:
    """One face, RGB.

    Args:
        seed, number: of the draw; they settle what no attribute says (place, tones).
        labels: (40,) in CelebA's order; above 0 present. Any labels, not only those that :func:`face_labels` gives.
        size: side in pixels.
    """
    has = {name: bool(value > 0) for name, value in zip(CELEBA.names, labels, strict=True)}
    return draw_face(Look.of(has, _stream(seed, number, 1)), size)


def _stream(seed: int, number: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, purpose)))


def draw_face(look: Look, size: int) -> Image.Image:
    """Draw a look from the back to the front."""
    pen = Pen(size, look.background)
    hair = not look.has["Bald"]
    if hair and not look.has["Male"]:
        _long_hair(pen, look)
    _body(pen, look)
    _head(pen, look)
    draw_skin(pen, look)
    draw_beard(pen, look)
    draw_age(pen, look)
    draw_mouth(pen, look)
    draw_nose(pen, look)
    draw_eyes(pen, look)
    (_hair if hair else _bald)(pen, look)
    if look.has["Wearing_Earrings"]:
        for side in (-1, 1):
            x, y = look.at(1.04 * side, 0.04)
            pen.ellipse(x + side * 0.012, y + 0.078, 0.024, 0.03, _GOLD)
    if look.has["Eyeglasses"]:
        _glasses(pen, look)
    if look.has["Wearing_Hat"]:
        _hat(pen, look)
    return pen.finish(0.018 if look.has["Blurry"] else 0.0)


def _long_hair(pen: Pen, look: Look) -> None:
    """Behind the neck, down to the shoulders."""
    x, y = look.at(0, 0)
    pen.ellipse(x, y - 0.02, look.w * 1.34, look.h * 1.1, shade(look.hair, 0.8))
    left, right = x - look.w * 1.34, x + look.w * 1.34
    pen.polygon([(left, y), (right, y), (right, 0.93), (left, 0.93)], shade(look.hair, 0.8))
    for side in (-1, 1):
        edge = x + side * look.w * 1.18
        _strands(pen, look, [((edge + k * 0.028 * side, y - 0.1), (edge + k * 0.028 * side, 0.92)) for k in (-1, 0, 1)])
        if look.has["Wavy_Hair"]:
            for k in range(5):
                pen.ellipse(x + side * look.w * 1.36, y + 0.02 + k * 0.085, 0.042, 0.046, shade(look.hair, 0.8))


def _strands(pen: Pen, look: Look, lines: list[tuple[Point, Point]]) -> None:
    """Straight lines, or waves along them; none in hair that is neither."""
    if not (look.has["Straight_Hair"] or look.has["Wavy_Hair"]):
        return
    bright = sum(look.hair) > 300
    colour = shade(look.hair, 0.55) if bright else mix(look.hair, (255, 255, 255), 0.42)
    for (x0, y0), (x1, y1) in lines:
        points = []
        for k in range(21):
            t = k / 20
            sway = 0.016 * math.sin(look.phase + 15 * t) if look.has["Wavy_Hair"] else 0.0
            points.append((x0 + (x1 - x0) * t + sway, y0 + (y1 - y0) * t))
        pen.line(points, 0.011, colour)


def _body(pen: Pen, look: Look) -> None:
    """Neck, shoulders and what is worn there."""
    has = look.has
    half = 0.125 if has["Male"] else 0.08
    x, chin = look.at(0, 1)
    neck = shade(look.skin, 0.86)
    pen.polygon([(x - half, chin - 0.1), (x + half, chin - 0.1), (x + half, 1.0), (x - half, 1.0)], neck)
    pen.ellipse(x, 1.08, 0.47 if has["Male"] else 0.36, 0.165, look.cloth)
    pen.polygon([(x - half, 0.9), (x + half, 0.9), (x, 0.99)], neck)
    if has["Wearing_Necktie"]:
        for side in (-1, 1):
            pen.polygon(
                [(x, 0.955), (x + side * (half + 0.03), 0.885), (x + side * (half + 0.02), 1.0)], (248, 248, 248)
            )
        pen.polygon([(x - 0.034, 0.925), (x + 0.034, 0.925), (x + 0.05, 1.0), (x - 0.05, 1.0)], (186, 26, 40))
    if has["Double_Chin"]:
        wide = half + 0.035
        pen.ellipse(x, chin - 0.012, wide, 0.062, shade(look.skin, 0.94))
        pen.line(arc(x, chin - 0.012, wide, 0.062, 15, 165), 0.013, shade(look.skin, 0.55))
    if has["Wearing_Necklace"]:
        for px, py in arc(x, 0.885, half + 0.03, 0.075, 5, 175, 9):
            pen.ellipse(px, py, 0.0155, 0.0155, _GOLD)


def _head(pen: Pen, look: Look) -> None:
    for side in (-1, 1):
        x, y = look.at(1.04 * side, 0.04)
        pen.ellipse(x, y, 0.036, 0.06, shade(look.skin, 0.9))
    pen.polygon(look.outline(), look.skin)
    pen.line(arc(look.x, look.y, look.w * 0.5, look.h * 0.985, 50, 130), 0.01, shade(look.skin, 0.7))


def _hair(pen: Pen, look: Look) -> None:
    """The hair on the head, from its outer edge to the hairline; fringe and strands on it."""
    has = look.has
    x, y = look.at(0, -0.12)
    outer = arc(x, y, look.w * 1.2, look.h * 1.02, 170, 370, 40)
    sides = [look.at(1.0, 0.06), look.at(0.9, -0.28)]
    if has["Receding_Hairline"]:
        line = [look.at(a, d) for a, d in ((0.82, -0.55), (0.56, -0.9), (0.3, -0.96), (0.12, -0.8))]
    else:
        line = [look.at(a, d) for a, d in ((0.74, -0.48), (0.45, -0.6), (0.2, -0.64))]
    mirrored = [(2 * look.x - px, py) for px, py in reversed([*sides, *line])]
    pen.polygon([*outer, *sides, *line, *mirrored], look.hair)
    if has["Wavy_Hair"]:
        for px, py in arc(x, y, look.w * 1.2, look.h * 1.02, 172, 368, 13):
            pen.ellipse(px, py, 0.042, 0.042, look.hair)
    top = look.at(0, -0.98)[1] if has["Receding_Hairline"] else look.at(0, -0.66)[1]
    roots = [look.x + k * look.w * 0.27 for k in range(-4, 5)]
    _strands(
        pen,
        look,
        [
            (
                (px, y - look.h * math.sqrt(max(0.0, 1.02 - ((px - x) / look.w / 1.2) ** 2)) + 0.02),
                (px, top + 0.35 * abs(px - x)),
            )
            for px in roots
        ],
    )
    for side in (-1, 1):  # also what a hat leaves of short hair
        _strands(pen, look, [(look.at(a * side, -0.46), look.at(a * side, 0.02)) for a in (1.0, 1.1)])
    if has["Bangs"]:
        low = look.at(0, -0.33)[1]
        tips = [(look.x + look.w * (0.84 - 0.21 * k), low - (0.022 if k % 2 else 0.0)) for k in range(9)]
        pen.polygon([look.at(-0.84, -0.7), look.at(0.84, -0.7), *tips], shade(look.hair, 0.9))


def _bald(pen: Pen, look: Look) -> None:
    """A rim of hair above the ears, and a shine."""
    for side in (-1, 1):
        x, y = look.at(1.0 * side, -0.2)
        pen.ellipse(x, y, 0.034, 0.075, look.hair)
    x, y = look.at(-0.3, -0.72)
    pen.ellipse(x, y, 0.05, 0.028, mix(look.skin, (255, 255, 255), 0.6), 0.7)


def _glasses(pen: Pen, look: Look) -> None:
    frame = (22, 22, 30)
    y = look.at(0, -0.05)[1]
    inner = look.w * 0.44
    for side in (-1, 1):
        x = look.x + side * inner
        pen.ellipse(x, y, 0.082, 0.066, (214, 232, 246), 0.22)
        pen.ring(x, y, 0.084, 0.068, 0.017, frame)
        pen.line([(x + side * 0.08, y - 0.02), look.at(1.05 * side, -0.05)], 0.015, frame)
    pen.line(bow((look.x - inner + 0.08, y - 0.01), (look.x + inner - 0.08, y - 0.01), -0.01), 0.015, frame)


def _hat(pen: Pen, look: Look) -> None:
    """Brim and crown, above the brows, so that a fringe still shows below it."""
    colour: Colour = (44, 92, 74)
    x, y = look.at(0, -0.56)
    pen.polygon(
        [(x - look.w * 1.22, y), *arc(x, y - 0.02, look.w * 1.22, look.h * 0.86, 180, 360), (x + look.w * 1.22, y)],
        colour,
    )
    pen.ellipse(x, y, look.w * 1.62, 0.045, shade(colour, 0.75))
    pen.line([(x - look.w * 1.16, y - 0.07), (x + look.w * 1.16, y - 0.07)], 0.03, (222, 206, 130))
