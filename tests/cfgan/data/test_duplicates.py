"""The search for duplicates against comparing every pair."""

from __future__ import annotations

import io

import numpy as np
import pytest
from data_helpers import pattern
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

import cfgan.data.profile.duplicates
from cfgan.data.profile.duplicates import (
    DISTANCE,
    LIKENESS,
    difference_hash,
    digest_keys,
    grey_thumbnail,
    groups_of,
    has_contrast,
    likeness,
    near_pairs,
    same_groups,
)

pytestmark = pytest.mark.slow


def all_pairs(hashes: np.ndarray, distance: int) -> list[tuple[int, int, int]]:
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(2)
    return [(i, j, int(apart[i, j])) for i, j in np.argwhere(np.triu(apart <= distance, 1)).tolist()]


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(0, 40), st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_all_near_pairs_are_found_and_each_once(seed: int, distance: int, flips: int, words: int) -> None:
    rng = np.random.default_rng(seed)
    bits = np.repeat(rng.integers(0, 2, (4, 64 * words), dtype=np.uint8), 8, axis=0)
    for row in bits:
        row[rng.integers(0, 64 * words, rng.integers(0, flips + 1))] ^= 1
    hashes = np.packbits(bits, axis=1).view(np.uint64)
    found = near_pairs(hashes, distance)
    triples = list(zip(found.first.tolist(), found.second.tolist(), found.distance.tolist(), strict=True))
    assert triples == all_pairs(hashes, distance) and found.complete


def test_of_many_the_planted_pairs_are_found_and_no_others() -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**63, (20_000, 4), dtype=np.uint64)
    for k in range(50):
        bits = np.unpackbits(hashes[k].view(np.uint8))
        bits[rng.permutation(256)[: k % (DISTANCE + 3)]] ^= 1
        hashes[10_000 + k] = np.packbits(bits).view(np.uint64)
    found = near_pairs(hashes, DISTANCE)
    wanted = [(k, 10_000 + k) for k in range(50) if k % (DISTANCE + 3) <= DISTANCE]
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == wanted


def test_portions_change_nothing_and_too_many_pairs_are_owned_up_to(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(0).integers(0, 4, (60, 4), dtype=np.uint64)
    whole = all_pairs(hashes, 8)
    monkeypatch.setattr(cfgan.data.profile.duplicates, "_AT_ONCE", 7)
    found = near_pairs(hashes, 8)
    assert list(zip(found.first, found.second, found.distance, strict=True)) == whole and len(whole) == 60 * 59 / 2
    monkeypatch.setattr(cfgan.data.profile.duplicates, "MAX_PAIRS", 100)
    assert not near_pairs(hashes, 8).complete


@pytest.mark.parametrize("change", ["jpeg", "half", "darker", "paler", "webp"])
def test_a_changed_copy_stays_near_and_another_image_far(change: str) -> None:
    def changed(image: Image.Image) -> Image.Image:
        if change == "half":
            return image.resize((image.width // 2, image.height // 2))
        if change in ("darker", "paler"):
            enhance = ImageEnhance.Brightness if change == "darker" else ImageEnhance.Contrast
            return enhance(image).enhance(0.8)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG" if change == "jpeg" else "WEBP", quality=50)
        return Image.open(buffer)

    thumbnails = np.stack([grey_thumbnail(i) for k in range(20) for i in (pattern(k, 128), changed(pattern(k, 128)))])
    hashes = np.stack([difference_hash(t) for t in thumbnails])
    found = near_pairs(hashes, DISTANCE)
    assert list(zip(found.first, found.second, strict=True)) == [(2 * k, 2 * k + 1) for k in range(20)]
    assert (likeness(thumbnails, found.first, found.second) >= LIKENESS).all()


def test_digits_on_black_are_not_taken_for_one_another() -> None:
    """Where most of an image is flat, hashes are alike; the likeness of the thumbnails decides."""
    digits = load_digits()
    thumbnails = np.stack(
        [grey_thumbnail(Image.fromarray((x * 15.9).astype(np.uint8)).resize((64, 64))) for x in digits.images]
    )
    hashes = np.stack([difference_hash(t) for t in thumbnails])
    near = near_pairs(hashes, DISTANCE)
    kept = near_pairs(hashes, DISTANCE, keep=lambda a, b: likeness(thumbnails, a, b) >= LIKENESS)
    same = digits.target[kept.first] == digits.target[kept.second]
    assert same.all() and len(kept.first) < len(near.first)


def test_flat_images_are_no_duplicates_of_one_another() -> None:
    flat = np.stack([grey_thumbnail(Image.new("RGB", (9, 9), colour)) for colour in ("white", "black", "red")])
    assert not has_contrast(flat).any() and has_contrast(grey_thumbnail(pattern(1))[None]).all()
    assert np.isnan(likeness(flat, np.array([0]), np.array([1]))).all()


@given(st.lists(st.integers(-2, 5), max_size=30))
def test_groups_are_those_of_equal_keys(keys: list[int]) -> None:
    found = same_groups(np.asarray(keys, dtype=np.int64))
    wanted = [[k for k, v in enumerate(keys) if v == value] for value in range(6)]
    assert found == sorted(group for group in wanted if len(group) > 1)
    assert digest_keys([b"a", None, b"b", b"a"]).tolist() == [0, -1, 1, 0]


def test_chains_are_one_group() -> None:
    assert groups_of(np.array([0, 1, 4]), np.array([1, 3, 5]), 7) == [[0, 1, 3], [4, 5]]
    assert groups_of(np.zeros(0, np.int64), np.zeros(0, np.int64), 0) == []
