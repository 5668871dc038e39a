"""Networks for images of twice the side, out of trained ones: one block more at the generator's end and one convolution
more at the discriminator's start.

The first pictures are the old ones, enlarged: made small again by averages of 2 x 2 pixels they are the old ones. All
other blocks keep their weights, as in progressive growing (Karras et al., ICLR 2018); nothing has to be faded in, since
the new block starts as an enlargement and not at random.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from cfgan.attributes.prior import Prior
from cfgan.errors import ConfigError
from cfgan.generate.sampling import latents
from cfgan.model.bundle import Bundle
from cfgan.networks.dcgan import Discriminator, Generator, ResizeConv, ShuffleConv
from cfgan.networks.loading import same_each_time
from cfgan.networks.norm import SharedBatchNorm
from cfgan.networks.shape import GanShape

_COLOURS = 3
_SIGNED = 2 * _COLOURS  # channels that carry a colour: what is above 0 of it, and what is below
_SLOPE = 0.2  # of the discriminator's leaky ReLUs
_LEAST_WIDTH = 4  # as the setting allows
_DRAWS, _CHUNK = 256, 32  # over which the new normalisation is set


def grown_shape(shape: GanShape) -> GanShape:
    """The shape of the same networks with a block more: its channels at all older sides are the same.

    Raises:
        ValueError: an odd width, which has no half.
    """
    if shape.width % 2:
        raise ValueError("an odd width has no half")
    return replace(shape, size=2 * shape.size, width=shape.width // 2)


def require_growth(bundle: Bundle, size: int) -> None:
    """Raise ConfigError, with what to do, unless a run on images of ``size`` pixels can start from a bundle's networks.

    Size: that of the bundle or twice that. Half would take the last block away, and with it what knows how to make
    colours of features: no picture would be left to start from.
    """
    shape = bundle.shape
    if size == shape.size:
        return
    what = f"{bundle.name} makes images of {shape.size} pixels and these have {size}"
    todo = f"pack them again for it (`cfgan data pack ... --size {shape.size}`), or train without --from."
    if size == shape.size // 2:
        why = "its last block, without which its features are no colours, would have to go"
    elif size != 2 * shape.size:
        why = f"a run can start from it at {shape.size} and at {2 * shape.size} pixels"
    elif shape.family != "dcgan":
        why = f"the {shape.family} family cannot be given another block"
    elif shape.spectral_norm:
        why = "under a spectral norm its discriminator cannot be given another block"
    elif shape.width % 2 or shape.width // 2 < _LEAST_WIDTH:
        why = f"its width of {shape.width} cannot be halved"
    else:
        return
    raise ConfigError(f"{what}: {why}; {todo}", field="data", value=size)


def growth_sentence(bundle: Bundle, size: int) -> str:
    """What a run at another size starts anew, for a person to read; empty at the bundle's own."""
    if size == bundle.size:
        return ""
    return (
        f"It makes images of {bundle.size} pixels, these have {size}: a block more starts as an enlargement of its "
        "pictures, all others go on as they are. Heads over a classifier's features start anew. Its classifiers read "
        f"the new images as averages, at {bundle.size} pixels."
    )


@torch.no_grad()
def grown_generator(old: Generator, prior: Prior) -> Generator:
    """A generator whose pictures are those of another, enlarged.

    Args:
        old: of side S.
        prior: of its attributes; conditions are drawn from it to set the new normalisation.

    Returns:
        A generator of side 2S, in evaluation mode. The average of each 2 x 2 of its pixels is the old pixel before the
        last tanh.
    """
    new = same_each_time(lambda: Generator(grown_shape(old.shape)))
    state = new.state_dict()
    last = len(old.blocks)
    for name, value in old.state_dict().items():
        # What stood behind the last block now stands in the new one.
        moved = f"blocks.{last}.{name}" if name.startswith(("norm.", "refinement.")) else name
        if not name.startswith("to_rgb."):
            state[moved] = value
    state |= {name: torch.zeros_like(state[name]) for name in state if name.startswith(f"blocks.{last}.modulation.")}
    new.load_state_dict(state)
    up = cast(nn.Module, new.blocks[last].up)
    kernel, bias = old.to_rgb.weight, cast(Tensor, old.to_rgb.bias)
    _enlarge(up, torch.cat([kernel, -kernel]), torch.cat([bias, -bias]))
    nn.init.zeros_(new.to_rgb.weight)
    nn.init.zeros_(cast(Tensor, new.to_rgb.bias))
    for colour in range(_COLOURS):
        new.to_rgb.weight[colour, colour, 1, 1] = 1
        new.to_rgb.weight[colour, _COLOURS + colour, 1, 1] = -1
    new.eval()
    _set_norm(new, prior)
    return new


@torch.no_grad()
def grown_discriminator(old: Discriminator) -> Discriminator:
    """A discriminator that says of a picture of side 2S what another says of its averages of 2 x 2 pixels."""
    new = same_each_time(lambda: Discriminator(grown_shape(old.shape)))
    state = new.state_dict()
    for name, value in old.state_dict().items():
        if not name.startswith("convs."):
            state[name] = value
            continue
        _, place, kind = name.split(".")
        target = f"convs.{int(place) + 1}.{kind}"
        if place == "0" and kind == "weight":
            state[target][:, : 2 * _COLOURS] = torch.cat([value, -value], 1) / (1 + _SLOPE)
            state[target][:, 2 * _COLOURS :] = 0
        else:
            state[target] = value
    for colour in range(_COLOURS):
        for channel, sign in ((colour, 1), (_COLOURS + colour, -1)):
            state["convs.0.weight"][channel] = 0
            state["convs.0.weight"][channel, colour, 1:3, 1:3] = sign / 4
            state["convs.0.bias"][channel] = 0
    new.load_state_dict(state)
    return new


def _enlarge(up: nn.Module, kernel: Tensor, bias: Tensor) -> None:
    """Let the first channels of an upsampling be a 3 x 3 convolution (K, C, 3, 3) of its input, enlarged."""
    count = len(kernel)
    if isinstance(up, ShuffleConv):  # each of four pixels its own kernels: the same ones
        up.conv.weight[: 4 * count] = kernel.repeat_interleave(4, 0)
        cast(Tensor, up.conv.bias)[: 4 * count] = bias.repeat_interleave(4)
        return
    # One pixel of the result sees 2 x 2 of the input, not 3 x 3: on an axis (a, b, c) becomes (2a, b - a - c, 2c), by
    # which two pixels average to what (a, b, c) gives.
    axis = kernel.new_tensor([[2, 0, 0], [-1, 1, -1], [0, 0, 2]])
    fine = torch.einsum("ih,jw,kchw->ckij", axis, axis, kernel)  # C K 3 3
    if isinstance(up, ResizeConv):
        up.weight[:, :count] = fine
        up.bias[:count] = bias
    elif isinstance(up, nn.ConvTranspose2d):
        w = nn.functional.pad(fine.flip(2, 3), (1, 1, 1, 1))
        up.weight[:, :count] = w[:, :, 1:, 1:] + w[:, :, :-1, 1:] + w[:, :, 1:, :-1] + w[:, :, :-1, :-1]
        cast(Tensor, up.bias)[:count] = bias


def _set_norm(new: Generator, prior: Prior) -> None:
    """Give the new normalisation the statistics of what comes to it, and let it hand the colours on as they are."""
    norm: SharedBatchNorm = new.norm
    seen: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda _, given: seen.append(_moments(given[0])))
    for start in range(0, _DRAWS, _CHUNK):
        draws = range(start, start + _CHUNK)
        z = torch.from_numpy(latents(0, draws, new.shape.z_dim))
        new(z, torch.from_numpy(np.asarray(prior.sample({}, 0, draws), dtype=np.float32)))
    hook.remove()
    mean, square = torch.stack(seen).mean(0)
    variance = (square - mean.square()).clamp(min=0)
    cast(Tensor, norm.running_mean).copy_(mean)
    cast(Tensor, norm.running_var).copy_(variance)
    norm.weight[:_SIGNED] = (variance[:_SIGNED] + norm.eps).sqrt()
    norm.bias[:_SIGNED] = mean[:_SIGNED]


def _moments(x: Tensor) -> Tensor:
    """Mean and mean square of each channel, (2, C)."""
    return torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))])
