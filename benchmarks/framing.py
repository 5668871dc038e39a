"""How well faces are found and framed, and what that does for the verifier: the tables of docs/benchmarks.md.

    python benchmarks/framing.py --celeba CELEBA -n 300

Takes CelebA's validation images, spoils their framing in known ways, aligns them again, and says how many faces were
found, how far they land from where they were (eyes, nose, mouth; pixels of the 178 x 218 frame), and the verifier's
balanced accuracy on one attribute before and after.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from cfgan.data.decode import CROP, load_rgb, to_square
from cfgan.data.framing.faces import Framer
from cfgan.data.framing.geometry import CELEBA_POINTS
from cfgan.data.read.celeba import read_celeba
from cfgan.model.bundle import open_bundle
from cfgan.model.calibration import balanced_accuracy
from cfgan.networks.devices import pick_device
from cfgan.verify.reader import readers_of

Spoiled = tuple[Image.Image, Callable[[np.ndarray], np.ndarray]]
"""A picture, and where points of the original lie in it."""


def padded(image: Image.Image, by: int) -> Image.Image:
    return Image.fromarray(np.pad(np.asarray(image), ((by, by), (by, by), (0, 0)), mode="edge"))


def as_it_is(image: Image.Image) -> Spoiled:
    return image, lambda points: points


def loose(image: Image.Image) -> Spoiled:
    wide = padded(image, 90)
    return wide.resize((2 * wide.width, 2 * wide.height), Image.Resampling.BICUBIC), lambda points: 2 * (points + 90)


def turned(degrees: int) -> Callable[[Image.Image], Spoiled]:
    def spoil(image: Image.Image) -> Spoiled:
        wide = padded(image, 80)
        found = wide.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        angle = np.deg2rad(degrees)
        turn = np.asarray([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return found, lambda points: (points + 80 - np.asarray(wide.size) / 2) @ turn.T + np.asarray(found.size) / 2

    return spoil


def small(image: Image.Image) -> Spoiled:
    """A face of 45 pixels in a picture of 640."""
    paper = Image.new("RGB", (640, 640), (120, 130, 140))
    paper.paste(image.resize((89, 109), Image.Resampling.LANCZOS), (300, 200))
    return paper, lambda points: points / 2 + [300, 200]


def dark(image: Image.Image) -> Spoiled:
    """An eighth of the light, with noise of three grey levels."""
    noise = np.random.default_rng(0).normal(0, 3, np.asarray(image).shape)
    return Image.fromarray((np.asarray(image) * 0.125 + noise).clip(0, 255).astype(np.uint8)), lambda points: points


def cut(left: int, top: int, right: int, bottom: int) -> Callable[[Image.Image], Spoiled]:
    """A chip of 200 pixels a side."""

    def spoil(image: Image.Image) -> Spoiled:
        scale = np.asarray([200 / (right - left), 200 / (bottom - top)])
        chip = image.crop((left, top, right, bottom)).resize((200, 200), Image.Resampling.BICUBIC)
        return chip, lambda points: (points - [left, top]) * scale

    return spoil


WAYS: dict[str, Callable[[Image.Image], Spoiled]] = {
    "as it is": as_it_is,
    "loose and twice as large": loose,
    "turned by 20 degrees": turned(20),
    "turned by 90 degrees": turned(90),
    "upside down": turned(180),
    "small": small,
    "dark": dark,
    "tight chip": cut(41, 78, 137, 174),
    "tighter chip": cut(50, 88, 128, 166),
    "tight and shifted": cut(58, 74, 154, 170),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--celeba", type=Path, required=True, help="a CelebA folder")
    parser.add_argument("-n", type=int, default=300, help="images")
    parser.add_argument("--bundle", default="celeba64")
    parser.add_argument("--attribute", default="Male")
    parser.add_argument("--ways", default=",".join(WAYS), help="which, with commas")
    given = parser.parse_args()
    table, bundle = read_celeba(given.celeba), open_bundle(given.bundle)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(table.split == 1))[: given.n]
    truth = table.labels[rows, table.vocabulary.index(given.attribute)] > 0
    place, reader, framer = (
        bundle.vocabulary.index(given.attribute),
        readers_of(bundle, pick_device("cpu"))[0],
        Framer(),
    )

    def accuracy(images: list[np.ndarray], rows_read: np.ndarray) -> str:
        seen = reader.seen(np.stack(images))[:, place]
        return f"{100 * balanced_accuracy(seen, truth[rows_read]):.1f} %"

    print(f"| images | found | off, median | off, 95 % | within 3 px | {given.attribute} before | after |")
    print("|---|---|---|---|---|---|---|")
    for name in given.ways.split(","):
        off, before, after, found = [], [], [], []
        for k, row in enumerate(rows.tolist()):
            picture, way = WAYS[name](load_rgb(table.folder / table.files[row]))
            is_whole = picture.size == (178, 218)
            before.append(to_square(picture, bundle.size, CROP if is_whole else None))
            for face in framer.faces(picture)[:1]:
                found.append(k)
                after.append(to_square(face.framed(picture), bundle.size, CROP))
                off.append(np.linalg.norm(face.way(way(CELEBA_POINTS)) - CELEBA_POINTS, axis=1).mean())
        there = np.asarray(found)
        print(
            f"| {name} | {100 * len(found) / len(rows):.1f} % | {np.median(off):.2f} | {np.percentile(off, 95):.2f} | "
            f"{100 * np.mean(np.asarray(off) <= 3):.1f} % | {accuracy([before[k] for k in found], there)} | "
            f"{accuracy(after, there)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
