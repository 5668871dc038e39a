"""Does an invisible mark survive in faces of 64 x 64 pixels? Measures blind-watermark 0.4.4.

    pip install blind-watermark opencv-python-headless      # in an environment of its own
    cfgan generate -a Male,Smiling -n 500 --seed 1 --out men
    python benchmarks/invisible_mark.py men/images

32 bits go into each face and are read again after each treatment; what changes the size is brought back to it, as a
reader who knows the size could. A mark counts as found with at most 5 wrong bits: of unmarked images fewer than one in
10,000 would have so few by chance (binomial, 5.7e-5).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import comb
from pathlib import Path
from typing import Any

import blind_watermark
import cv2
import numpy as np

BITS, WRONG, MOST = 32, 5, 500
Treatment = Callable[[Any], Any]


def half(face: Any) -> Any:
    small = cv2.resize(face, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, face.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def jpeg(face: Any) -> Any:
    return cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], cv2.IMREAD_COLOR)


def middle(face: Any) -> Any:
    """The middle, without 5 % of the side on each edge."""
    edge = round(face.shape[0] * 0.05)
    return cv2.resize(face[edge:-edge, edge:-edge], face.shape[1::-1], interpolation=cv2.INTER_CUBIC)


TREATMENTS: dict[str, Treatment] = {
    "as it is": lambda face: face,
    "half the size": half,
    "JPEG 75": jpeg,
    "middle 90 %": middle,
}


def marked(face: Any, bits: Any) -> Any:
    """The face with the bits in it. The package itself takes an image from a file alone."""
    mark = blind_watermark.WaterMark(password_wm=1, password_img=1)
    mark.read_img(img=face)
    mark.wm_bit = bits.copy()
    np.random.RandomState(1).shuffle(mark.wm_bit)  # as read_wm does it
    mark.bwm_core.read_wm(mark.wm_bit)
    return np.clip(np.round(mark.bwm_core.embed()), 0, 255).astype(np.uint8)


def wrong_bits(face: Any, bits: Any) -> int:
    reader = blind_watermark.WaterMark(password_wm=1, password_img=1)
    return int(((np.asarray(reader.extract(embed_img=face, wm_shape=BITS, mode="bit")) > 0.5) != bits).sum())


def main() -> None:
    blind_watermark.bw_notes.close()
    faces = [cv2.imread(str(path)) for path in sorted(Path(sys.argv[1]).glob("*.png"))[:MOST]]
    bits = np.random.default_rng(0).integers(0, 2, BITS).astype(bool)
    marks = [marked(face, bits) for face in faces]
    noise = [10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)) for a, b in zip(marks, faces, strict=True)]
    chance = sum(comb(BITS, k) for k in range(WRONG + 1)) / 2**BITS
    print(
        f"{len(faces)} faces, {BITS} bits, at most {WRONG} wrong (by chance {chance:.1e}), PSNR {np.mean(noise):.1f} dB"
    )
    for name, treat in TREATMENTS.items():
        wrong = np.array([wrong_bits(treat(face), bits) for face in marks])
        print(f"{name}: {100 * np.mean(wrong <= WRONG):.1f} % found, {wrong.mean():.1f} bits wrong")
    wrong = np.array([wrong_bits(face, bits) for face in faces])
    print(f"unmarked: {100 * np.mean(wrong <= WRONG):.1f} % found, {wrong.mean():.1f} bits wrong")


if __name__ == "__main__":
    main()
