"""Which attributes a drawn face has: two simple rules, neither of which contradicts itself or hides what it says.

Both never give two attributes of an exclusive group of CelebA's vocabulary, and none that nothing could show: a hat
covers the top of the head (no ``Bald``, no ``Receding_Hairline``), a bald head has neither hairline nor strands.

- ``natural``: ``Male`` and ``Young`` first, each with its share; then every other attribute with a share that depends
  on these two alone (:data:`SHARES`).
- ``even``: every attribute in half of the faces where nothing stands against it, and independent of the others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import CELEBA
from cfgan.errors import DataError, nearest

RULES = ("natural", "even")

HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
TEXTURE = ("Straight_Hair", "Wavy_Hair")
BEARD = ("Goatee", "Mustache", "Sideburns")

SHARES: dict[str, tuple[float, float, float]] = {
    "5_o_Clock_Shadow": (0.30, 0.0, 0.0),
    "Arched_Eyebrows": (0.15, 0.40, 0.0),
    "Attractive": (0.40, 0.60, -0.25),
    "Bags_Under_Eyes": (0.20, 0.10, 0.30),
    "Bald": (0.05, 0.0, 0.15),
    "Bangs": (0.10, 0.30, -0.05),
    "Big_Lips": (0.20, 0.35, 0.0),
    "Big_Nose": (0.40, 0.15, 0.10),
    "Blurry": (0.08, 0.08, 0.0),
    "Bushy_Eyebrows": (0.30, 0.10, 0.0),
    "Chubby": (0.15, 0.08, 0.10),
    "Double_Chin": (0.10, 0.05, 0.15),
    "Eyeglasses": (0.15, 0.10, 0.15),
    "Heavy_Makeup": (0.0, 0.55, -0.15),
    "High_Cheekbones": (0.30, 0.50, 0.0),
    "Mouth_Slightly_Open": (0.40, 0.50, 0.0),
    "Narrow_Eyes": (0.15, 0.15, 0.05),
    "Oval_Face": (0.30, 0.40, 0.0),
    "Pale_Skin": (0.08, 0.12, 0.0),
    "Pointy_Nose": (0.25, 0.35, 0.0),
    "Receding_Hairline": (0.10, 0.05, 0.20),
    "Rosy_Cheeks": (0.05, 0.25, -0.05),
    "Smiling": (0.45, 0.55, 0.0),
    "Wearing_Earrings": (0.05, 0.40, 0.0),
    "Wearing_Hat": (0.12, 0.06, 0.0),
    "Wearing_Lipstick": (0.0, 0.60, -0.10),
    "Wearing_Necklace": (0.05, 0.30, 0.0),
    "Wearing_Necktie": (0.25, 0.02, 0.05),
}
"""Of "natural": share in men, in women, and what is added to it in those who are not young."""

_MALE, _YOUNG, _BEARDED = 0.45, 0.7, 0.35
_HAIR_SHARES = {True: (0.32, 0.20, 0.32, 0.04, 0.12), False: (0.20, 0.12, 0.22, 0.38, 0.08)}  # young or not; last: none
_TEXTURE_SHARES = (0.35, 0.40, 0.25)  # straight, wavy, neither


def draw_attributes(rule: str, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """One face's labels, float32 (40,) of +-1 in CelebA's order.

    Raises:
        DataError: there is no such rule.
    """
    if rule not in RULES:
        raise DataError(
            f"{rule!r} is not one of {', '.join(RULES)}.", field="--rule", value=rule, nearest=nearest(rule, RULES)
        )
    even = rule == "even"
    has = {"Male": rng.random() < (0.5 if even else _MALE), "Young": rng.random() < (0.5 if even else _YOUNG)}
    for name, (man, woman, older) in SHARES.items():
        share = 0.5 if even else (man if has["Male"] else woman) + (0.0 if has["Young"] else older)
        has[name] = rng.random() < share
    colours = (0.2,) * 5 if even else _HAIR_SHARES[has["Young"]]
    has |= _one(HAIR, colours, rng) | _one(TEXTURE, (1 / 3,) * 3 if even else _TEXTURE_SHARES, rng)
    bearded = rng.random() < 0.5 if even else has["Male"] and rng.random() < _BEARDED
    has["No_Beard"] = not bearded
    has |= {name: bearded and rng.random() < 0.5 for name in BEARD}
    if has["Wearing_Hat"]:
        has["Bald"] = has["Receding_Hairline"] = False
    if has["Bald"]:
        has |= dict.fromkeys(("Bangs", "Receding_Hairline", *TEXTURE), False)
    if has["Bangs"]:
        has["Receding_Hairline"] = False
    return np.asarray([1.0 if has[name] else -1.0 for name in CELEBA.names], dtype=np.float32)


def _one(names: tuple[str, ...], shares: tuple[float, ...], rng: np.random.Generator) -> dict[str, bool]:
    """One of the names, or with the last share none of them."""
    chosen = int(rng.choice(len(shares), p=shares))
    return {name: k == chosen for k, name in enumerate(names)}


def contradiction(labels: npt.NDArray[np.float32]) -> str | None:
    """What stands against a face having just these labels: one short reason, or None. (40,) of +-1."""
    has = {name for name, value in zip(CELEBA.names, labels, strict=True) if value > 0}
    for group in CELEBA.exclusive:
        if len(both := sorted(group & has)) > 1:
            return f"{both[0]} and {both[1]} exclude each other"
    hidden = {
        "Wearing_Hat": ("Bald", "Receding_Hairline"),
        "Bald": ("Bangs", "Receding_Hairline", *TEXTURE),
        "Bangs": ("Receding_Hairline",),
    }
    for name, others in hidden.items():
        if name in has and (found := [other for other in others if other in has]):
            return f"{name} hides {found[0]}"
    return None
