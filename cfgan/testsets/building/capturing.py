"""The pixels of changes of capture: one image in, the same face as another camera or light would show it.

All of it is arithmetic on the finished image, and drawing for what is worn: who is shown cannot change, whatever the
strength. Light is changed in linear light, the rest in sRGB levels; changes are not combined. Eyes and mouth are taken
to be where CelebA's frame has them, as the generated faces do.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from cfgan.data.decode import CROP
from cfgan.data.framing.geometry import CELEBA_POINTS, Similarity, warp
from cfgan.testsets.captures import Capture, place_of

Pixels = npt.NDArray[np.uint8]
"""(3, H, W), RGB, 0..255."""

_FINER = 8
"""What is worn is drawn so many times as large and made smaller, so that its edges are smooth at 64 pixels."""

_POINTS = (CELEBA_POINTS - np.asarray(CROP[:2])) / (CROP[2] - CROP[0])
"""(5, 2): eyes, nose, corners of the mouth in the central crop, as shares of its side."""

_MASKS = ((178, 205, 222), (232, 232, 228), (58, 62, 70))
"""Colours of masks: surgical blue, white, black cloth."""


def captured_pixels(pixels: Pixels, capture: Capture, seed: int, draw: int) -> Pixels:
    """An image after a change of capture.

    Args:
        pixels: (3, H, W), the face as it was drawn.
        capture: what is done.
        seed, draw: of the face; with the kind they give all that is random (noise, directions, colours): the same spec
            gives the same bytes, and the grades of a kind differ in strength alone.

    Returns:
        (3, H, W).
    """
    rng = np.random.default_rng([seed, draw, place_of(capture.kind)])
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    changed = _CHANGES[capture.kind.name](image, capture.value, rng)
    return np.ascontiguousarray(np.asarray(changed, dtype=np.uint8).transpose(2, 0, 1))


def _blur(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    del rng
    # Not Pillow's GaussianBlur, which is a series of box blurs and nearly nothing below one pixel.
    sigma = value / 100 * image.width
    reach = max(1, math.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    levels = np.asarray(image, dtype=np.float64)
    for axis in (0, 1):
        padded = np.pad(levels, [(reach, reach) if k == axis else (0, 0) for k in range(3)], mode="symmetric")
        levels = sum(
            weight * np.take(padded, np.arange(k, k + levels.shape[axis]), axis=axis) for k, weight in enumerate(kernel)
        )
    return _image(levels)


def _noise(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    levels = np.asarray(image, dtype=np.float64)
    return _image(levels + rng.normal(0.0, value, levels.shape))


def _jpeg(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    del rng
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(value), subsampling=2)
    with Image.open(buffer) as decoded:
        return decoded.convert("RGB")


def _resolution(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    del rng
    small = (max(1, round(image.width * value / 100)), max(1, round(image.height * value / 100)))
    return image.resize(small, Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.BICUBIC)


def _gain(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    del rng
    return _image(_encoded(_linear(image) * 2.0**value))


def _light(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    """Full light at one edge, falling off smoothly to what is left of it at the opposite one; above or from a side."""
    angle = rng.uniform(-math.pi, 0)  # y points downward: never from below
    x, y = np.meshgrid(np.linspace(-1, 1, image.width), np.linspace(-1, 1, image.height))
    along = np.clip((x * math.cos(angle) + y * math.sin(angle) + 1) / 2, 0, 1)
    left = 1 - value / 100 * (1 - along * along * (3 - 2 * along))
    return _image(_encoded(_linear(image) * left[..., None]))


def _turn(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    angle = math.radians(value) * (1 if rng.random() < 0.5 else -1)
    middle = np.asarray([[image.width / 2, image.height / 2]])
    turn = Similarity(1.0, angle, (0.0, 0.0))
    shift = (middle - turn(middle))[0]
    return warp(image, Similarity(1.0, angle, (float(shift[0]), float(shift[1]))), image.size)


def _shift(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    angle = rng.uniform(0, 2 * math.pi)
    length = value / 100 * image.width
    return warp(image, Similarity(1.0, 0.0, (length * math.cos(angle), length * math.sin(angle))), image.size)


def _mask(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    """Cloth from below the chin to ``value`` per cent of the way from there to the eyes, with its upper edge bent."""
    colour = _MASKS[int(rng.integers(len(_MASKS)))]
    eyes, mouth = _POINTS[:2].mean(0), _POINTS[3:].mean(0)
    middle, apart = float(mouth[0]), float(_POINTS[1, 0] - _POINTS[0, 0])
    chin = float(mouth[1] + 0.72 * (mouth[1] - eyes[1]))
    top = chin - value / 100 * (chin - float(eyes[1]))
    wide = 1.05 * apart
    edge = [
        (middle - wide, top + 0.12 * apart),
        (middle - 0.45 * apart, top + 0.03 * apart),
        (middle, top - 0.06 * apart),
        (middle + 0.45 * apart, top + 0.03 * apart),
        (middle + wide, top + 0.12 * apart),
    ]
    jaw = [(middle + 0.86 * wide, chin - 0.35 * apart), (middle + 0.42 * wide, chin + 0.1 * apart)]
    jaw += [(2 * middle - x, y) for x, y in reversed(jaw)]
    fold = [(middle - 0.9 * wide, (top + chin) / 2), (middle, (top + chin) / 2 + 0.08 * apart)]
    fold += [(middle + 0.9 * wide, (top + chin) / 2)]

    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        draw.polygon(_scaled([*edge, *jaw], scale), fill=(*colour, 255))
        darker = tuple(int(0.82 * each) for each in colour)
        draw.line(_scaled(fold, scale), fill=(*darker, 255), width=max(1, round(0.03 * apart * scale)))

    return _worn(image, paint)


def _sunglasses(image: Image.Image, value: float, rng: np.random.Generator) -> Image.Image:
    """Two dark lenses over the eyes with a frame, a bridge and temples; ``value`` per cent opaque."""
    tint = int(rng.integers(10, 45))
    apart = float(_POINTS[1, 0] - _POINTS[0, 0])
    wide, high = 0.43 * apart, 0.33 * apart
    line = 0.07 * apart

    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        stroke = max(1, round(line * scale))
        for x, y in _POINTS[:2]:
            box = _scaled([(x - wide, y - 0.75 * high), (x + wide, y + 1.15 * high)], scale)
            draw.rounded_rectangle(
                [*box[0], *box[1]],
                radius=0.55 * high * scale,
                fill=(tint, tint, tint, round(2.55 * value)),
                outline=(18, 18, 20, 255),
                width=stroke,
            )
        (left, y), (right, _) = _POINTS[0], _POINTS[1]
        bar = y - 0.35 * high
        for ends in (
            [(left + wide, bar), (right - wide, bar)],
            [(left - wide, bar), (left - 0.85 * apart, bar - 0.04 * apart)],
            [(right + wide, bar), (right + 0.85 * apart, bar - 0.04 * apart)],
        ):
            draw.line(_scaled(ends, scale), fill=(18, 18, 20, 255), width=stroke)

    return _worn(image, paint)


def _worn(image: Image.Image, paint: Callable[[ImageDraw.ImageDraw, float], None]) -> Image.Image:
    """The image with something drawn over it, as sharp as the image is."""
    layer = Image.new("RGBA", (image.width * _FINER, image.height * _FINER), (0, 0, 0, 0))
    paint(ImageDraw.Draw(layer), float(layer.width))
    # Weighted by their opacity, or the transparent black beside an edge would darken it.
    layer = layer.convert("RGBa").resize(image.size, Image.Resampling.BOX).convert("RGBA")
    layer = layer.filter(ImageFilter.SMOOTH)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _scaled(points: list[tuple[float, float]], scale: float) -> list[tuple[float, float]]:
    return [(float(x) * scale, float(y) * scale) for x, y in points]


def _linear(image: Image.Image) -> npt.NDArray[np.float64]:
    """sRGB levels as light, 0..1 (IEC 61966-2-1)."""
    level = np.asarray(image, dtype=np.float64) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def _encoded(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    light = np.clip(light, 0, 1)
    level = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(level * 255)


def _image(levels: npt.NDArray[np.float64] | float) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))


_CHANGES: Mapping[str, Callable[[Image.Image, float, np.random.Generator], Image.Image]] = {
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
    "resolution": _resolution,
    "gain": _gain,
    "light": _light,
    "turn": _turn,
    "shift": _shift,
    "mask": _mask,
    "sunglasses": _sunglasses,
}
