"""A bundle's networks as ONNX graphs: generator, verifier and judge, from pixels to pixels and from pixels to logits.

``generator.onnx``: ``latent`` float32 (n, Z) and ``condition`` float32 (n, A) to ``levels`` uint8 (n, 3, H, W).
``verifier.onnx`` and ``judge.onnx``: ``levels`` uint8 (n, 3, H, W) to ``logits`` float32 (n, A) and ``features``
float32 (n, D), what the last layer reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from onnx import TensorProto
from torch.nn import functional as F

from cfgan.assemble.onnx_graph import Graph
from cfgan.networks.classifier import ClassifierShape
from cfgan.networks.judge import TRUNKS, JudgeShape, Trunk
from cfgan.networks.shape import GanShape


def generator_graph(shape: GanShape, data: bytes) -> bytes | None:
    """The dcgan family's generator (:class:`cfgan.networks.dcgan.Generator`); None for another family, which needs
    torch."""
    if shape.family != "dcgan":
        return None
    g = Graph("generator.safetensors", data)
    both = g.add("Concat", "latent", "condition", axis=1)
    x = g.linear(both if shape.conditioning in ("both", "concat") else "latent", "input")
    styled = g.linear(both if shape.conditioning in ("both", "modulate") else "latent", "style")
    style = g.add("LeakyRelu", styled, alpha=0.2)
    x = g.add("Reshape", x, g.integers(-1, shape.channels[0], 4, 4))
    for k, side in enumerate(shape.sides[:-1]):
        x = _modulated(g, g.batch_norm(x, f"blocks.{k}.norm"), style, f"blocks.{k}.modulation")
        x = g.add("Relu", x)
        if side in shape.refine:
            x = _refined(g, x, style, f"blocks.{k}.refinement")
        x = _upsampled(g, x, f"blocks.{k}.up", shape.upsample)
    x = g.add("Relu", g.batch_norm(x, "norm"))
    if shape.size in shape.refine:
        x = _refined(g, x, style, "refinement")
    images = g.add("Tanh", g.conv(x, "to_rgb"))
    levels = g.add("Round", g.add("Mul", g.add("Add", images, g.constant(1.0)), g.constant(127.5)))
    levels = g.add("Cast", g.add("Clip", levels, g.constant(0.0), g.constant(255.0)), to=TensorProto.UINT8)
    inputs: dict[str, tuple[int, list[int | str]]] = {
        "latent": (TensorProto.FLOAT, ["n", shape.z_dim]),
        "condition": (TensorProto.FLOAT, ["n", shape.attributes]),
    }
    return g.to_bytes(inputs, {"levels": levels})


def _modulated(g: Graph, x: str, style: str, name: str) -> str:
    """x (1 + scale) + shift, one scale and one shift for each channel."""
    halves = g.add("Split", g.linear(style, name), outputs=2, axis=1, num_outputs=2)
    axes = g.integers(2, 3)
    scale, shift = (g.add("Unsqueeze", half, axes) for half in halves)
    scaled = g.add("Mul", x, g.add("Add", scale, g.constant(1.0)))
    result: str = g.add("Add", scaled, shift)
    return result


def _refined(g: Graph, x: str, style: str, name: str) -> str:
    branch = g.conv(_modulated(g, x, style, f"{name}.modulation"), f"{name}.conv")
    result: str = g.add("Relu", g.add("Add", x, branch))
    return result


def _upsampled(g: Graph, x: str, name: str, kind: str) -> str:
    """Twice the side: (N, I, H, W) to (N, O, 2H, 2W)."""
    if kind == "shuffle":
        result: str = g.add("DepthToSpace", g.conv(x, f"{name}.conv"), blocksize=2, mode="CRD")
        return result
    kernel = g.weight(f"{name}.weight")
    if kind == "resize":
        kernel = _spread(g, kernel)
    bias = g.weight(f"{name}.bias")
    result = g.add("ConvTranspose", x, kernel, bias, strides=[2, 2], pads=[1, 1, 1, 1])
    return result


def _spread(g: Graph, kernel: str) -> str:
    """A 3 x 3 kernel spread over a 2 x 2 box, as :class:`cfgan.networks.dcgan.ResizeConv` does it."""
    turned = g.add("Slice", kernel, g.integers(-1, -1), g.integers(-9, -9), g.integers(2, 3), g.integers(-1, -1))
    wide = g.add("Pad", turned, g.integers(0, 0, 1, 1, 0, 0, 1, 1))  # I O 5 5
    corners = [
        g.add("Slice", wide, g.integers(top, left), g.integers(top + 4, left + 4), g.integers(2, 3))
        for top, left in ((1, 1), (0, 1), (1, 0), (0, 0))
    ]
    result: str = g.add("Add", g.add("Add", g.add("Add", corners[0], corners[1]), corners[2]), corners[3])
    return result


def classifier_graph(shape: ClassifierShape, data: bytes, size: int) -> bytes:
    """:class:`cfgan.networks.classifier.AttributeClassifier` on images of ``size`` pixels."""
    g = Graph("verifier.safetensors", data)
    x = _averaged(g, _signed(g), size, shape.reads)
    x = g.add("Relu", g.batch_norm(g.conv(x, "stem", stride=2), "norm"))
    for k in range(len(shape.widths) - 1):
        name = f"stages.{k}"
        y = g.add("Relu", g.batch_norm(g.conv(x, f"{name}.conv1", stride=2), f"{name}.norm1"))
        y = g.batch_norm(g.conv(y, f"{name}.conv2"), f"{name}.norm2")
        short = g.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
        short = g.batch_norm(g.conv(short, f"{name}.shortcut"), f"{name}.norm_shortcut")
        x = g.add("Relu", g.add("Add", y, short))
    features = g.add("ReduceMean", x, g.integers(2, 3), keepdims=0)
    return _reading(g, {"logits": g.linear(features, "head"), "features": features}, size)


def judge_graph(shape: JudgeShape, data: bytes, size: int) -> bytes:
    """:class:`cfgan.networks.judge.Judge` on images of ``size`` pixels."""
    g, kind = Graph("judge.safetensors", data), TRUNKS[shape.trunk]
    # Resampling is linear: the rows of this matrix are what torch's own gives, of averages where it reads those.
    seen = min(size, shape.reads or size)
    rows = F.interpolate(torch.eye(seen)[None, None], (shape.side, seen), mode="bicubic", antialias=True)[0, 0]
    rows = rows.repeat_interleave(size // seen, 1) / (size // seen)
    levels = g.add("Cast", "levels", to=TensorProto.FLOAT)
    x = g.add("MatMul", g.add("MatMul", g.constant(rows.numpy()), levels), g.constant(rows.numpy().T))
    x = g.add("Div", g.add("Sub", x, g.constant(kind.centre)), g.constant(kind.spread))
    fine, coarse = _trunk_maps(g, x, Trunk(shape.trunk, shape.side), (kind.fine, kind.coarse), shape.side)
    fine = g.add("AveragePool", fine, kernel_shape=[2, 2], strides=[2, 2])
    maps = g.add("Mul", g.add("Concat", fine, coarse, axis=1), g.weight("head.scale"))
    x = g.add("Relu", g.batch_norm(g.conv(maps, "head.mix"), "head.norm"))
    x = g.linear(g.add("Flatten", x), "head.hidden")
    features = g.add("Relu", g.batch_norm(x, "head.hidden_norm"))
    return _reading(g, {"logits": g.linear(features, "head.out"), "features": features}, size)


def _trunk_maps(g: Graph, x: str, trunk: Trunk, places: tuple[int, ...], side: int) -> list[str]:
    """The maps after some blocks of a frozen network of inverted residuals."""

    def conv(x: str, name: str, layer: Any, side: int) -> tuple[str, int]:
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)  # TensorFlow's "SAME"
        pads = [total // 2, total // 2, total - total // 2, total - total // 2]
        return g.conv(x, name, stride=stride, pads=pads, groups=layer.groups), -(-side // stride)

    def relu6(x: str) -> str:
        result: str = g.add("Clip", x, g.constant(0.0), g.constant(6.0))
        return result

    x, side = conv(x, "trunk.conv_stem", trunk.conv_stem, side)
    x, found = relu6(x), []
    for place, block in enumerate(trunk.blocks):
        name, entered = f"trunk.blocks.{place}", x
        layer: Any = block
        if layer.expands:
            x, side = conv(x, f"{name}.expand_conv", layer.expand_conv, side)
            x = relu6(x)
        x, side = conv(x, f"{name}.depthwise_conv", layer.depthwise_conv, side)
        x, side = conv(relu6(x), f"{name}.project_conv", layer.project_conv, side)
        if layer.skips:
            x = g.add("Add", entered, x)
        if place in places:
            found.append(x)
    return found


def _signed(g: Graph) -> str:
    """Pixel levels to -1..1."""
    levels = g.add("Cast", "levels", to=TensorProto.FLOAT)
    result: str = g.add("Sub", g.add("Mul", levels, g.constant(2 / 255)), g.constant(1.0))
    return result


def _averaged(g: Graph, x: str, size: int, reads: int) -> str:
    """What :func:`cfgan.networks.classifier.averaged` makes of images of ``size`` pixels."""
    if not reads or size <= reads:
        return x
    factor = size // reads
    result: str = g.add("AveragePool", x, kernel_shape=[factor, factor], strides=[factor, factor])
    return result


def _reading(g: Graph, outputs: dict[str, str], size: int) -> bytes:
    return g.to_bytes({"levels": (TensorProto.UINT8, ["n", 3, size, size])}, outputs)


def graphs_of(config: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """File name -> graph of each network of a bundle that can run without torch.

    Args:
        config: content of ``config.json``.
        files: file name -> content, of the weights.
    """
    shape = GanShape(**config["generator"])
    found = {"generator.onnx": generator_graph(shape, files["generator.safetensors"])}
    verifier = ClassifierShape.from_dict(config["verifier"]["shape"])
    found["verifier.onnx"] = classifier_graph(verifier, files["verifier.safetensors"], shape.size)
    if "judge" in config:
        judge = JudgeShape(**config["judge"]["shape"])
        found["judge.onnx"] = judge_graph(judge, files["judge.safetensors"], shape.size)
    return {name: graph for name, graph in found.items() if graph is not None}
