"""Faces are found, whatever way a picture is held, and lie in the frame as CelebA's do."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from framing_helpers import COLOURS, Dots, dotted, placed
from PIL import Image

from cfgan.data.decode import IMAGE_SIZE, read_picture
from cfgan.data.framing.faces import Framer, sharpness
from cfgan.data.framing.geometry import CELEBA_POINTS, fit_similarity, share_outside, to_frame, warp
from cfgan.data.framing.sources import align_source
from cfgan.data.source import open_source
from cfgan.data.store import pack
from cfgan.errors import DataError, FolderError, InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def framer() -> Framer:
    return Framer(Dots())


def colour_at(image: Image.Image, point: np.ndarray) -> np.ndarray:
    x, y = np.floor(point).astype(int).tolist()
    return np.asarray(image)[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0)


def test_a_similarity_is_found_again_and_its_inverse_leads_back() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        source = rng.normal(size=(5, 2)) * 30 + 200
        scale, degrees = rng.uniform(0.1, 5), rng.uniform(-180, 180)
        turn = math.radians(degrees)
        target = scale * source @ np.asarray([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [5, -7]
        way = fit_similarity(source, target, np.ones(5))
        assert way.scale == pytest.approx(scale) and way.angle == pytest.approx(turn)
        assert np.allclose(way(source), target) and np.allclose(way.inverse(target), source)
    # A mirror image is never taken for a turn: the best similarity leaves an error.
    mirrored = CELEBA_POINTS * [-1, 1]
    assert np.abs(fit_similarity(CELEBA_POINTS, mirrored, np.ones(5))(CELEBA_POINTS) - mirrored).max() > 10
    with pytest.raises(ValueError, match="one place"):
        to_frame(np.ones((5, 2)))


@pytest.mark.parametrize("degrees", [0, 20, -40, 90, 180, 250])
@pytest.mark.parametrize("scale", [0.8, 2.5])
def test_a_face_lands_in_the_frame_however_it_is_held(framer: Framer, degrees: float, scale: float) -> None:
    picture = dotted((700, 620), [(330, 300, scale, degrees)])
    (face,) = framer.faces(picture)
    assert np.abs(face.points - placed(330, 300, scale, degrees)).max() < 1.5
    assert np.abs(face.way(placed(330, 300, scale, degrees)) - CELEBA_POINTS).max() < 1.5
    assert (face.roll - degrees + 180) % 360 - 180 == pytest.approx(0, abs=1.5)
    assert face.eyes == pytest.approx(38 * scale, rel=0.05)
    framed = face.framed(picture)
    assert framed.size == IMAGE_SIZE
    for point, colour in zip(CELEBA_POINTS, COLOURS, strict=True):
        assert np.abs(colour_at(framed, point) - colour).max() < 60


def test_what_lies_beyond_the_picture_is_its_mirror_image() -> None:
    columns = np.tile(np.arange(120, dtype=np.uint8)[:, None], (100, 1, 3)).reshape(100, 120, 3)
    image = Image.fromarray(columns)
    way = fit_similarity(np.asarray([[0.0, 0], [1, 0]]), np.asarray([[60.0, 40], [61, 40]]), np.ones(2))
    framed = np.asarray(warp(image, way))
    assert framed.shape == (218, 178, 3)
    assert np.array_equal(framed[90, 60:178, 0], np.arange(118))  # where it lies
    assert np.array_equal(framed[90, :60, 0], np.arange(60)[::-1])  # mirrored at its left edge
    assert share_outside(way, image.size) == pytest.approx(1 - 118 * 100 / (178 * 218), abs=0.05)


def test_a_large_picture_is_made_smaller_without_skipping_pixels() -> None:
    stripes = np.zeros((1744, 1424, 3), np.uint8)
    stripes[:, ::2] = 255  # of one pixel: their mean is grey, whichever columns are looked at
    way = fit_similarity(np.asarray([[0.0, 0], [1424, 0]]), np.asarray([[0.0, 0], [178, 0]]), np.ones(2))
    framed = np.asarray(warp(Image.fromarray(stripes), way)).astype(int)
    assert np.abs(framed - 127).max() <= 2


def test_sharpness_falls_with_blur() -> None:
    rng = np.random.default_rng(0)
    sharp = Image.fromarray(rng.integers(0, 255, (218, 178, 3), dtype=np.uint8))
    soft = sharp.resize((45, 55)).resize((178, 218), Image.Resampling.BICUBIC)
    assert sharpness(sharp) > 20 * sharpness(soft)


def test_several_faces_by_choice(framer: Framer) -> None:
    picture = dotted((1000, 600), [(250, 300, 1.0, 0), (700, 300, 2.0, 5)])
    (largest,) = framer.choose(picture)
    assert largest.points.mean(0)[0] == pytest.approx(700, abs=3)
    assert [round(face.points.mean(0)[0] / 50) for face in framer.choose(picture, "all")] == [14, 5]
    with pytest.raises(DataError, match="2 faces were found"):
        framer.choose(picture, "refuse")
    with pytest.raises(DataError, match="no face was found"):
        framer.choose(Image.new("RGB", (300, 200), "green"))
    with pytest.raises(DataError, match="no face was found"):  # three pixels wide, a scan of nothing
        framer.choose(Image.new("RGB", (3, 2000)))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two people in class folders, held in several ways, and a picture without a face."""
    folder = tmp_path / "photos"
    for k in range(6):
        place = folder / ("hat" if k % 2 else "bare")
        place.mkdir(parents=True, exist_ok=True)
        paper = (90 + 5 * k, 100, 90)
        dotted((400, 500), [(200 + 10 * k, 240, 1.0 + k / 10, 40 * k)], paper).save(place / f"{k:02d}.png")
    Image.new("RGB", (90, 80), "green").save(folder / "hat" / "green.png")
    return folder


def test_labelled_images_are_aligned_on_the_way_into_a_store(framer: Framer, photos: Path, tmp_path: Path) -> None:
    source = open_source(photos)
    table = align_source(source, framer).labelled()
    with pytest.raises(DataError, match=r"1 of 7 images cannot be used:\s+hat/green.png: no face was found"):
        pack(table, tmp_path / "store", 64)
    store, bad = pack(table, tmp_path / "store", 64, skip_bad=True)
    assert bad == ["hat/green.png: no face was found."] and len(store.files) == 6
    middle = CELEBA_POINTS[0] - [0, 20]  # the left eye in the central crop
    x, y = np.round(middle * 64 / 178).astype(int).tolist()
    assert (store.images[:, 0, y, x] > store.images[:, 1, y, x] + 60).all()  # is red, everywhere
    # The same labels without --align are another store, whatever is finished or begun.
    with pytest.raises(FolderError):
        pack(open_source(photos).labelled(), tmp_path / "store", 64, skip_bad=True)
    assert pack(align_source(source, framer).labelled(), tmp_path / "store", 64, skip_bad=True)[1] == bad


def test_a_packed_store_cannot_be_aligned(framer: Framer, photos: Path, tmp_path: Path) -> None:
    pack(align_source(open_source(photos), framer).labelled(), tmp_path / "store", 64, skip_bad=True)
    with pytest.raises(InputError, match="--align: a packed store"):
        align_source(open_source(tmp_path / "store"), framer)
    with pytest.raises(InputError, match="largest"):
        align_source(open_source(photos), framer, "all")  # one row of labels is one face's


def test_looking_at_a_data_set_sees_aligned_images(framer: Framer, photos: Path) -> None:
    pictures = align_source(open_source(photos), framer).pictures
    assert pictures is not None
    looks = {name: pictures.look(k, 64) for k, name in enumerate(pictures.names)}
    assert looks["hat/green.png"].problem == "no face was found."
    square = looks["bare/04.png"].square
    assert square is not None and square.shape == (3, 64, 64) and square[0, 33, 25] > 180


def test_pixels_are_those_of_the_picture_as_a_person_sees_it(framer: Framer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    upright = dotted((400, 500), [(200, 240, 1.5, 0)])
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.jpg", quality=95, exif=exif)
    (face,) = framer.faces(read_picture(tmp_path / "phone.jpg"))
    assert abs(face.roll) < 2 and np.abs(face.points - placed(200, 240, 1.5, 0)).max() < 2
