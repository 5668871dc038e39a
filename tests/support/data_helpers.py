"""A drawn data set in which everything that `cfgan data stats` looks for is planted once, and known."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

NAMES = ("Hat", "Round", "Red", "Blue", "Big", "Loud")
ROWS = 400


@dataclass(frozen=True)
class Planted:
    """Where it lies, and its table and identity file."""

    folder: Path
    labels: Path
    identity: Path


def pattern(seed: int, side: int = 48) -> Image.Image:
    """A soft pattern unlike that of any other seed; no face."""
    coarse = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def planted_labels() -> np.ndarray:
    """bool (ROWS, 6): Hat implies Round, Red and Blue never meet, all else is independent."""
    labels = np.random.default_rng(11).random((ROWS, len(NAMES))) < [0.3, 0.5, 0.4, 0.4, 0.5, 0.1]
    labels[:, 1] |= labels[:, 0]
    labels[:, 3] &= ~labels[:, 2]
    # Copies carry the labels of what they are copies of, but for one attribute of one.
    for copy, source in ((300, 10), (201, 11)):
        labels[copy] = labels[source]
    labels[201, 4] ^= True
    return labels


def _images(folder: Path) -> Iterator[tuple[int, str]]:
    """Write the images; number and name of each."""
    for k in range(ROWS):
        name = f"{'a' if k % 2 else 'b'}/{k:04d}.png"
        image = pattern(k)
        if k == 300:
            (folder / name).write_bytes((folder / "b/0010.png").read_bytes())  # the same bytes, in the other split
        elif k == 201:
            name = f"a/{k:04d}.bmp"  # the same pixels in another file
            pattern(11).save(folder / name)
        elif k == 302:
            name = f"b/{k:04d}.jpg"  # half the size, and compressed, in the other split
            pattern(12).resize((24, 24)).save(folder / name, quality=60)
        elif k == 203:
            ImageEnhance.Brightness(pattern(13)).enhance(0.9).save(folder / name)  # darker, in the same split
        elif k == 50:
            name = f"b/{k:04d}.jpg"
            image.save(folder / name, quality=90)
            (folder / name).write_bytes((folder / name).read_bytes()[:-200])  # cut short
        elif k == 51:
            (folder / name).write_text("no image")
        elif k == 52:
            pass  # not there
        elif k == 53:
            image.resize((96, 60)).save(folder / name)  # another size
        else:
            image.save(folder / name)
        yield k, name


def plant(tmp: Path) -> Planted:
    """The folder, with sub-folders, a table of 0, 1 and gaps, rows from 250 on in the test split, persons by tens."""
    folder = tmp / "drawn"
    for part in ("a", "b"):
        (folder / part).mkdir(parents=True)
    labels = planted_labels()
    table, identity = tmp / "labels.csv", tmp / "who.txt"
    with table.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["picture", *NAMES, "split"])
        who = []
        for k, name in _images(folder):
            cells = [str(int(value)) for value in labels[k]]
            if k in (20, 21, 22):
                cells[4] = ""
            writer.writerow([name, *cells, "train" if k < 250 else "test"])
            person = "both" if k in (30, 31, 330) else f"person {k // 10}".replace(" ", "_")
            who.append(f"{name} {person}\n")
    identity.write_text("".join(who))
    pattern(9999).save(folder / "a" / "extra.png")  # no labels
    (folder / "notes.txt").write_text("left out")
    return Planted(folder, table, identity)
