"""Eyes, brows, nose, mouth, beard and skin of a drawn face, each from its own attributes."""

from __future__ import annotations

from cfgan.data.drawn.look import Look
from cfgan.data.drawn.pen import Colour, Pen, arc, bow, mix, shade

_DARK: Colour = (34, 26, 26)
_PINK: Colour = (232, 76, 92)
_RED: Colour = (196, 16, 52)


def draw_skin(pen: Pen, look: Look) -> None:
    """What lies on the skin: stubble, cheekbones, rosy cheeks."""
    has = look.has
    if has["5_o_Clock_Shadow"]:
        jaw = [(x, y) for x, y in look.outline(0.97) if y > look.y + 0.22 * look.h]
        pen.polygon(jaw, mix((70, 78, 92), look.skin, 0.15), 0.55)
    for side in (-1, 1):
        if has["High_Cheekbones"]:
            x, y = look.at(0.62 * side, 0.16)
            pen.ellipse(x, y, 0.056, 0.027, mix(look.skin, (255, 255, 255), 0.7), 0.9)
            pen.line([look.at(0.9 * side, 0.22), look.at(0.5 * side, 0.42)], 0.024, shade(look.skin, 0.42), 0.9)
        if has["Rosy_Cheeks"]:
            x, y = look.at(0.6 * side, 0.36)
            pen.ellipse(x, y, 0.062, 0.052, _PINK, 0.55)


def draw_age(pen: Pen, look: Look) -> None:
    """Lines on the forehead, beside the eyes and from nose to mouth in a face that is not young."""
    if look.has["Young"]:
        return
    line = shade(look.skin, 0.42)
    for down in (-0.62, -0.52, -0.42):
        pen.line(bow(look.at(-0.5, down), look.at(0.5, down), -0.012), 0.013, line)
    for side in (-1, 1):
        pen.line([look.at(0.26 * side, 0.3), look.at(0.44 * side, 0.44), look.at(0.46 * side, 0.62)], 0.018, line)
        for down in (0.08, 0.17):
            pen.line([look.at(0.72 * side, 0.08), look.at(0.92 * side, down + 0.02)], 0.014, line)


def draw_eyes(pen: Pen, look: Look) -> None:
    """Eyes with bags and make-up, and brows."""
    has = look.has
    for side in (-1, 1):
        x, y = look.at(0.44 * side, -0.06)
        y += look.skew * side
        open_by = 0.013 if has["Narrow_Eyes"] else 0.031
        if has["Heavy_Makeup"]:
            pen.ellipse(x, y - 0.022, 0.068, 0.042, (112, 52, 148), 0.8)
        if has["Bags_Under_Eyes"]:
            pen.polygon(
                [*arc(x, y + 0.014, 0.06, 0.07, 10, 170), *arc(x, y + 0.014, 0.054, 0.03, 170, 10)],
                mix((58, 30, 70), look.skin, 0.15),
                0.9,
            )
        pen.ellipse(x, y, 0.053, open_by, (246, 246, 244))
        pen.ellipse(x, y, min(0.022, open_by + 0.004), min(0.022, open_by), look.iris)
        pen.ellipse(x, y, 0.010, min(0.010, open_by), _DARK)
        lid = 0.017 if has["Heavy_Makeup"] else 0.008
        pen.line(arc(x, y, 0.055, open_by + 0.002, 180, 360), lid, _DARK)
        inner, outer = (look.x + side * 0.25 * look.w, look.x + side * 0.74 * look.w)
        brow_y = y - (0.068 if has["Bushy_Eyebrows"] else 0.062)
        lift = -0.048 if has["Arched_Eyebrows"] else 0.0
        brow = bow((inner, brow_y), (outer, brow_y), lift)
        pen.line(brow, 0.034 if has["Bushy_Eyebrows"] else 0.013, shade(look.hair, 0.55))


def draw_nose(pen: Pen, look: Look) -> None:
    """Broad or slim, pointed or round."""
    x, top = look.at(0, -0.02)
    x, bottom = x + look.skew / 2, look.at(0, 0.34)[1]
    half = 0.072 if look.has["Big_Nose"] else 0.034
    fill, edge = shade(look.skin, 0.74), shade(look.skin, 0.42)
    if look.has["Pointy_Nose"]:
        pen.polygon([(x, top), (x + half, bottom - 0.018), (x, bottom + 0.026), (x - half, bottom - 0.018)], fill)
        pen.line([(x - half, bottom - 0.018), (x, bottom + 0.026), (x + half, bottom - 0.018)], 0.012, edge)
        pen.line([(x, top), (x, bottom + 0.02)], 0.008, mix(look.skin, (255, 255, 255), 0.5))
    else:
        pen.polygon([(x - 0.012, top), (x + 0.012, top), (x + half * 0.8, bottom), (x - half * 0.8, bottom)], fill)
        pen.ellipse(x, bottom - 0.006, half, 0.028, fill)
        for side in (-1, 1):
            pen.ellipse(x + side * half * 0.5, bottom + 0.008, half * 0.24, 0.009, edge)


def draw_mouth(pen: Pen, look: Look) -> None:
    """Lips, their colour, a smile, an opening."""
    has = look.has
    x, y = look.at(0, 0.6)
    half, thick = 0.088, 0.044 if has["Big_Lips"] else 0.014
    sag = 0.042 if has["Smiling"] else -0.004
    tilt = look.skew * 0.6
    left, right = (x - half, y - sag * 0.5 - tilt), (x + half, y - sag * 0.5 + tilt)
    colour = _RED if has["Wearing_Lipstick"] else mix(shade(look.skin, 0.6), (150, 52, 62), 0.5)
    gap = 0.026 if has["Mouth_Slightly_Open"] else 0.0
    upper, lower = bow(left, right, sag - gap / 2), bow(left, right, sag + gap / 2)
    pen.polygon([*bow(left, right, sag - gap / 2 - thick * 0.7), *reversed(upper)], colour)
    pen.polygon([*lower, *reversed(bow(left, right, sag + gap / 2 + thick))], colour)
    if gap:
        pen.polygon([*upper, *reversed(lower)], (52, 16, 20))
        pen.polygon([*upper, *reversed(bow(left, right, sag - gap * 0.05))], (250, 250, 246))
    else:
        pen.line(upper, 0.008, shade(colour, 0.55))
    if has["Smiling"]:
        for side, (px, py) in ((-1, left), (1, right)):
            pen.line(
                arc(px + side * 0.004, py, 0.018, 0.026, -60 if side > 0 else 120, 60 if side > 0 else 240),
                0.009,
                shade(look.skin, 0.6),
            )


def draw_beard(pen: Pen, look: Look) -> None:
    """Along the jaw for anyone without ``No_Beard``; goatee, moustache and sideburns each on its own."""
    has, colour = look.has, shade(look.hair, 0.82)
    if not has["No_Beard"]:
        outer = [(x, y) for x, y in look.outline(1.0) if y > look.y + 0.3 * look.h]
        inner = [(x, y) for x, y in look.outline(0.84) if y > look.y + 0.25 * look.h]
        pen.polygon([*outer, *reversed(inner)], colour)
    if has["Goatee"]:
        x, y = look.at(0, 0.86)
        pen.ellipse(x, y, 0.07, 0.062, colour)
    if has["Mustache"]:
        x, y = look.at(0, 0.46)
        for side in (-1, 1):
            pen.ellipse(x + side * 0.042, y, 0.05, 0.019, colour)
    if has["Sideburns"]:
        for side in (-1, 1):
            top, bottom = look.at(0.96 * side, -0.2), look.at(0.9 * side, 0.34)
            pen.polygon(
                [top, (top[0] - side * 0.05, top[1]), (bottom[0] - side * 0.045, bottom[1]), (bottom[0], bottom[1])],
                colour,
            )
