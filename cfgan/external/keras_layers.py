"""A Keras "layers model", as TensorFlow.js keeps it, run in torch: neither TensorFlow nor JavaScript is needed.

Batch normalisation, which is affine at inference, is folded into the convolution before it, and so is the activation
after that. What is read: feed-forward graphs of one input and one output made of the layers in ``_LAYERS``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cfgan.errors import DataError

Weights = Mapping[str, npt.NDArray[np.float32]]
"""``layer/kernel`` and the like to float32, axes as TensorFlow has them: height, width, in, out."""
Config = Mapping[str, Any]


@dataclass
class _Step:
    """One layer of the graph and the names of those that it reads."""

    name: str
    kind: str
    run: nn.Module
    inputs: list[str]


class LayersModel(nn.Module):
    """The network, for inference; sides other than the published one are fine as far as the pooled features.

    Args:
        model_config: ``modelTopology.model_config`` of the file: the layers and how they are joined.
        weights: of all layers.

    Raises:
        DataError: a layer of a kind, or with a setting, that is not implemented here, or without its weights.
    """

    def __init__(self, model_config: Config, weights: Weights) -> None:
        super().__init__()
        steps = [_step(layer, weights) for layer in model_config["config"]["layers"]]
        self._input = next(step.name for step in steps if step.kind == "InputLayer")
        self._steps = _folded([step for step in steps if step.kind != "InputLayer"])
        pools = [step for step in self._steps if _pools_all(step, self._steps)]
        if not pools:
            raise DataError("the network has no layer that pools its features.")
        for pool in pools:
            pool.run = _GlobalMean()  # at the published side an average over all that is there is what it computes
        self._pooled = pools[-1].name
        self._layers = nn.ModuleList(step.run for step in self._steps)
        self._last = {name: k for k, step in enumerate(self._steps) for name in step.inputs}
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), scaled as the network was trained, to its output (N, classes)."""
        return self._until(images, self._steps[-1].name)

    def features(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), scaled as the network was trained, to its last pooled features (N, D)."""
        return self._until(images, self._pooled)

    def _until(self, images: Tensor, name: str) -> Tensor:
        known = {self._input: images}
        for k, step in enumerate(self._steps):
            known[step.name] = step.run(*(known[each] for each in step.inputs))
            if step.name == name:
                break
            for each in step.inputs:
                if self._last[each] == k:
                    known.pop(each, None)  # nothing reads it any more
        return known[name]


def _pools_all(step: _Step, steps: Sequence[_Step]) -> bool:
    """Whether a layer leaves one value a channel: a global mean, or a mean that only a Flatten reads."""
    if step.kind == "AveragePooling2D":
        return [other.kind for other in steps if step.name in other.inputs] == ["Flatten"]
    return step.kind == "GlobalAveragePooling2D"


def _step(layer: Config, weights: Weights) -> _Step:
    kind, name, config = layer["class_name"], layer["name"], layer["config"]
    if kind not in _LAYERS:
        raise DataError(f"{name} is a layer of the kind {kind}, which is not implemented.")
    if config.get("data_format", "channels_last") != "channels_last":
        raise DataError(f"{name} has its channels first, which is not implemented.")
    own = {key.split("/")[-1]: torch.from_numpy(value) for key, value in weights.items() if key.startswith(f"{name}/")}
    nodes = layer["inbound_nodes"]
    if len(nodes) > 1:
        raise DataError(f"{name} is used {len(nodes)} times, which is not implemented.")
    try:
        return _Step(name, kind, _LAYERS[kind](config, own), [node[0] for node in nodes[0]] if nodes else [])
    except KeyError as error:
        raise DataError(f"{name} lacks {error}.") from None


def _folded(steps: Sequence[_Step]) -> list[_Step]:
    """The same graph with batch normalisations and activations inside the convolutions that only they read."""
    readers = Counter(name for step in steps for name in step.inputs)
    kept: dict[str, _Step] = {}
    alias: dict[str, str] = {}
    for step in steps:
        step.inputs = [alias.get(name, name) for name in step.inputs]
        before = kept.get(step.inputs[0]) if len(step.inputs) == 1 else None
        layer = before.run if before is not None and readers[before.name] == 1 else None
        if before is not None and isinstance(layer, _Convolution) and layer.take(step.run):
            alias[step.name] = before.name
            readers[before.name] = readers[step.name]
        else:
            kept[step.name] = step
    return list(kept.values())


class _Convolution(nn.Module):
    """A convolution of any number of groups, with bias, and the activation after it."""

    def __init__(self, filters: Tensor, bias: Tensor | None, groups: int, config: Config) -> None:
        super().__init__()
        if tuple(config.get("dilation_rate", (1, 1))) != (1, 1):
            raise DataError(f"{config['name']} is dilated, which is not implemented.")
        self.filters = nn.Parameter(filters.contiguous())  # out in/groups H W
        self.bias = nn.Parameter(torch.zeros(len(filters)) if bias is None else bias.clone())
        self._groups, self._stride, self._same = groups, tuple(config["strides"]), _same(config)
        self._activation: nn.Module = _activation(config)

    def take(self, after: nn.Module) -> bool:
        """Compute what ``after`` does too; False if that cannot be done in here."""
        if not isinstance(self._activation, nn.Identity):
            return False
        if isinstance(after, _Affine):
            self.filters = nn.Parameter(self.filters * after.scale.view(-1, 1, 1, 1))
            self.bias = nn.Parameter(self.bias * after.scale + after.shift)
            return True
        if isinstance(after, _Bounded):
            after.in_place = True
            self._activation = after
            return True
        return False

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.filters.shape[2:]
        amounts = _amounts(x, kernel, self._stride) if self._same else (0, 0, 0, 0)
        even = amounts[0] == amounts[1] and amounts[2] == amounts[3]
        padding = (amounts[2], amounts[0]) if even else (0, 0)
        x = x if even else F.pad(x, amounts)
        y: Tensor = self._activation(F.conv2d(x, self.filters, self.bias, self._stride, padding, groups=self._groups))
        return y


class _Affine(nn.Module):
    """Batch normalisation with the running statistics."""

    def __init__(self, config: Config, own: Mapping[str, Tensor]) -> None:
        super().__init__()
        _last_axis(config)
        scale = torch.rsqrt(own["moving_variance"] + config["epsilon"])
        if config.get("scale", True):
            scale = scale * own["gamma"]
        shift = -own["moving_mean"] * scale
        if config.get("center", True):
            shift = shift + own["beta"]
        self.scale, self.shift = nn.Parameter(scale), nn.Parameter(shift)  # C

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.view(-1, 1, 1) + self.shift.view(-1, 1, 1)


class _Bounded(nn.Module):
    """ReLU, with an upper bound or none; in place where a convolution has taken it, because nobody else reads that."""

    def __init__(self, most: float | None) -> None:
        super().__init__()
        self._most = most
        self.in_place = False

    def forward(self, x: Tensor) -> Tensor:
        if self.in_place:
            return x.clamp_(0, self._most)
        return x.clamp(0, self._most)


class _Pool(nn.Module):
    def __init__(self, config: Config, *, mean: bool) -> None:
        super().__init__()
        self._kernel, self._stride = tuple(config["pool_size"]), tuple(config["strides"])
        self._same, self._mean = _same(config), mean

    def forward(self, x: Tensor) -> Tensor:
        amounts = _amounts(x, self._kernel, self._stride) if self._same else (0, 0, 0, 0)
        if not self._mean:
            return F.max_pool2d(F.pad(x, amounts, value=-torch.inf), self._kernel, self._stride)
        y = F.avg_pool2d(F.pad(x, amounts), self._kernel, self._stride)
        if not any(amounts):
            return y
        inside = F.pad(torch.ones_like(x[:1, :1]), amounts)  # TensorFlow does not count what was padded
        return y / F.avg_pool2d(inside, self._kernel, self._stride)


class _GlobalMean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class _Padding(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        (top, bottom), (left, right) = config["padding"]
        self._amounts = (left, right, top, bottom)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self._amounts)


class _Sum(nn.Module):
    def forward(self, *parts: Tensor) -> Tensor:
        total = parts[0] + parts[1]
        for part in parts[2:]:
            total = total + part
        return total


class _Joined(nn.Module):
    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, 1)


class _Flat(nn.Module):
    """Of pooled features, which are flat already: of maps the order of the axes would matter."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2:
            raise DataError("feature maps are flattened without being pooled, which is not implemented.")
        return x


class _Dense(nn.Module):
    def __init__(self, config: Config, own: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(own["kernel"].T.contiguous())  # out in
        self.bias = nn.Parameter(own["bias"].clone()) if config["use_bias"] else None
        self._activation = _activation(config)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self._activation(F.linear(x, self.weight, self.bias))
        return y


def _conv(config: Config, own: Mapping[str, Tensor]) -> nn.Module:
    bias = own["bias"] if config["use_bias"] else None
    return _Convolution(own["kernel"].permute(3, 2, 0, 1), bias, 1, config)


def _depthwise(config: Config, own: Mapping[str, Tensor]) -> nn.Module:
    kernel = own["depthwise_kernel"]  # H W in multiplier
    bias = own["bias"] if config["use_bias"] else None
    filters = kernel.permute(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
    return _Convolution(filters, bias, kernel.shape[2], config)


def _activation(config: Config) -> nn.Module:
    name = config.get("activation", "linear")
    if name == "softmax":
        return nn.Softmax(1)
    if name in ("relu", "relu6"):
        return _Bounded(6.0 if name == "relu6" else None)
    if name != "linear":
        raise DataError(f"{config['name']} has the activation {name}, which is not implemented.")
    return nn.Identity()


def _relu(config: Config) -> nn.Module:
    if config.get("negative_slope") or config.get("threshold"):
        raise DataError(f"{config['name']} is a leaky or shifted ReLU, which is not implemented.")
    return _Bounded(config.get("max_value"))


def _joined(config: Config) -> nn.Module:
    _last_axis(config)
    return _Joined()


def _last_axis(config: Config) -> None:
    axis = config["axis"]
    if axis not in (-1, 3, [-1], [3]):
        raise DataError(f"{config['name']} works along the axis {axis}, which is not implemented.")


def _same(config: Config) -> bool:
    if config["padding"] not in ("same", "valid"):
        raise DataError(f"{config['name']} has the padding {config['padding']!r}, which is not implemented.")
    return bool(config["padding"] == "same")


def _amounts(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> tuple[int, int, int, int]:
    """TensorFlow's padding "same" as left, right, top, bottom: what is odd goes to the right and to the bottom."""
    across, down = (
        max((math.ceil(x.shape[axis] / stride[k]) - 1) * stride[k] + kernel[k] - x.shape[axis], 0)
        for k, axis in ((1, 3), (0, 2))
    )
    return across // 2, across - across // 2, down // 2, down - down // 2


def same_padding(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Maps (N, C, H, W) with TensorFlow's padding "same" around them."""
    amounts = _amounts(x, kernel, stride)
    return F.pad(x, amounts) if any(amounts) else x


_LAYERS: Mapping[str, Callable[[Config, Mapping[str, Tensor]], nn.Module]] = {
    "InputLayer": lambda config, own: nn.Identity(),
    "ZeroPadding2D": lambda config, own: _Padding(config),
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "BatchNormalization": _Affine,
    "Activation": lambda config, own: _activation(config),
    "ReLU": lambda config, own: _relu(config),
    "Add": lambda config, own: _Sum(),
    "Concatenate": lambda config, own: _joined(config),
    "MaxPooling2D": lambda config, own: _Pool(config, mean=False),
    "AveragePooling2D": lambda config, own: _Pool(config, mean=True),
    "GlobalAveragePooling2D": lambda config, own: _GlobalMean(),
    "Flatten": lambda config, own: _Flat(),
    "Dropout": lambda config, own: nn.Identity(),
    "Dense": _Dense,
}
