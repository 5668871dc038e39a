"""Choosing where to compute."""

from __future__ import annotations

import torch

from cfgan.errors import InputError

KINDS = ("cpu", "cuda")


def pick_device(name: str) -> torch.device:
    """ "auto" is a GPU where there is one, else the CPU.

    Raises:
        InputError: the device is unknown or not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if name.split(":")[0] not in KINDS:
            raise RuntimeError(f"only {' and '.join(KINDS)} are supported")
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{name!r} cannot be used here ({reason}).", field="device", value=name) from None
    return device
