"""Weights as the packages of TensorFlow.js carry them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import DataError

_STORED = {"float32": "<f4", "int32": "<i4", "float16": "<f2", "uint8": "u1"}
"""How numbers may be kept; 16-bit floats and bytes are quantised float32."""


def unpack(manifest: Sequence[Mapping[str, Any]], raw: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """Weights as TensorFlow.js keeps them, one after the other: float32, int32, float16, bytes with scale, minimum.

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
        stored = quantization["dtype"] if quantization else weight["dtype"]
        if weight["dtype"] not in _STORED or stored not in _STORED:
            raise DataError(f"{weight['name']} is {stored}, which is not implemented.")
        kind = np.dtype(_STORED[stored])
        size = count * kind.itemsize
        if place + size > len(raw):
            raise DataError(f"the weights end before {weight['name']}.")
        values = np.frombuffer(raw, kind, count, place).astype(np.float32)
        if stored == "uint8":
            values = values * np.float32(quantization["scale"]) + np.float32(quantization["min"])
        found[weight["name"]] = values.reshape(weight["shape"])
        place += size
    if place != len(raw):
        raise DataError(f"the weights are {len(raw)} bytes, the manifest tells of {place}.")
    return found
