"""Weights as the packages of TensorFlow.js carry them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError


def unpack(manifest: Sequence[Mapping[str, Any]], raw: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """Weights as TensorFlow.js keeps them: one after the other, as float32 or as bytes with a scale and a minimum.

    Args:
        manifest: groups, each with ``weights``: name, shape and, of bytes, quantization.
        raw: what the files of all groups hold, joined.

    Returns:
        Name -> float32, axes as TensorFlow has them: height, width, in, out.

    Raises:
        DataError: another type of number, or more or fewer bytes than the manifest tells of.
    """
    found, place = {}, 0
    for weight in (weight for group in manifest for weight in group["weights"]):
        count, quantization = math.prod(weight["shape"]), weight.get("quantization")
        if weight["dtype"] != "float32" or (quantization and quantization["dtype"] != "uint8"):
            raise DataError(f"{weight['name']} is neither float32 nor quantised to bytes.")
        size = count * (1 if quantization else 4)
        if place + size > len(raw):
            raise DataError(f"the weights end before {weight['name']}.")
        values = np.frombuffer(raw, np.uint8 if quantization else "<f4", count, place).astype(np.float32)
        if quantization:
            values = values * np.float32(quantization["scale"]) + np.float32(quantization["min"])
        found[weight["name"]] = values.reshape(weight["shape"])
        place += size
    if place != len(raw):
        raise DataError(f"the weights are {len(raw)} bytes, the manifest tells of {place}.")
    return found
