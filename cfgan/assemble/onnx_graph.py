"""Writing ONNX graphs whose weights stay where they are: in a bundle's safetensors files.

A graph refers to tensors by their place in the weight file (ONNX external data), so that a bundle holds each weight
once and the two engines cannot drift apart. What a network derives from its weights (a spread kernel, say) is written
as operations on them, which onnxruntime computes once, when the session is made.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
_IR_VERSION = 9
_TYPES = {"F32": TensorProto.FLOAT}


class Graph:
    """A graph while it is written. Every method that adds an operation gives the name of its output.

    Args:
        file: name of the weight file, beside which the graph will stand.
        data: its bytes, in the safetensors format.
    """

    def __init__(self, file: str, data: bytes) -> None:
        self._file = file
        (length,) = struct.unpack("<Q", data[:8])
        self._layout: dict[str, Any] = json.loads(data[8 : 8 + length])
        self._start = 8 + length
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}

    def __contains__(self, weight: str) -> bool:
        return weight in self._layout

    def shape(self, weight: str) -> tuple[int, ...]:
        """Of a weight of the file."""
        return tuple(self._layout[weight]["shape"])

    def weight(self, name: str) -> str:
        """A weight of the file, float32."""
        if name not in self._initializers:
            about = self._layout[name]
            start, stop = about["data_offsets"]
            tensor = TensorProto(name=name, data_type=_TYPES[about["dtype"]], data_location=TensorProto.EXTERNAL)
            tensor.dims.extend(about["shape"])
            for key, value in (("location", self._file), ("offset", self._start + start), ("length", stop - start)):
                tensor.external_data.add(key=key, value=str(value))
            self._initializers[name] = tensor
        return name

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """A small array that stands in the graph itself."""
        name = f"constant{len(self._initializers)}"
        self._initializers[name] = numpy_helper.from_array(np.asarray(value, dtype), name)
        return name

    def integers(self, *values: int) -> str:
        """A list of int64, for axes and shapes."""
        return self.constant(values, np.int64)

    def add(self, operation: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """One operation of ONNX; the name of its output, or a list of several."""
        names = [f"{operation.lower()}{len(self._nodes)}" + (f"_{k}" if outputs > 1 else "") for k in range(outputs)]
        self._nodes.append(helper.make_node(operation, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, x: str, name: str) -> str:
        """torch.nn.Linear: (N, in) to (N, out)."""
        result: str = self.add("Gemm", x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), transB=1)
        return result

    def conv(
        self, x: str, name: str, *, stride: int = 1, pads: Sequence[int] | int | None = None, groups: int = 1
    ) -> str:
        """torch.nn.Conv2d: padded by half its kernel, or by ``pads`` (top, left, bottom, right, or one for all)."""
        kernel = self.shape(f"{name}.weight")[2]
        pads = kernel // 2 if pads is None else pads
        around = [pads] * 4 if isinstance(pads, int) else list(pads)
        bias = [self.weight(f"{name}.bias")] if f"{name}.bias" in self else []
        weight = self.weight(f"{name}.weight")
        result: str = self.add("Conv", x, weight, *bias, strides=[stride] * 2, pads=around, group=groups)
        return result

    def batch_norm(self, x: str, name: str, epsilon: float = 1e-5) -> str:
        """torch.nn.BatchNorm1d or 2d in eval mode."""
        parts = [self.weight(f"{name}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
        result: str = self.add("BatchNormalization", x, *parts, epsilon=epsilon)
        return result

    def to_bytes(self, inputs: dict[str, tuple[int, list[int | str]]], outputs: dict[str, str]) -> bytes:
        """The finished model.

        Args:
            inputs: name -> (element type of TensorProto, shape with "n" for the batch).
            outputs: name of an output -> name of what it is.
        """
        self._nodes += [helper.make_node("Identity", [source], [name]) for name, source in outputs.items()]
        given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
        made = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self._nodes, "cfgan", given, made, list(self._initializers.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="cfgan")
        data: bytes = model.SerializeToString(deterministic=True)
        return data
