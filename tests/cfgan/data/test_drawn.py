"""Drawn faces: labels right by construction, every attribute visible where it should be, draws by number."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from cfgan.attributes.vocabulary import CELEBA
from cfgan.data.drawn.dataset import drawn_faces, write_drawn
from cfgan.data.drawn.face import face_image, face_labels
from cfgan.data.drawn.rule import RULES, contradiction
from cfgan.data.read.columns import Columns
from cfgan.data.read.splits import Shares
from cfgan.data.source import open_source
from cfgan.data.sources.base import Options
from cfgan.data.store import open_store, pack
from cfgan.errors import DataError, FolderError
from cfgan_cli.app import app

Box = tuple[float, float, float, float]
FACE, HEAD, ALL = (0.22, 0.2, 0.78, 0.92), (0.05, 0.0, 0.95, 0.95), (0.0, 0.0, 1.0, 1.0)
EYES, MOUTH, NOSE, NECK = (
    (0.22, 0.34, 0.78, 0.62),
    (0.3, 0.64, 0.7, 0.84),
    (0.38, 0.5, 0.62, 0.7),
    (0.25, 0.78, 0.75, 1),
)
WHERE: dict[str, Box] = {
    "5_o_Clock_Shadow": (0.2, 0.56, 0.8, 0.92),
    "Arched_Eyebrows": EYES,
    "Attractive": FACE,
    "Bags_Under_Eyes": (0.22, 0.45, 0.78, 0.68),
    "Bald": ALL,
    "Bangs": (0.22, 0.26, 0.78, 0.5),
    "Big_Lips": MOUTH,
    "Big_Nose": NOSE,
    "Black_Hair": ALL,
    "Blond_Hair": ALL,
    "Blurry": ALL,
    "Brown_Hair": ALL,
    "Bushy_Eyebrows": EYES,
    "Chubby": (0.1, 0.4, 0.9, 0.95),
    "Double_Chin": (0.3, 0.72, 0.7, 0.98),
    "Eyeglasses": (0.18, 0.38, 0.82, 0.64),
    "Goatee": (0.38, 0.68, 0.62, 0.92),
    "Gray_Hair": ALL,
    "Heavy_Makeup": EYES,
    "High_Cheekbones": (0.22, 0.5, 0.78, 0.74),
    "Male": ALL,
    "Mouth_Slightly_Open": MOUTH,
    "Mustache": (0.32, 0.6, 0.68, 0.76),
    "Narrow_Eyes": EYES,
    "No_Beard": (0.2, 0.56, 0.8, 0.92),
    "Oval_Face": ALL,
    "Pale_Skin": ALL,
    "Pointy_Nose": NOSE,
    "Receding_Hairline": (0.15, 0.1, 0.85, 0.5),
    "Rosy_Cheeks": (0.2, 0.52, 0.8, 0.78),
    "Sideburns": (0.18, 0.4, 0.82, 0.74),
    "Smiling": MOUTH,
    "Straight_Hair": HEAD,
    "Wavy_Hair": ALL,
    "Wearing_Earrings": (0.12, 0.55, 0.88, 0.76),
    "Wearing_Hat": (0.05, 0.0, 0.95, 0.48),
    "Wearing_Lipstick": MOUTH,
    "Wearing_Necklace": NECK,
    "Wearing_Necktie": NECK,
    "Young": (0.22, 0.26, 0.78, 0.84),
}
"""Where an attribute may change pixels, as shares of the side: left, top, right, bottom."""


def pairs(name: str, count: int = 12) -> list[tuple[np.ndarray, np.ndarray]]:
    """Faces without and with one attribute and the same in all else, both of them possible; none of them blurred."""
    i, found, number = CELEBA.index(name), [], 0
    while len(found) < count:
        labels = np.repeat(face_labels(5, number, "even")[None], 2, axis=0)
        labels[:, CELEBA.index("Blurry")] = -1
        labels[0, i], labels[1, i] = -1, 1
        if contradiction(labels[0]) is None and contradiction(labels[1]) is None:
            off, on = (np.asarray(face_image(5, number, one, 64)).astype(float) for one in labels)
            found.append((off, on))
        number += 1
    return found


@pytest.mark.parametrize("name", CELEBA.names)
def test_every_attribute_changes_pixels_where_it_should_and_nowhere_else(name: str) -> None:
    left, top, right, bottom = (round(64 * share) for share in WHERE[name])
    for off, on in pairs(name):
        changed = np.abs(on - off).max(2)  # H W
        inside = changed[top:bottom, left:right]
        assert (inside > 24).sum() >= 6, f"{name} cannot be seen"  # of 4,096 pixels
        outside = changed.sum() - inside.sum()
        assert outside <= 0.02 * changed.sum(), f"{name} changes what it should not"


@pytest.mark.parametrize("rule", RULES)
def test_no_face_contradicts_itself_and_every_value_occurs(rule: str) -> None:
    labels = np.stack([face_labels(1, i, rule) for i in range(1500)])
    assert all(contradiction(row) is None for row in labels)
    assert ((labels > 0).any(0) & (labels < 0).any(0)).all()
    if rule == "even":
        male = labels[:, CELEBA.index("Male")]
        for name in ("Smiling", "Wearing_Lipstick", "Goatee", "Eyeglasses"):
            assert abs(np.corrcoef(male, labels[:, CELEBA.index(name)])[0, 1]) < 0.08
    else:
        women = labels[labels[:, CELEBA.index("Male")] < 0]
        assert (women[:, CELEBA.index("No_Beard")] > 0).all()


@settings(max_examples=20)
@given(st.integers(0, 2**40), st.integers(0, 999_999), st.sampled_from(RULES))
def test_any_seed_and_number_gives_a_possible_face(seed: int, number: int, rule: str) -> None:
    labels = face_labels(seed, number, rule)
    assert contradiction(labels) is None
    assert face_image(seed, number, labels, 32).size == (32, 32)


def test_a_face_depends_on_seed_and_number_alone() -> None:
    few, many = drawn_faces(5, 3, 32), drawn_faces(40, 3, 32)
    np.testing.assert_array_equal(few.labels, many.labels[:5])
    np.testing.assert_array_equal(few.split, many.split[:5])
    np.testing.assert_array_equal(np.asarray(few.open(4)), np.asarray(many.open(4)))
    assert not np.array_equal(np.asarray(many.open(4)), np.asarray(many.open(5)))
    assert not np.array_equal(many.labels, drawn_faces(40, 4, 32).labels)
    large, small = (np.asarray(drawn_faces(1, 3, size).open(0).resize((32, 32))).astype(float) for size in (128, 32))
    assert np.abs(large - small).mean() < 6  # the same face at another size


def test_a_folder_is_read_back_with_the_same_labels_and_pixels(tmp_path: Path) -> None:
    table = drawn_faces(12, 0, 32, shares=Shares(0.3, 0.2))
    labels = write_drawn(table, tmp_path / "faces", 0)
    columns = Columns(file="file", split="split")
    found = open_source(tmp_path / "faces", Options(labels=labels, columns=columns)).labelled()
    assert found.vocabulary == CELEBA
    np.testing.assert_array_equal(found.labels, table.labels)
    np.testing.assert_array_equal(found.split, table.split)
    (one, _), (two, _) = pack(found, tmp_path / "a", 32), pack(table, tmp_path / "b", 32)
    np.testing.assert_array_equal(one.images, two.images)
    with Image.open(tmp_path / "faces" / "images" / "000003.png") as image:
        assert '"synthetic":true' in image.info["cfgan"] and "/algorithmicMedia" in image.info["XML:com.adobe.xmp"]
    before = (tmp_path / "faces" / "images" / "000003.png").stat().st_ino
    assert write_drawn(table, tmp_path / "faces", 0) == labels  # finished: not written again
    assert (tmp_path / "faces" / "images" / "000003.png").stat().st_ino == before
    with pytest.raises(FolderError, match="already holds something else"):
        write_drawn(table, tmp_path / "faces", 1)


def test_packing_draws_each_face_once(tmp_path: Path) -> None:
    table, drawn = drawn_faces(9, 0, 32), []
    opener = table.opener
    assert opener is not None
    counted = dataclasses.replace(table, opener=lambda file: (drawn.append(file), opener(file))[1])
    pack(counted, tmp_path / "store", 32, workers=1)
    assert drawn == list(table.files)


def test_wrong_wishes_are_refused() -> None:
    for arguments in ({"count": 0}, {"count": 5, "size": 8}, {"count": 5, "rule": "evn"}):
        with pytest.raises(DataError):
            drawn_faces(**{"seed": 0, "size": 32, **arguments})  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_command_makes_a_store_or_a_folder(tmp_path: Path) -> None:
    arguments = ["data", "draw", "-n", "20", "--size", "32", "--seed", "2"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "store")])
    assert done.exit_code == 0 and "20 drawn faces of 32 x 32" in done.output
    store = open_store(tmp_path / "store", verify=True)
    np.testing.assert_array_equal(store.labels, drawn_faces(20, 2, 32).labels)
    done = CliRunner().invoke(app, [*arguments, "--folder", "--out", str(tmp_path / "folder")])
    assert done.exit_code == 0
    with (tmp_path / "folder" / "labels.csv").open() as handle:
        rows = list(csv.reader(handle))
    assert len(rows) == 21 and rows[0][:2] == ["file", "split"]
    wrong = CliRunner().invoke(app, [*arguments, "--rule", "evn", "--out", str(tmp_path / "no")])
    assert wrong.exit_code == 2 and not (tmp_path / "no").exists()
