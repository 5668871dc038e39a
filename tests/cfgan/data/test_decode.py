from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cfgan.data.decode import check_crop, load_rgb, read_picture, read_square, see_picture, to_square
from cfgan.errors import DataError, InputError


def drawn(width: int, height: int) -> np.ndarray:
    """A smooth picture, uint8 (H, W, 3), different in every direction."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / width, 255 * y / height, 255 * (x + y) / (width + height)], 2).astype(np.uint8)


def test_the_model_s_own_size_keeps_its_pixels(tmp_path: Path) -> None:
    pixels = drawn(16, 16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for crop in ("center", "none"):
        np.testing.assert_array_equal(read_square(tmp_path / "a.png", 16, crop), pixels)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp"])
def test_every_format_of_any_size_is_made_square(tmp_path: Path, ending: str) -> None:
    pixels = drawn(60, 40)
    Image.fromarray(pixels).save(tmp_path / f"a.{ending}", quality=95)
    found = read_square(tmp_path / f"a.{ending}", 16)
    wanted = Image.fromarray(pixels[:, 10:50]).resize((16, 16), Image.Resampling.LANCZOS)
    assert found.shape == (16, 16, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - np.asarray(wanted)).max() <= 6
    whole = read_square(tmp_path / f"a.{ending}", 16, "none")
    assert whole[8, 0, 0] < 15 and whole[8, -1, 0] > 240  # both edges are there
    assert found[8, 0, 0] > 30 and found[8, -1, 0] < 225


def test_plain_files_are_read_as_a_data_set_s_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(drawn(178, 218)).save(path)
    packed = to_square(load_rgb(path), 64, (0, 20, 178, 198)).transpose(1, 2, 0)
    np.testing.assert_array_equal(read_square(path, 64, "celeba"), packed)
    np.testing.assert_array_equal(read_square(path, 64, "center"), packed)


@pytest.mark.parametrize(("mode", "ending"), [("1", "png"), ("L", "png"), ("LA", "png"), ("P", "png"), ("CMYK", "jpg")])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, ending: str) -> None:
    Image.new("RGB", (20, 20), "white").convert(mode).save(tmp_path / f"a.{ending}")
    assert (read_square(tmp_path / f"a.{ending}", 8) > 250).all()


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 257 * 100, np.uint16)).save(tmp_path / "a.png")
    assert (read_square(tmp_path / "a.png", 8) == 100).all()


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[:, 10:, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_square(tmp_path / "a.png", 20)
    assert (found[:, :10] == 255).all() and (found[:, 10:] == 0).all()
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "p.png", transparency=b"\x00\xff")
    assert (read_square(tmp_path / "p.png", 8) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_as_their_exif_says(tmp_path: Path, orientation: int) -> None:
    upright = Image.fromarray(drawn(32, 32))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_square(tmp_path / "a.png", 32), np.asarray(upright))


def test_an_unreadable_exif_block_spoils_nothing(tmp_path: Path) -> None:
    Image.fromarray(drawn(16, 16)).save(tmp_path / "a.jpg", exif=b"Exif\0\0garbage")
    assert read_square(tmp_path / "a.jpg", 16).shape == (16, 16, 3)


def test_large_jpegs_are_decoded_coarser_and_look_the_same(tmp_path: Path) -> None:
    Image.fromarray(drawn(1024, 1100)).save(tmp_path / "a.jpg", quality=95)
    fine = to_square(load_rgb(tmp_path / "a.jpg"), 64).transpose(1, 2, 0).astype(int)
    assert np.abs(read_square(tmp_path / "a.jpg", 64) - fine).max() <= 4


def test_broken_files_are_one_reason_without_a_path(tmp_path: Path) -> None:
    Image.fromarray(drawn(200, 200)).save(tmp_path / "whole.jpg")
    Image.fromarray(drawn(40, 40)).save(tmp_path / "whole.gif")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-400])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    header = bytearray(b"BM" + bytes(52))
    header[10:14], header[14:18] = (54).to_bytes(4, "little"), (40).to_bytes(4, "little")
    header[18:22], header[22:26] = (9000).to_bytes(4, "little"), (8000).to_bytes(4, "little")
    header[26:28], header[28:30] = (1).to_bytes(2, "little"), (24).to_bytes(2, "little")
    (tmp_path / "huge.bmp").write_bytes(header)
    header[18:22] = (90000).to_bytes(4, "little")
    (tmp_path / "bomb.bmp").write_bytes(header)
    for name, says in {
        "none.png": "missing",
        "whole.gif": "not a JPEG",
        "cut.jpg": "broken",
        "text.png": "not a JPEG",
        "empty.png": "the file is empty",
        "huge.bmp": "9000 x 8000 is more",
        "bomb.bmp": "more than 64,000,000",
        "": "broken",
    }.items():
        with pytest.raises(DataError, match=says) as caught:
            read_square(tmp_path / name, 16)
        assert str(tmp_path) not in str(caught.value)


def test_celeba_s_box_is_for_its_aligned_images(tmp_path: Path) -> None:
    Image.fromarray(drawn(64, 64)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="64 x 64 pixels instead of 178 x 218"):
        read_square(tmp_path / "a.png", 64, "celeba")
    with pytest.raises(InputError, match="Did you mean center"):
        check_crop("centre")


def palette_without_colours() -> bytes:
    """A PNG that says it has a palette and has none: Pillow answers with an assertion."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 3, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(6))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("read", [load_rgb, read_picture, see_picture, lambda path: read_square(path, 16)])
def test_whatever_a_decoder_raises_is_one_sentence(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(palette_without_colours())
    with pytest.raises(DataError, match="broken image"):
        read(path)
    for data, says in (
        (b"", "the file is empty"),
        (b"GIF89a" + bytes(20), "but GIF: convert it first"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "but HEIC: convert it first"),
        (b"plain text", "not a JPEG, PNG, WEBP, BMP image.$"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=says):
            read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="a pipe or a device"):
        read(path)
