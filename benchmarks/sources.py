"""Every kind of data set through every command: is there a step at which one of them gets stuck?

    python benchmarks/sources.py --out sources.md

draws a small set of each kind (coloured shapes), with what is odd in sets that people have, and runs `data stats`,
`data import`, `train` (verifier, generator and prior, for a few images), `bundle build`, `generate`, `verify`, `report`
and `balance` on it, as they are typed. The table says what each step made of it; a command that fails ends the run with
what it said. MNIST is left out where torchvision cannot be imported.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from cfgan.data.store import open_store
from cfgan.io.files import write_text
from cfgan.model.bundle import open_bundle
from cfgan_cli.app import app

COUNT = 240  # images of a set
COLOURS = {"red": (200, 40, 40), "blue": (40, 60, 210)}
FORMS = ("round", "square")
STEPS = ("stats", "import", "train", "build", "generate", "verify", "report", "balance")
SETTINGS = ("--set", "threads=1", "--set", "device=cpu", "--set", "images=128", "--set", "batch=16")
NARROW = ("--set", "width=8", "--set", "z_dim=8", "--set", "embed=8", "--set", "sample_images=1000000")


@dataclass(frozen=True)
class Drawn:
    """A set as somebody has it.

    Args:
        source: what commands are pointed at.
        options: by which `data stats` and `data import` are told what is what.
        asked: an attribute to ask for.
        left_out: how many things of each kind are left out, as planted: columns, rows, images.
        balance: whether `balance` reads the source as it stands; else it reads the packed store.
        labels: a table that `verify --labels` compares with.
        skip_bad: whether rows without an image are planted, which import leaves out when told to.
    """

    source: str | Path
    options: tuple[str, ...]
    asked: str
    left_out: tuple[int, int, int] = (0, 0, 0)
    balance: bool = False
    labels: Path | None = None
    skip_bad: bool = False


def shape(colour: str, form: str, seed: int) -> Image.Image:
    """A disc or a square, 32 pixels, anywhere near the middle."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (32, 32), tuple(int(v) for v in rng.integers(190, 250, 3)))
    x, y, side = (int(v) for v in rng.integers((4, 4, 16), (10, 10, 21)))
    pen = ImageDraw.Draw(image)
    (pen.ellipse if form == "round" else pen.rectangle)((x, y, x + side, y + side), fill=COLOURS[colour])
    return image


def kinds(count: int = COUNT) -> list[tuple[int, str, str]]:
    """Number, colour and form of each image, evenly."""
    return [(k, list(COLOURS)[k % 2], FORMS[k // 2 % 2]) for k in range(count)]


def save(path: Path, colour: str, form: str, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape(colour, form, seed).save(path)


def write_rows(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(rows)
    return path


def class_folders(folder: Path) -> Drawn:
    for k, colour, form in kinds():
        save(folder / "photos" / colour / f"{k:04d}.png", colour, form, k)
    return Drawn(folder / "photos", (), "red", balance=True)


def labels_in_names(folder: Path) -> Drawn:
    for k, colour, form in kinds():
        save(folder / "chips" / f"{20 + k % 50}_{colour}_{form}_{k:04d}.png", colour, form, k)
    save(folder / "chips" / "thumbnail.png", "red", "round", 0)
    options = ("--pattern", "{age}_{colour}_{form}_*", "--bins", "age=40")
    return Drawn(folder / "chips", options, "square", left_out=(0, 0, 1))


def dirty_table(folder: Path) -> Drawn:
    """Moods in capitals and not, cells that say nothing, rows twice, a row without an image and the other way round."""
    says = {"round": ("yes", "1", "TRUE", " Yes "), "square": ("no", "0", "False", "NO")}
    rows: list[list[object]] = [["picture", "mood", "Round", "photographer"]]
    for k, colour, form in kinds():
        name = f"{k:04d}.png"
        save(folder / "faces" / "images" / name, colour, form, k)
        mood = {"red": ("angry", "Angry"), "blue": ("calm", "CALM")}[colour][k // 4 % 2]
        rows.append([name, mood, "n/a" if k % 20 == 7 else says[form][k // 4 % 4], f"person {k}"])
    rows += [rows[1], rows[2], ["gone.png", "calm", "no", "person 1"]]
    save(folder / "faces" / "images" / "extra.png", "red", "round", 0)
    write_rows(folder / "faces" / "labels.csv", rows)
    options = ("--class-column", "mood", "--fold-case", "--duplicates", "majority")
    return Drawn(folder / "faces", options, "Round", left_out=(1, 3, 1), skip_bad=True)


def kaggle_celeba(folder: Path) -> Drawn:
    labels: list[list[object]] = [["image_id", "Red", "Round"]]
    parts: list[list[object]] = [["image_id", "partition"]]
    for k, colour, form in kinds():
        name = f"{k + 1:06d}.jpg"
        save(folder / "celeba" / "img_align_celeba" / "img_align_celeba" / name, colour, form, k)
        labels.append([name, 1 if colour == "red" else -1, 1 if form == "round" else -1])
        parts.append([name, 0 if k < 160 else 1 if k < 200 else 2])
    write_rows(folder / "celeba" / "list_eval_partition.csv", parts)
    table = write_rows(folder / "celeba" / "list_attr_celeba.csv", labels)
    return Drawn(folder / "celeba", (), "Round", balance=True, labels=table)


def hub_metadata(folder: Path) -> Drawn:
    for part, (start, end) in {"train": (0, 200), "test": (200, COUNT)}.items():
        lines = []
        for k, colour, form in kinds()[start:end]:
            save(folder / "hub" / "data" / part / f"{k:04d}.png", colour, form, k)
            row = {"file_name": f"{k:04d}.png", "Red": int(colour == "red"), "Round": int(form == "round")}
            lines.append(json.dumps({**row, "caption": f"shape {k}"}))
        (folder / "hub" / "data" / part / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return Drawn(folder / "hub", (), "Red", left_out=(1, 0, 0), balance=True)


def dataset_json(folder: Path) -> Drawn:
    rows = []
    for k, colour, form in kinds():
        name = f"{k // 100:05d}/img{k:08d}.png"
        save(folder / "sg" / name, colour, form, k)
        rows.append([name, list(COLOURS).index(colour)])
    (folder / "sg" / "dataset.json").write_text(json.dumps({"labels": rows}))
    return Drawn(folder / "sg", (), "class_1", balance=True)


def sklearn_digits(folder: Path) -> Drawn:
    return Drawn("sklearn:digits", (), "7")


def mnist(folder: Path) -> Drawn:
    """Two of its ten digits, as discs and squares: the files are as MNIST's are."""
    raw = folder / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, found in {"train": kinds(), "t10k": kinds(60)}.items():
        greys = [np.asarray(shape(c, f, k).convert("L").resize((28, 28))) for k, c, f in found]
        head = struct.pack(">IIII", 0x803, len(greys), 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + np.stack(greys).tobytes())
        digits = bytes(FORMS.index(form) for _, _, form in found)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, len(digits)) + digits)
    return Drawn("torchvision:MNIST", ("--root", str(folder / "mnist")), "1_one")


SOURCES: dict[str, Callable[[Path], Drawn]] = {
    "class folders": class_folders,
    "names with labels": labels_in_names,
    "expression table with dirty cells": dirty_table,
    "Kaggle's CelebA": kaggle_celeba,
    "Hugging Face metadata": hub_metadata,
    "StyleGAN's dataset.json": dataset_json,
    "scikit-learn digits": sklearn_digits,
    "torchvision MNIST": mnist,
}
NEEDS = {"torchvision MNIST": "torchvision"}


def run(*arguments: object) -> str:
    """A command as it is typed. Returns stdout; raises RuntimeError with what it said if it fails."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exit_code:
        error = "" if isinstance(done.exception, SystemExit) else repr(done.exception)
        raise RuntimeError(f"cfgan {' '.join(map(str, arguments))}: exit {done.exit_code}\n{done.output}{error}")
    return done.stdout


def through_all_steps(drawn: Drawn, work: Path) -> dict[str, str]:
    """What each step made of a set. Raises RuntimeError where one fails or leaves out what was not planted."""
    store, bundle, batch = work / "store", work / "bundle", work / "batch"
    looked = json.loads(run("data", "stats", drawn.source, *drawn.options, "--json"))
    left = looked["source"]["left_out"]
    found = tuple(left[kind]["count"] for kind in ("columns", "rows", "images"))
    if found != drawn.left_out or left["folders"]["count"]:
        raise RuntimeError(f"{drawn.source}: left out {left}, planted {drawn.left_out}")
    names = [row["name"] for row in looked["attributes"]]
    cells = {"stats": f"{looked['source']['rows']:,} images, {len(names)} attributes"}
    cells["stats"] += "".join(f", {n} {kind} left out" for kind, n in _planted(drawn) if n)

    bad = ("--skip-bad",) if drawn.skip_bad else ()
    run("data", "import", drawn.source, *drawn.options, "--out", store, "--size", 32, "--stratify", *bad, "-q")
    packed = open_store(store)
    cells["import"] = " + ".join(f"{len(packed.rows(part)):,}" for part in ("train", "validation", "test"))

    classifier = ("--set", "widths=[8, 16]", *SETTINGS, "-q")
    run("train", "verifier", "--data", store, "--out", work / "verifier", *classifier)
    run("train", "gan", "--data", store, "--out", work / "gan", *SETTINGS, *NARROW, "-q")
    run("train", "prior", "--data", store, "--out", work / "prior.safetensors", "-q")
    cells["train"] = "verifier, generator, prior"

    parts = ("--gan", work / "gan", "--verifier", work / "verifier", "--prior", work / "prior.safetensors")
    said = ("--name", "drawn", "--data", "drawn shapes", "--licence", "none", "--no-faces", "--draws", 100)
    run("bundle", "build", "--out", bundle, *parts, *said, "-q")
    cells["build"] = f"{len(open_bundle(bundle).vocabulary)} attributes"

    asked = ("--bundle", bundle, "--threshold", 0.001)
    made = json.loads(run("generate", *asked, "-a", drawn.asked, "-n", 8, "--out", batch, "--json"))
    cells["generate"] = f"{made['accepted']} of {drawn.asked}"

    # A data set of a package has no files of its own to be read.
    place = drawn.source if isinstance(drawn.source, Path) else batch
    labels = ("--labels", drawn.labels) if drawn.labels is not None else ()
    table = work / "read.csv"
    run("verify", place, *labels, "--bundle", bundle, "--no-framing", "--out", table, "-q")
    with table.open() as handle:
        cells["verify"] = f"{len(list(csv.reader(handle))) - 1:,} images"
    cells["verify"] += " against labels" if labels else "" if place is drawn.source else " of the batch"

    run("report", batch, "--bundle", bundle, "--out", work / "report")
    cells["report"] = "page and figures" if (work / "report" / "report.json").is_file() else "none"

    data: Any = drawn.source if drawn.balance else store
    run("balance", data, *asked, "--attribute", drawn.asked, "--ratio", _more(packed, drawn.asked), "--out", work / "b")
    with (work / "b" / "labels.csv").open() as handle:
        new = sum(row["synthetic"] == "1" for row in csv.DictReader(handle))
    cells["balance"] = f"{new} added" + ("" if drawn.balance else " to the store")
    return cells


def _planted(drawn: Drawn) -> list[tuple[str, int]]:
    pairs = zip(("column", "row", "image"), drawn.left_out, strict=True)
    return [(kind if n == 1 else f"{kind}s", n) for kind, n in pairs]


def _more(store: Any, name: str) -> float:
    """A little more of an attribute than the training images have."""
    share = float((store.labels[store.rows("train"), store.vocabulary.index(name)] > 0).mean())
    return round(share + 0.02, 2)


def table(rows: dict[str, dict[str, str]]) -> str:
    """The results as Markdown."""
    lines = [f"| data set | {' | '.join(STEPS)} |", f"|---|{'---|' * len(STEPS)}"]
    lines += [f"| {name} | {' | '.join(cells.get(step, '-') for step in STEPS)} |" for name, cells in rows.items()]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="Markdown file of the table")
    parser.add_argument("--only", choices=SOURCES, nargs="+", default=list(SOURCES))
    given = parser.parse_args(arguments)
    rows = {}
    for name in given.only:
        if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
            print(f"{name}: left out, {NEEDS[name]} cannot be imported", flush=True)
            continue
        with tempfile.TemporaryDirectory() as scratch:
            rows[name] = through_all_steps(SOURCES[name](Path(scratch) / "set"), Path(scratch))
        print(name, rows[name], flush=True)
    if given.out is not None:
        write_text(given.out, table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
