"""A photo to its projection and edits, with what is measured on them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cfgan.data.framing.faces import Framer
from cfgan.data.framing.photo import open_photo
from cfgan.errors import InputError
from cfgan.generate.projection.condition import read_condition
from cfgan.generate.projection.edits import edit, parse_edits
from cfgan.generate.projection.folder import require_unused_or_older, write_projection
from cfgan.generate.projection.identity import likeness, open_identity
from cfgan.generate.projection.projector import Projector
from cfgan.generate.projection.result import ProjectedImage, Projection
from cfgan.io.png import encode_png
from cfgan.io.progress import Progress, silent
from cfgan.model.bundle import Bundle
from cfgan.model.engine import Levels
from cfgan.model.engines import open_engine, split_device
from cfgan.verify.reader import readers_of
from cfgan.version import __version__

KIND = "projection of a photo"


def project_photo(
    bundle: Bundle,
    photo: Path | bytes,
    edits: Sequence[str] = (),
    *,
    align: bool = True,
    steps: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Projection:
    """Find a photo again among what a bundle can draw, edit it there, and measure both.

    Args:
        bundle: the model, of the family dcgan.
        photo: a JPEG, PNG, WebP or BMP file, or its bytes.
        edits: requests such as "Smiling,-Eyeglasses", an image each.
        align: find the largest face and bring it into CelebA's frame first; False takes the largest central square.
        steps: of the optimisation; none: 25 where the bundle has an encoder to begin from, else 100.
        seed: of the draws that it begins from without one.
        out: a new folder, an empty one, or an older projection, which is replaced. Nothing is stored without it.
        device: where to compute, as :func:`cfgan.model.engines.open_engine` takes it; the search itself runs in torch.
        progress: called with steps done and in all.

    Raises:
        InputError: photo, edit, bundle or folder cannot be used; a photo without a face is a DataError.
        ConfigError: ``align`` without the extra ``cfgan[identity]``.
        BundleError: a file of the bundle is damaged.
        StorageError: the disk refused; nothing is left half written.
    """
    if steps is not None and steps < 1:
        raise InputError("must be 1 or more.", field="steps", value=steps, nearest=[1])
    wanted = parse_edits(edits, bundle.vocabulary)
    if out is not None:
        require_unused_or_older(out)
    levels = open_photo(photo, bundle.size, Framer() if align else None).levels
    found = project_levels(bundle, levels, wanted, steps=steps, seed=seed, device=device, progress=progress)
    if out is None:
        return found
    images = (found.image, *found.edits)
    write_projection(out, [image.png for image in images], report(bundle, found, seed))
    return replace(found, out=out)


def project_levels(
    bundle: Bundle,
    levels: Levels,
    wanted: Mapping[str, Mapping[str, float]],
    *,
    steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = silent,
) -> Projection:
    """The same for a photo that is framed already; nothing is stored.

    Args:
        bundle: the model, of the family dcgan.
        levels: uint8 (3, S, S), the photo at the bundle's size.
        wanted: text of each edit -> what it asks for; see :func:`cfgan.generate.projection.edits.parse_edits`.
        steps, seed, device, progress: as in :func:`project_photo`.

    Raises:
        InputError: the bundle cannot be searched, or the device is none.
        BundleError: a file of the bundle is damaged.
    """
    projector = Projector(bundle, split_device(device)[1])
    steps = projector.steps if steps is None else steps
    readers = readers_of(bundle, open_engine(bundle, device))
    verifier, witness = readers[0], readers[-1]
    begun = time.perf_counter()
    codes = projector.project(
        levels[None], read_condition(verifier, levels[None]), steps=steps, seed=seed, progress=progress
    )
    seconds = time.perf_counter() - begun
    drawn = [("", projector.render(codes)[0], codes.condition.cpu().numpy()[0], 1.0)]
    for text, request in wanted.items():
        done = edit(projector, codes, request, verifier)
        drawn.append((text, done.pixels[0], done.condition[0], float(done.strength[0])))
    embedder = open_identity() if bundle.of_faces else None
    pixels = np.stack([each[1] for each in drawn])
    like = [None] * len(drawn) if embedder is None else likeness(embedder, levels, pixels)
    seen = witness.seen(pixels)
    images = []
    for k, (text, shown, condition, strength) in enumerate(drawn):
        as_asked = {
            name: bool(seen[k, bundle.vocabulary.index(name)] == (value > 0))
            for name, value in wanted.get(text, {}).items()
            if abs(value) == 1
        }
        about = {"steps": steps, **_seed(bundle, seed), **({"edit": text, "strength": strength} if text else {})}
        images.append(ProjectedImage(text, shown, condition, strength, as_asked, like[k], _png(bundle, shown, about)))
    error = float(np.abs(pixels[0].astype(np.int64) - levels).mean())
    return Projection(images[0], tuple(images[1:]), error, witness.name, seconds, steps)


def report(bundle: Bundle, found: Projection, seed: int) -> dict[str, Any]:
    """What is known of a projection, as JSON says it: no name of a file, no pixel of the photo."""
    return {
        "bundle": {"name": bundle.name, "digest": bundle.digest},
        "cfgan": __version__,
        "steps": found.steps,
        **_seed(bundle, seed),
        "pixel_error": round(found.pixel_error, 3),
        **found.image.figures(),
        "by": found.by,
        "edits": [image.figures() for image in found.edits],
    }


def _seed(bundle: Bundle, seed: int) -> dict[str, int]:
    """The seed, where anything was drawn by it."""
    return {} if "encoder" in bundle.config else {"seed": seed}


def _png(bundle: Bundle, pixels: Levels, about: dict[str, Any]) -> bytes:
    text = {"bundle": {"name": bundle.name, "digest": bundle.digest}, "cfgan": __version__, "kind": KIND, **about}
    return encode_png(pixels, text)
