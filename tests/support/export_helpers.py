"""Small test sets with drawn heads, made with the functions that make real ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cfgan.io.files import sha256_of, write_json, write_text
from cfgan.io.png import encode_png
from cfgan.testsets.check import count_rows
from cfgan.testsets.folder import CHECKSUMS, FORMAT, Item, Pair, open_testset, write_items, write_pairs
from cfgan.testsets.tables import attribute_rows

SIDE = 64
COLUMNS = ["requested.Red", "condition.Red", "condition.Round", "verifier.Red", "verifier.Round"]


def make_testset(
    folder: Path, *, design: str = "matched", mated: str | None = "1", folds: int = 2, people: int = 3, extra: int = 0
) -> Path:
    """Per fold some subjects with two images each, one comparison of the two, one with the next subject.

    Args:
        mated: what the first is said to be; None leaves it out.
        extra: further non-mated comparisons in the first fold, which make the folds unequal.
    """
    pairs: list[Pair] = []
    rows: list[list[Any]] = []
    for fold in range(1, folds + 1):
        first = (fold - 1) * people + 1
        names = [f"s{number:05d}" for number in range(first, first + people)]
        for name in names:
            for shot in (1, 2):
                rows.append(_draw(folder, name, shot, len(rows)))
        for place, name in enumerate(names):
            other = names[(place + 1) % people]
            if mated is not None:
                _add(pairs, _file(name, 1), _file(name, 2), mated, "Red", fold)
            _add(pairs, _file(name, 1), _file(other, 2), "0", "nearest", fold)
        for place in range(extra if fold == 1 else 0):
            _add(pairs, _file(names[place], 2), _file(names[(place + 1) % people], 2), "0", "random", fold)
    if design == "gallery":
        pairs = []
        for fold in range(1, folds + 1):
            name = f"s{(fold - 1) * people + 1:05d}"
            _add(pairs, f"gallery/Jane Doe {fold}/at work.png", _file(name, 1), "0", "nearest", fold)
            _add(pairs, _file(name, 1), _file(name, 2), "1", "Red", fold)
    if design == "detection":
        items = [Item(f"i{k:06d}", str(row[0]), "attack", "Red", 1) for k, row in enumerate(rows, start=1)]
        items += [Item(f"i{k:06d}", "", "bona_fide", "Red", 1) for k in range(len(rows) + 1, 2 * len(rows) + 1)]
        write_items(folder, items)
    else:
        write_pairs(folder, pairs)
    with (folder / "attributes.csv").open("w", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows([["file", "subject", "seed", "draw", *COLUMNS], *rows])
    write_json(folder / "manifest.json", {"format": FORMAT, "design": design, "licence": "research only"})
    write_text(folder / "datasheet.md", "# Datasheet\n")
    write_text(folder / "spec.yaml", f"design: {design}\n")
    write_json(folder / "protocol.json", {"folds": 1 if design == "detection" else folds})
    seal(folder)
    testset = open_testset(folder)
    images = list(attribute_rows(folder))
    counts = count_rows(testset)
    counts |= {"images": len(images), "subjects": len({row.subject for row in images})}
    write_json(folder / "protocol.json", {**testset.protocol, "counts": counts})
    return seal(folder)


def seal(folder: Path) -> Path:
    """Write the checksums anew, as if the folder had been made as it stands."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    sums = [f"{sha256_of(folder / name)}  {name}\n" for name in names if name != CHECKSUMS]
    write_text(folder / CHECKSUMS, "".join(sums))
    return folder


def pixels(path: Path, side: int = SIDE) -> np.ndarray:
    """An image as uint8 (side, side, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS))


def _file(name: str, shot: int) -> str:
    return f"images/{name}/{name}_{shot:04d}.png"


def _add(pairs: list[Pair], a: str, b: str, mated: Any, stratum: str, fold: int) -> None:
    differing = ("Red",) if mated != "0" else ()
    similarity = None if a.startswith("gallery") else 0.25
    name = f"p{len(pairs) + 1:06d}"
    pairs.append(Pair(name, a, b, mated, stratum, f"g{name}", ("-Round",), differing, (), similarity, fold))


def _draw(folder: Path, name: str, shot: int, number: int) -> list[Any]:
    """Draw one head of its own colours; returns its row of attributes.csv."""
    rng = np.random.default_rng(number)
    image = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in rng.integers(0, 255, 3)))
    ImageDraw.Draw(image).ellipse((16, 10, 48, 56), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
    path = folder / _file(name, shot)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = {"bundle": "tiny", "seed": 5, "draw": number}
    path.write_bytes(encode_png(np.asarray(image).transpose(2, 0, 1), text))
    red = 1 if shot == 2 else -1
    requested = str(red) if number % 2 else ""
    return [_file(name, shot), name, 5, number, requested, red, -1, f"{0.9 if red > 0 else 0.2:g}", 0.5]
