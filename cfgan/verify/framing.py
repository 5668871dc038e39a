"""Do images look like those that a reader learnt on? Where faces are in them, and how large, against CelebA's frame.

A reader is sure of itself on any pixels. On chips that are cut closer than CelebA's, its word on sex is wrong twice as
often as after they were aligned (`docs/benchmarks.md`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

LOOKED_AT = 128
"""Images that are looked at, at most, evenly spread over all."""

AS_LEARNT, TIGHTER, LOOSER, SHIFTED, NO_FACE = "as_learnt", "tighter", "looser", "shifted", "without_face"
"""What an image may be. Without a face: or with one so small or so far cut off that the detector sees none."""

_SIZE, _PLACE = 90 / 178, (92 / 178, 112 / 178)
"""Side and middle of the detector's box in CelebA's central crop, as shares of its side: medians over its images."""
_TIGHT, _LOOSE = 1.25, 0.8  # times as large; the detector's boxes grow in steps of a fifth
_APART = 0.15  # shares of the side; CelebA's own differ by 0.04
_MARGIN = 0.25
"""Share of the side by which an image is mirrored outward first: the detector misses a face that fills it."""
_MANY = 0.1  # share of the images from which they are worth a word

Levels = npt.NDArray[np.uint8]
Finder = Callable[[Levels], npt.NDArray[np.int64]]
"""Images (N, 3, S, S) to boxes (N, 4) in images enlarged to :data:`cfgan.external.detector.SIDE`; zeros for no face."""


@dataclass(frozen=True)
class Framing:
    """How some images are framed.

    Args:
        counts: what an image may be -> how many are so.
        size: median size of the faces found, in those of CelebA; NaN without any.
    """

    counts: dict[str, int]
    size: float

    @property
    def looked_at(self) -> int:
        return sum(self.counts.values())

    def to_dict(self) -> dict[str, float | int | None]:
        size = None if self.size != self.size else round(self.size, 3)
        return {"looked_at": self.looked_at, **self.counts, "face_size": size}

    def remarks(self) -> list[str]:
        """A sentence for each way in which a tenth or more of the images differ; none where all is well."""
        words = {
            TIGHTER: "are tighter than CelebA's frame",
            LOOSER: "are looser than CelebA's frame",
            SHIFTED: "have the face elsewhere than CelebA's frame",
            NO_FACE: "show no face that fills the picture",
        }
        shown = [kind for kind in words if self.counts[kind] > _MANY * self.looked_at]
        return [f"{self.counts[kind]:,} of {self.looked_at:,} {words[kind]}" for kind in shown]


@dataclass
class FramingLook:
    """Keeps some images as a reader sees them, and looks for faces in them at the end.

    Args:
        images: how many there will be.
    """

    images: int
    _kept: dict[int, Levels] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, place: int, square: Levels) -> None:
        """An image, uint8 (S, S, 3), at its place among all. Called from several threads."""
        step = max(1, -(-self.images // LOOKED_AT))
        if place % step == 0:
            with self._lock:
                self._kept[place] = square.copy()

    def result(self, find: Finder | None = None) -> Framing:
        """How the images are framed.

        Args:
            find: by default dlib's detector.

        Raises:
            ConfigError: dlib is missing.
        """
        if find is None:
            from cfgan.external.detector import FaceFinder

            find = FaceFinder("identity")
        counts = Counter(dict.fromkeys((AS_LEARNT, TIGHTER, LOOSER, SHIFTED, NO_FACE), 0))
        sizes = []
        if self._kept:
            kept = np.stack([self._kept[place] for place in sorted(self._kept)])
            for box in _boxes(kept, find):
                kind = _kind(box)
                counts[kind] += 1
                if kind != NO_FACE:
                    sizes.append((box[2] - box[0]) / _SIZE)
        return Framing(dict(counts), float(np.median(sizes)) if sizes else float("nan"))


def _boxes(squares: Levels, find: Finder) -> npt.NDArray[np.float64]:
    """Images (N, S, S, 3) to boxes (N, 4): left, top, right, bottom as shares of the side; zeros for no face."""
    from cfgan.external.detector import SIDE

    side = squares.shape[1]
    wide = int(side * _MARGIN)
    padded = np.pad(squares, ((0, 0), (wide, wide), (wide, wide), (0, 0)), mode="symmetric")
    found = find(np.ascontiguousarray(padded.transpose(0, 3, 1, 2))).astype(np.float64)
    shares: npt.NDArray[np.float64] = (found / SIDE * (side + 2 * wide) - wide) / side
    shares[found[:, 2] <= found[:, 0]] = 0
    return shares


def _kind(box: npt.NDArray[np.float64]) -> str:
    left, top, right, bottom = box.tolist()
    if right <= left:
        return NO_FACE
    size = (right - left) / _SIZE
    if size > _TIGHT:
        return TIGHTER
    if size < _LOOSE:
        return LOOSER
    apart = max(abs((left + right) / 2 - _PLACE[0]), abs((top + bottom) / 2 - _PLACE[1]))
    return SHIFTED if apart > _APART else AS_LEARNT
