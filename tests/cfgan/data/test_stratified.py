"""Held-out images chosen by label: every value in its share, and what belongs together in one split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from cfgan.data.read.splits import Shares
from cfgan.data.source import open_source
from cfgan.data.store import open_store
from cfgan.data.stratified import split_units, stratified
from cfgan_cli.app import app

SHARES = Shares(0.1, 0.1)


def alone(count: int) -> list[list[int]]:
    return [[row] for row in range(count)]


def names(count: int) -> list[str]:
    return [f"{k}.png" for k in range(count)]


def test_every_value_is_held_out_in_its_share_however_rare_it_is() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((2000, 4)) < [0.5, 0.2, 0.03, 0.015], 1.0, -1.0).astype(np.float32)
    labels[:50, 1] = np.nan
    split = split_units(alone(2000), names(2000), labels, SHARES, np.full(2000, -1))
    for column in range(4):
        for value in (1, -1):
            rows = labels[:, column] == value
            for part in (1, 2):
                assert abs((split[rows] == part).sum() - 0.1 * rows.sum()) <= 1.5, (column, value, part)
    np.testing.assert_array_equal(
        split,
        split_units(alone(2000), names(2000), labels, SHARES, np.full(2000, -1)),
        "the same images, the same splits",
    )


def test_what_belongs_together_stays_together_and_follows_what_is_stated() -> None:
    rng = np.random.default_rng(1)
    labels = rng.choice([-1, 1], (300, 2)).astype(np.float32)
    units = [[k, k + 100, k + 200] for k in range(100)]
    stated = np.full(300, -1)
    stated[107] = 2
    split = split_units(units, names(300), labels, SHARES, stated)
    assert all(len(set(split[unit])) == 1 for unit in units)
    assert (split[[7, 107, 207]] == 2).all()
    assert 20 <= (split == 1).sum() <= 40


def test_nothing_is_held_out_where_the_share_is_none_and_unlabelled_images_are_dealt_out_too() -> None:
    unknown = np.full((100, 2), np.nan, dtype=np.float32)
    assert (split_units(alone(100), names(100), unknown, Shares(0, 0), np.full(100, -1)) == 0).all()
    split = split_units(alone(100), names(100), unknown, SHARES, np.full(100, -1))
    assert [(split == part).sum() for part in range(3)] == [80, 10, 10]


def heads(folder: Path, count: int) -> None:
    """Drawn heads, each of them twice: once more, a little brighter, under another name."""
    rng = np.random.default_rng(2)
    for name in ("hat", "bare"):
        (folder / name).mkdir(parents=True)
    for k in range(count):
        picture = Image.new("RGB", (64, 64), tuple(int(v) for v in rng.integers(0, 120, 3)))
        draw = ImageDraw.Draw(picture)
        for _ in range(12):
            x, y = (int(v) for v in rng.integers(0, 48, 2))
            draw.ellipse((x, y, x + 15, y + 15), fill=tuple(int(v) for v in rng.integers(0, 240, 3)))
        where = folder / ("hat" if k % 10 == 0 else "bare")
        picture.save(where / f"{k:03d}.png")
        picture.point(lambda v: min(255, v + 3)).save(where / f"again{k * 7919 % 1000:03d}.png")


@pytest.mark.slow
def test_near_duplicates_are_found_and_kept_in_one_split(tmp_path: Path) -> None:
    heads(tmp_path / "photos", 100)
    source = open_source(tmp_path / "photos")
    table = stratified(source, SHARES)
    split = dict(zip((Path(file).name for file in table.files), table.split.tolist(), strict=True))
    pairs = [(split[f"{k:03d}.png"], split[f"again{k * 7919 % 1000:03d}.png"]) for k in range(100)]
    assert all(one == other for one, other in pairs)
    by_name = source.labelled(SHARES).split
    assert any(by_name[i] != by_name[j] for i, j in places(table.files)), "by name alone some would be torn apart"

    result = CliRunner().invoke(
        app,
        ["data", "import", str(tmp_path / "photos"), "--out", str(tmp_path / "store"), "--size", "32", "--stratify"],
    )
    assert result.exit_code == 0, result.output
    store = open_store(tmp_path / "store")
    hats = store.labels[:, store.vocabulary.index("hat")] > 0
    assert [(hats & (store.split == part)).sum() for part in range(3)] == [16, 2, 2]


def places(files: tuple[str, ...]) -> list[tuple[int, int]]:
    known = {Path(file).name: k for k, file in enumerate(files)}
    return [(known[f"{k:03d}.png"], known[f"again{k * 7919 % 1000:03d}.png"]) for k in range(100)]


def test_a_set_with_train_and_test_alone_gets_its_validation_images_out_of_train(tmp_path: Path) -> None:
    """As many on the Hugging Face Hub are: without any, a verifier has nothing to be calibrated on."""
    lines = ["file,Big,split"]
    for k in range(200):
        name = f"{k:03d}.png"
        # Some training images are there again in the test split, which stays as it is.
        Image.new("RGB", (16, 16), (k % 190, 255 - k % 190, k % 7 * 30)).save(tmp_path / name)
        lines.append(f"{name},{k % 2},{'test' if k < 50 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    source = open_source(tmp_path)
    assert source.lacks_validation
    for table in (source.labelled(SHARES), stratified(source, SHARES)):
        split = table.split
        assert (split[:50] == 2).all() and (split[50:] != 2).all() and 5 <= (split == 1).sum() <= 25
    assert (source.parts(Shares(0, 0)) != 1).all()  # --validation 0, and whoever counts training images
    done = CliRunner().invoke(app, ["data", "import", str(tmp_path), "--out", str(tmp_path / "store"), "--size", "16"])
    assert "No image is marked for validation" in done.stderr and len(open_store(tmp_path / "store").rows("test")) == 50
