"""How good an image is for recognition, in four figures that need no reference (after ISO/IEC 29794-5).

They say nothing of who is shown. Whether they predict errors, the curve of error against discard says
(:mod:`cfgan.testsets.scores.quality`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MEASURES = ("sharpness", "contrast", "eyes", "detector")
"""Titles of the columns, after ``quality.``; more is better in each:

- sharpness: variance of the Laplacian of the middle of the image, grey levels squared (Pech-Pacheco et al., 2000);
- contrast: standard deviation of the middle's grey levels;
- eyes: pixels between the middles of the eyes, by dlib's five points; 0 where no face is found;
- detector: confidence of dlib's detector; -1 where it is lower than that.
"""

Pixels = npt.NDArray[np.uint8]
"""(3, H, W), RGB, 0..255."""


def image_quality(pixels: Pixels) -> tuple[float, float]:
    """Sharpness and contrast of an image's middle, where the face of an aligned image is."""
    grey = pixels.astype(np.float64).mean(0)
    h, w = grey.shape
    grey = grey[h // 4 : h - h // 8, w // 4 : w - w // 4]
    inner = grey[1:-1, 1:-1]
    edges = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(edges.var()), float(grey.std())
