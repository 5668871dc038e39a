"""The encoder of a bundle: added to a copy of it, kept by a bundle of the same generator, and told of in the card."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from cfgan.assemble.copies import bundle_files, require_copy_or_unused
from cfgan.assemble.run_files import (
    in_half,
    last_images,
    read_about,
    read_file,
    read_settings,
    read_weights,
    training_seconds,
)
from cfgan.errors import BundleError, InputError
from cfgan.io.files import json_bytes
from cfgan.model.bundle import Bundle, open_bundle, write_files
from cfgan.model.config import check_encoder
from cfgan.networks.classifier import load_frozen
from cfgan.networks.encoder import Encoded, Encoder, EncoderShape

FILE = "encoder.safetensors"
_TITLE = "## Encoder"
_CARD = "README.md"
_PARTS = ("generator", "verifier")
"""What an encoder has learnt with: it guesses for the one, from the conditions that the other reads."""
_DRAWS = 16
_APART = 0.2  # of how far guesses vary: what half precision may change anywhere


def with_encoder(bundle: Bundle, run: Path, out: Path) -> Bundle:
    """A copy of a bundle that has an encoder, from which photos are projected sooner.

    Args:
        bundle: the model; it stays as it is.
        run: folder of a finished ``cfgan train encoder`` for this bundle's generator and verifier.
        out: new or empty folder, or an earlier copy of this bundle, which is replaced.

    Raises:
        InputError: there is no such run, or the encoder was trained for another generator or verifier.
        BundleError: a file of the bundle is damaged, or the encoder guesses nothing in half precision.
        FolderError: ``out`` holds something else, or another bundle.
        StorageError: the disk refused.
    """
    require_copy_or_unused(bundle, out, replaced=FILE)
    about = read_about(run, "encoder", "encoder")
    for part in _PARTS:
        if about.get(part) != bundle.sums[f"{part}.safetensors"]:
            raise InputError(
                f"that encoder was trained for another {part} than {bundle.name}'s; train one with "
                f"`cfgan train encoder --bundle {bundle.name}`.",
                field="--encoder",
                value=run,
            )
    try:
        check_encoder(about["shape"], bundle.shape)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{error}.", field="--encoder", value=run) from None
    weights = read_weights(run, about, "model.safetensors")
    history = {"images": last_images(run), "seconds": training_seconds(run), "settings": read_settings(run)}
    described = {
        "shape": about["shape"],
        "features": about.get("features"),
        **{part: about[part] for part in _PARTS},
        "training": history,
    }
    files = bundle_files(bundle)
    card = files.get(_CARD, b"").decode("utf-8", "replace")
    if "encoder" in bundle.config:
        card = re.sub(rf"\n{_TITLE}\n.*?(?=\n## |\Z)", "", card, flags=re.DOTALL)
    config = {**bundle.config, "encoder": described}
    files |= {"config.json": json_bytes(config), FILE: in_half(weights)}
    files[_CARD] = (card.rstrip("\n") + "\n" + card_section(config)).encode("utf-8")
    write_files(out, files, lambda made: _check_guesses(made, weights))
    return open_bundle(out)


def kept_encoder(keep: Bundle | None, files: Mapping[str, bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Description and weights of a kept bundle's encoder, where a new bundle has the networks that it learnt with.

    Args:
        keep: the kept bundle.
        files: file name -> safetensors bytes of the new bundle.
    """
    if keep is None or "encoder" not in keep.config:
        return None
    if other_than_encoded(keep, {part: files[f"{part}.safetensors"] for part in _PARTS}) is not None:
        return None
    return dict(keep.config["encoder"]), read_file(keep.file(FILE))


def other_than_encoded(keep: Bundle, made: Mapping[str, bytes]) -> str | None:
    """Which network is another one than a bundle's encoder has learnt with; None where all are the same.

    Args:
        keep: the bundle, with an encoder or without.
        made: "generator", "verifier" -> safetensors bytes.
    """
    described = keep.config.get("encoder")
    if described is None:
        return None
    return next((part for part, data in made.items() if hashlib.sha256(data).hexdigest() != described.get(part)), None)


def card_section(config: Mapping[str, Any]) -> str:
    """What a model card says of the encoder, Markdown; "" where there is none."""
    if "encoder" not in config:
        return ""
    about = config["encoder"]
    history = about["training"]
    minutes = max(1, round(history["seconds"] / 60))
    return (
        f"\n{_TITLE}\n\nAn encoder guesses how the generator draws a photo; `cfgan project --bundle {config['name']}` "
        f"begins its search there. It has seen\n{history['images']:,} images and no labels, in {minutes} "
        f"minute{'s' if minutes > 1 else ''} of training steps, and learnt from pixels and the features of "
        f"{about['features']}.\nJudge and recognisers took no part.\n"
    )


def _check_guesses(made: Bundle, weights: bytes) -> None:
    """Compare the guesses of the bundle's encoder with those of the run's, for some draws. Raises BundleError."""
    whole = Encoder(EncoderShape.from_dict(made.config["encoder"]["shape"]))
    load_frozen(whole, safetensors.torch.load(weights))
    half = made.encoder()
    if half is None:
        raise BundleError("the encoder is missing.")
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(_DRAWS, made.z_dim, generator=generator)
    condition = torch.rand(_DRAWS, len(made.vocabulary), generator=generator) * 2 - 1
    with torch.no_grad():
        images = made.generator()(z, condition)
        guesses = whole(images, condition), half(images, condition)
        for name, one, other in zip(Encoded._fields, *guesses, strict=True):
            gap = float((one - other).abs().max() / one.std().clamp(min=1e-6))
            if not gap <= _APART:
                raise BundleError(f"the encoder's {name} are others in half precision ({gap:.2g} of their spread).")
